"""``mlgcn graph``: annotations to label graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.cli import common, console
from mlgcn_pyg.cli.embed import Alias, AliasFile, Format, Oov, Seed, read_embeddings
from mlgcn_pyg.errors import InputError, renamed_arguments


@common.opens_dataset
def graph(
    open_data: Callable,
    out: Annotated[Path, typer.Option(help="File for the label graph (.pt).")],
    embeddings: Annotated[
        Path | None, typer.Option(help="Word vectors, ready rows, or a file of mlgcn embed; one-hot without it.")
    ] = None,
    embeddings_format: Format = "auto",
    alias: Alias = None,
    alias_file: AliasFile = None,
    oov: Oov = "error",
    seed: Seed = 0,
    tau: Annotated[float, typer.Option(help="Edges are the pairs with P(L_j|L_i) ≥ tau.")] = 0.4,
    p: Annotated[float, typer.Option(help="Share of the neighbours in the propagation (Eq. 8).")] = 0.2,
    weighting: Annotated[str, typer.Option(help="paper, released, binary or none.")] = "paper",
    plot: Annotated[Path | None, typer.Option(help="Also draw the graph to this PNG file.")] = None,
) -> None:
    """Build a label graph from training annotations; no photograph is opened."""
    from mlgcn_pyg.graph import LabelGraph

    read = embeddings, alias_file, open_data.keywords["labels"]
    common.check_result("out", out, *read)
    if plot is not None:
        common.check_result("plot", plot, *read)
        if plot.absolute() == out.absolute():
            raise InputError("plot", "another file than --out", plot)
    data = open_data()
    x = None
    if embeddings is not None:
        x = read_embeddings(data.label_names, embeddings, embeddings_format, alias, alias_file, oov, seed)
    built = LabelGraph.from_targets(data.targets, label_names=data.label_names, x=x, tau=tau, p=p, weighting=weighting)
    built.save(out)
    console.out.print(f"{len(data)} images\n{built.summary()}", soft_wrap=True)
    console.out.print(f"wrote {out}", soft_wrap=True)
    if plot is not None:
        from mlgcn_pyg.report.plots import plot_label_graph

        with renamed_arguments(path="plot"):
            plot_label_graph(built, plot)
        console.out.print(f"wrote {plot}", soft_wrap=True)

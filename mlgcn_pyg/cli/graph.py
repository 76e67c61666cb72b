"""``mlgcn graph``: annotations to label graph."""

from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.cli import common
from mlgcn_pyg.cli.embed import Alias, AliasFile, Format, Oov, Seed, read_embeddings


def graph(
    dataset: common.Dataset,
    root: common.Root,
    out: Annotated[Path, typer.Option(help="File for the label graph (.pt).")],
    split: common.Split = None,
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
    labels: common.Labels = None,
    image_column: common.ImageColumn = "image",
    labels_column: common.LabelsColumn = None,
    separator: common.Separator = ";",
) -> None:
    """Build a label graph from training annotations; no photograph is opened."""
    from mlgcn_pyg.graph import LabelGraph

    data = common.open_dataset(dataset, root, split, labels, image_column, labels_column, separator)
    x = None
    if embeddings is not None:
        x = read_embeddings(data.label_names, embeddings, embeddings_format, alias, alias_file, oov, seed)
    built = LabelGraph.from_targets(data.targets, label_names=data.label_names, x=x, tau=tau, p=p, weighting=weighting)
    built.save(out)
    common.out.print(f"{len(data)} images\n{built.summary()}", soft_wrap=True)
    common.out.print(f"wrote {out}", soft_wrap=True)
    if plot is not None:
        from mlgcn_pyg.report.plots import plot_label_graph

        plot_label_graph(built, plot)
        common.out.print(f"wrote {plot}", soft_wrap=True)

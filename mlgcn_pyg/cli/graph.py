"""``mlgcn graph``: annotations to label graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.checks import bad_input
from mlgcn_pyg.cli import common


@common.opens_dataset
def graph(
    open_data: Callable,
    out: Annotated[Path, typer.Option(help="File for the label graph (.pt).")],
    embeddings: Annotated[Path | None, typer.Option(help="GloVe text file; one-hot embeddings without it.")] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(help="What a label's name means in words, e.g. 'tvmonitor=tv monitor'; repeatable."),
    ] = None,
    tau: Annotated[float, typer.Option(help="Edges are the pairs with P(L_j|L_i) ≥ tau.")] = 0.4,
    p: Annotated[float, typer.Option(help="Share of the neighbours in the propagation (Eq. 8).")] = 0.2,
    weighting: Annotated[str, typer.Option(help="paper, released, binary or none.")] = "paper",
    plot: Annotated[Path | None, typer.Option(help="Also draw the graph to this PNG file.")] = None,
) -> None:
    """Build a label graph from training annotations; no photograph is opened."""
    from mlgcn_pyg.graph import LabelGraph, glove_embeddings
    from mlgcn_pyg.graph.embeddings import ALIASES

    data = open_data()
    x = None
    if embeddings is not None:
        with common.err.status(f"reading {embeddings.name}"):
            x = glove_embeddings(data.label_names, embeddings, ALIASES | _aliases(alias or []))
    built = LabelGraph.from_targets(data.targets, label_names=data.label_names, x=x, tau=tau, p=p, weighting=weighting)
    built.save(out)
    common.out.print(f"{len(data)} images\n{built.summary()}", soft_wrap=True)
    common.out.print(f"wrote {out}", soft_wrap=True)
    if plot is not None:
        from mlgcn_pyg.report.plots import plot_label_graph

        plot_label_graph(built, plot)
        common.out.print(f"wrote {plot}", soft_wrap=True)


def _aliases(pairs: list[str]) -> dict[str, str]:
    """``["tvmonitor=tv monitor"]`` as a table."""
    table = {}
    for pair in pairs:
        name, sign, words = pair.partition("=")
        if not (sign and name.strip() and words.strip()):
            raise bad_input("alias", "label=words, e.g. 'tvmonitor=tv monitor'", repr(pair))
        table[name.strip()] = words.strip()
    return table

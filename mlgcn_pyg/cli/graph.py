"""``mlgcn graph``: builds a label graph from annotations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.dataset_options import DATASET, DatasetOptions
from mlgcn_pyg.cli.embedding_options import EMBEDDINGS, EmbeddingOptions
from mlgcn_pyg.cli.options import DATA, MODEL, OUTPUT, choice, option, takes
from mlgcn_pyg.errors import renamed_arguments

if TYPE_CHECKING:  # this loads torch
    from mlgcn_pyg.graph import LabelGraph

WEIGHTINGS = ("paper", "released", "binary", "none", "kernel")
PROBABILITIES = ("ratio", "wilson")


@takes(data=DATASET, how=EMBEDDINGS)
def graph(
    *,
    data: DatasetOptions,
    embeddings: Annotated[
        Path | None, option("Word vectors, label embeddings, or a file of mlgcn embed.", DATA, show_default="one-hot")
    ] = None,
    how: EmbeddingOptions,
    tau: Annotated[
        float,
        option("Threshold of the edges, in [0, 1]: i → j is an edge if P(j | i) ≥ tau. 0: the complete graph.", MODEL),
    ] = 0.4,
    p: Annotated[float, option("Weight of a label's neighbours in the propagation, in [0, 1] (Eq. 8).", MODEL)] = 0.2,
    weighting: Annotated[
        str, choice("Weights of the edges: paper, released, binary, none or kernel.", MODEL, WEIGHTINGS)
    ] = "paper",
    alpha: Annotated[float, option("Weight of the label similarities for --weighting kernel, in [0, 1].", MODEL)] = 0.5,
    probability: Annotated[
        str,
        choice("Estimate of P(j | i): ratio, or wilson, the lower bound of its 95 % interval.", MODEL, PROBABILITIES),
    ] = "ratio",
    min_count: Annotated[int, option("Images with both labels that an edge requires.", MODEL)] = 0,
    top_k: Annotated[
        int | None,
        option("Largest number of edges i → j of a label i; the most probable are kept.", MODEL, show_default="all"),
    ] = None,  # fmt: skip
    out: Annotated[Path, option("File for the label graph (.pt).", OUTPUT)],
    plot: Annotated[Path | None, option("Draw the graph to this file (.png, .svg or .pdf).", OUTPUT)] = None,
) -> None:
    """Build a label graph from training annotations. No image is opened.

    Under torchrun, each process counts a share of the images, and the first builds and writes the graph.
    """
    from mlgcn_pyg.distributed import Ranks
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.graph.shares import Share, merged

    def count() -> Share:
        opened = data.open()
        return Share.of(opened.targets, opened.label_names, ranks.rank, ranks.size)

    def build() -> None:
        counter, names = merged(shares), shares[0].label_names
        x = None if embeddings is None else how.read(names, embeddings)
        built = LabelGraph.from_counter(
            counter,
            label_names=names,
            x=x,
            tau=tau,
            p=p,
            weighting=weighting,
            alpha=alpha,
            probability=probability,
            min_count=min_count,
            top_k=top_k,
        )
        built.save(out)
        console.say(f"{counter.num_images} images\n{built.summary()}")
        console.say(f"Wrote {out}")
        if plot is not None:
            _draw(built, plot)

    with Ranks() as ranks:
        shares = ranks.gather(count)
        ranks.share(build)


def _draw(graph: "LabelGraph", path: Path) -> None:
    from mlgcn_pyg.report.plots import plot_label_graph

    with renamed_arguments(path="plot"):
        plot_label_graph(graph, path)
    console.say(f"Wrote {path}")

"""``mlgcn graph``: builds a label graph from annotations and from known edges."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.dataset_options import OPTIONAL_DATASET, OptionalDatasetOptions
from mlgcn_pyg.cli.embedding_options import EMBEDDINGS, SOURCES, EmbeddingOptions
from mlgcn_pyg.cli.knowledge_options import KNOWLEDGE, KnowledgeOptions
from mlgcn_pyg.cli.options import DATA, MODEL, OUTPUT, choice, option, takes
from mlgcn_pyg.errors import Argument, InputError, renamed_arguments

if TYPE_CHECKING:  # this loads torch
    from mlgcn_pyg.graph import LabelGraph

WEIGHTINGS = ("paper", "released", "binary", "none", "kernel")
PROBABILITIES = ("ratio", "wilson")
# options of counted edges, and their defaults
COUNTED: dict[str, object] = {"alpha": 0.5, "probability": "ratio", "min_count": 0, "top_k": None}


@takes(data=OPTIONAL_DATASET, knowledge=KNOWLEDGE, how=EMBEDDINGS)
def graph(
    *,
    data: OptionalDatasetOptions,
    knowledge: KnowledgeOptions,
    embeddings: Annotated[str | None, option(SOURCES, DATA, show_default="one-hot")] = None,
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
    """Build a label graph from training annotations, from known edges, or from both. No image is opened.

    Under torchrun, each process counts a share of the images, and the first builds and writes the graph.
    """
    from mlgcn_pyg.distributed import Ranks
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.graph.shares import Share, merged

    shared: dict[str, Any] = {"tau": tau, "p": p, "weighting": weighting}
    counted: dict[str, Any] = {"alpha": alpha, "probability": probability, "min_count": min_count, "top_k": top_k}
    if not data.given:
        _check_known(knowledge, counted)

    def count() -> Share:
        opened = data.open()
        return Share.of(opened.targets, opened.label_names, ranks.rank, ranks.size)

    def build() -> None:
        if not data.given:
            built = _known(knowledge, embeddings, how, shared)
        else:
            counter, names = merged(shares), shares[0].label_names
            console.say(f"{counter.num_images} images")
            x = None if embeddings is None else how.read(names, embeddings)
            built = LabelGraph.from_counter(counter, label_names=names, x=x, **shared, **counted)
            built = knowledge.merged_into(built)
        _write(built, out, plot)
        console.say(f"Next: {_next(data, out)}")

    with Ranks() as ranks:
        shares = ranks.gather(count) if data.given else []
        ranks.share(build)


def _check_known(knowledge: KnowledgeOptions, counted: Mapping[str, object]) -> None:
    """Checks the options of a graph without a data set."""
    if not knowledge.given:
        fix = ("give ", Argument("dataset"), ", ", Argument("edges"), ", ", Argument("hierarchy"), " or ",
               Argument("similar"))  # fmt: skip
        raise InputError("dataset", "a data set, or known edges", "neither", fix)
    for name, value in counted.items():
        if value != COUNTED[name]:
            raise InputError(name, "no value without a data set, whose labels are counted", value)


def _known(
    knowledge: KnowledgeOptions, embeddings: str | None, how: EmbeddingOptions, settings: Mapping[str, Any]
) -> "LabelGraph":
    """Returns the graph of known edges alone."""
    from mlgcn_pyg.graph import LabelGraph

    names = knowledge.label_names(embeddings)
    x = None if embeddings is None else how.read(names, embeddings)
    known = knowledge.graph(names, x, **settings)
    return known if x is None else LabelGraph.from_edges(known.to_frame(), label_names=names, x=x, **settings)


def _next(data: OptionalDatasetOptions, out: Path) -> str:
    """Returns the commands that use the graph."""
    train = [
        "mlgcn",
        "train-head",
        "--graph",
        str(out),
        "--train",
        "train.h5",
        "--val",
        "val.h5",
        "--out",
        "runs/heads",
    ]
    if not data.given:
        return f"{shlex.join(train)}, with features of mlgcn extract"
    labels = ["--graph", str(out)] if data.dataset == "table" else []
    extract = ["mlgcn", "extract", *data.words(), *labels, "--out", "train.h5"]
    return f"{shlex.join(extract)}, the same for validation images, then {shlex.join(train)}"


def _write(graph: "LabelGraph", out: Path, plot: Path | None) -> None:
    graph.save(out)
    console.say(str(graph.summary()))
    console.say(f"Wrote {out}")
    if plot is not None:
        _draw(graph, plot)


def _draw(graph: "LabelGraph", path: Path) -> None:
    from mlgcn_pyg.report.plots import plot_label_graph

    with renamed_arguments(path="plot"):
        plot_label_graph(graph, path)
    console.say(f"Wrote {path}")

"""Parts of the labels and of the targets on which effects may differ."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph

FREQUENCIES = ("frequent labels", "labels of medium frequency", "rare labels")
RECEIVERS, OTHERS = "labels that receive messages", "labels that receive none"
IN_CONTEXT, OUT_OF_CONTEXT = "images in context", "images out of context"


@dataclass(frozen=True, eq=False)
class Group:
    """Some labels, on all images or on some.

    Attributes:
        name: what they are.
        labels: the numbers of the labels.
        context: (N, C) the targets that count; None for all.
    """

    name: str
    labels: NDArray[np.int64] = field(repr=False)
    context: NDArray[np.bool_] | None = field(default=None, repr=False)


def groups(graph: LabelGraph | None, positives: ArrayLike, targets: ArrayLike) -> list[Group]:
    """Returns groups of labels by frequency and by their place in the graph, and the targets in and out of context.

    * Labels by frequency: thirds of the labels, by their numbers of positive training images. Two labels have none.
    * Labels that receive messages in the graph, and those that receive none.
    * A target of label i is in context where the image has a partner of i, a label that an edge of either direction
      connects with i, and out of context where it has none. Labels without an edge are in neither.

    Edges of a kernel graph, which connects all labels, are those that τ selects. A group without labels, or with all of
    them on all images, is left out.

    Args:
        graph: the label graph; None for the groups by frequency only.
        positives: (C,) the number of positive training images of each label.
        targets: (N, C) in {-1, 0, 1}; an unknown partner counts as absent.

    Raises:
        InputError: if the numbers of labels differ.

    >>> graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], tau=0.8)  # an edge 1 → 0
    >>> for group in groups(graph, [3, 1, 2], [[1, 0, 0], [0, 1, 1]]):
    ...     print(group.name, group.labels)
    frequent labels [0]
    labels of medium frequency [2]
    rare labels [1]
    labels that receive messages [1]
    labels that receive none [0 2]
    images in context [0 1]
    images out of context [0 1]
    """
    present = np.asarray(targets) == 1
    counts = np.asarray(positives)
    num_labels = present.shape[1]
    if counts.shape != (num_labels,):
        raise InputError("positives", f"one number for each of {num_labels} labels", f"shape {counts.shape}")
    found = [Group(name, labels) for name, labels in _by_frequency(counts).items()]
    if graph is not None:
        if graph.num_labels != num_labels:
            raise InputError("graph", f"a graph of {num_labels} labels", f"one of {graph.num_labels}")
        found += _by_messages(graph) + _by_context(graph, present)
    return [
        group for group in found if len(group.labels) and (group.context is not None or len(group.labels) < num_labels)
    ]


def _by_frequency(counts: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Returns thirds of the labels, the first of which may have one more; none of fewer than three labels."""
    if len(counts) < len(FREQUENCIES):
        return {}
    order = np.argsort(-counts, kind="stable")
    return {name: np.sort(third) for name, third in zip(FREQUENCIES, np.array_split(order, 3), strict=True)}


def _by_messages(graph: LabelGraph) -> list[Group]:
    sources, ends = _edges(graph)
    receivers = np.unique(sources if graph.flow == "target_to_source" else ends)
    return [Group(RECEIVERS, receivers), Group(OTHERS, np.setdiff1d(np.arange(graph.num_labels), receivers))]


def _by_context(graph: LabelGraph, present: NDArray[np.bool_]) -> list[Group]:
    sources, ends = _edges(graph)
    partners = np.zeros((graph.num_labels, graph.num_labels), dtype=np.float32)
    partners[sources, ends] = partners[ends, sources] = 1
    connected = np.flatnonzero(partners.any(axis=0))
    near = present.astype(np.float32) @ partners > 0
    return [Group(IN_CONTEXT, connected, near), Group(OUT_OF_CONTEXT, connected, ~near)]


def _edges(graph: LabelGraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns i and j of the edges i → j between different labels; those of a kernel graph have a probability > 0."""
    sources, ends = graph.edge_index.cpu().numpy()
    chosen = (graph.edge_prob.cpu().numpy() > 0) & (sources != ends)
    return sources[chosen], ends[chosen]

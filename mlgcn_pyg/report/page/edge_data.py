"""The edges that a page embeds: those of the graph, and the weights that heads learned for them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.edges import certain_probabilities, selected_edges
from mlgcn_pyg.graph.weighting import defined_weights
from mlgcn_pyg.report.page.content import PageContent

MOST = 4000  # edges in a page: the slider redraws them within a moment
MOST_LABELS = 2000  # labels in the picture, which are placed by their distances (n, n)


@dataclass(frozen=True, eq=False)
class EdgeData:
    """Edges i → j with P.

    Attributes:
        source: (E,) i.
        target: (E,) j.
        prob: (E,) P(L_j|L_i), float64.
        tau: τ at first.
        learned: head → (E,), the weight of each edge divided by the mean weight of the edges with the same receiver;
            NaN for an edge that the head does not have.
        left_out: the number of edges that are left out.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    prob: NDArray[np.float64]
    tau: float
    learned: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    left_out: int = 0

    @property
    def labels(self) -> NDArray[np.int64]:
        """The labels with an edge, in order."""
        return np.unique(np.concatenate([self.source, self.target]))


def edge_data(content: PageContent, most: int = MOST) -> EdgeData:
    """Returns the ``most`` edges with the highest lower bound of P, in the order of the graph.

    A rare label has many edges with P = 1 by chance, which would leave no room for others.

    Args:
        content: the page, which has a graph.
        most: the largest number of edges.
    """
    graph = content.graph
    assert graph is not None
    selected = selected_edges(graph).cpu().numpy()
    pairs = graph.edge_index.cpu().numpy()[:, selected]
    prob = graph.edge_prob.cpu().double().numpy()[selected]
    kept = kept_edges(pairs, certain_probabilities(graph).cpu().numpy()[selected], most, MOST_LABELS)
    learned = {
        head.name: relative_weights(head.graph, pairs[:, kept])
        for head in content.heads
        if head.graph is not None and is_learned(head.graph)
    }
    tau = graph.tau if content.tau is None else max(content.tau, graph.tau)
    return EdgeData(pairs[0, kept], pairs[1, kept], prob[kept], tau, learned, len(prob) - len(kept))


def kept_edges(pairs: NDArray[np.int64], rank: NDArray[np.float64], most: int, most_labels: int) -> NDArray[np.int64]:
    """Returns the numbers of the edges of the highest rank: at most ``most``, with at most ``most_labels`` labels.

    >>> kept_edges(np.array([[0, 1, 2], [1, 0, 3]]), np.array([0.5, 0.9, 0.7]), 3, 3).tolist()
    [1]
    """
    order = np.argsort(-rank, kind="stable")[:most]
    ends = pairs[:, order].T.ravel()
    first_seen = np.zeros(len(ends), dtype=np.int64)
    first_seen[np.unique(ends, return_index=True)[1]] = 1
    labels = first_seen.cumsum()[1::2]  # after each edge
    return np.sort(order[labels <= most_labels])


def is_learned(graph: LabelGraph) -> bool:
    """Whether the weights of a graph differ from those that its weighting defines."""
    return bool(graph.edge_index.size(1)) and defined_weights(graph) is None


def relative_weights(graph: LabelGraph, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns (E,) the weight of each of ``pairs`` (2, E), divided by the mean weight of its receiver's edges.

    1 is the weight of Eq. 8, in which all edges of a receiver are equal. A pair that is no edge has NaN.
    """
    index, weight = graph.edge_index.cpu().numpy(), graph.edge_weight.detach().cpu().double().numpy()
    receiver = index[0] if graph.flow == "target_to_source" else index[1]
    total = np.bincount(receiver, weight, minlength=graph.num_labels)
    number = np.bincount(receiver, minlength=graph.num_labels)
    ratio = weight * number[receiver] / np.where(total[receiver] == 0, np.nan, total[receiver])
    key = index[0] * graph.num_labels + index[1]
    order = np.argsort(key)
    wanted = pairs[0] * graph.num_labels + pairs[1]
    place = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
    found = order[place]
    relative: NDArray[np.float64] = np.where(key[found] == wanted, ratio[found], np.nan)
    return relative

"""Weights of edges that are given instead of computed from p and the weighting."""

import numpy as np
import torch
from numpy.typing import NDArray

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.graph.fields import GraphFields
from mlgcn_pyg.graph.known_edges import KnownEdges

PAPER = "paper"


def set_given_weights(graph: GraphFields, weight: NDArray[np.float64]) -> None:
    r"""Sets :math:`\hat{A}_{ij} = p \, w_{ij} / \sum_k w_{ik}`.

    Args:
        graph: a graph with the weights that p and its weighting define.
        weight: w (E,) ≥ 0, in the order of its edges.

    Raises:
        InputError: if the weights differ from those that the graph has, and the weighting is not ``"paper"`` or a
            weight is 0.
    """
    if np.allclose(graph.edge_weight.double().cpu().numpy(), weight, rtol=1e-6, atol=1e-9):
        return
    if graph.weighting != PAPER:
        fix: list[str | Argument] = ["leave the weights out, or pass ", Argument("weighting", PAPER)]
        found = f"other weights for weighting {graph.weighting!r}"
        raise InputError("edges", "the weights that p and the weighting define", found, fix)
    receiver, sender = graph.edge_index.cpu().numpy()
    if len(zero := np.flatnonzero(weight == 0)):
        found = f"0 for {graph.label_names[receiver[zero[0]]]} → {graph.label_names[sender[zero[0]]]}"
        raise InputError("edges", "a weight > 0 for every edge", found, "leave an edge out that has no weight")
    share = relative(weight, receiver, graph.num_labels)
    total = np.bincount(receiver, share, graph.num_labels)
    graph.edge_weight = torch.from_numpy(graph.p * share / total[receiver]).to(graph.edge_weight)


def relative(weight: NDArray[np.float64], receiver: NDArray[np.int64], num_labels: int) -> NDArray[np.float64]:
    """Returns the weights (E,) divided by the largest of their receiver; equal weights become exactly 1.

    Weights that were stored in float32 and are equal up to its rounding become 1, too.

    >>> relative(np.array([0.1, 0.1, 3.0, 6.0]), np.array([0, 0, 1, 1]), 2)
    array([1. , 1. , 0.5, 1. ])
    """
    largest = np.zeros(num_labels)
    np.maximum.at(largest, receiver, weight)
    share = np.divide(weight, largest[receiver], out=np.ones_like(weight), where=largest[receiver] > 0)
    return np.where(share > 1 - 1e-6, 1.0, share)


def check_no_weights(edges: KnownEdges, num_labels: int) -> None:
    """Checks that no weights are given, or equal ones for the edges of each receiver, which say nothing.

    Raises:
        InputError: if they are different.
    """
    if edges.weight is not None and bool((relative(edges.weight, edges.source, num_labels) < 1).any()):
        fix = "build a graph of all edges with LabelGraph.from_edges, which takes given weights"
        raise InputError("edges", "edges without weights, which p and the weighting define", "given weights", fix)

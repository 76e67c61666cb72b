r"""The re-weighted adjacency Â of a label graph: how labels mix in one graph convolution.

A label keeps the share 1 − p of its features and receives the share p from its neighbours. With A the binary adjacency
of the edges i → j (P(L_j|L_i) ≥ τ, i ≠ j):

=================== ===================================================================== =====================
weighting           Â                                                                     receiver
=================== ===================================================================== =====================
``"paper"``         Â_ij = p · A_ij / Σ_{k≠i} A_ik,  Â_ii = 1 − p  (Eq. 8)                i, from each j
``"released"``      Â_ji = d_j · B_ij · d_i,  B = p·A / colsum(A) + (1−p)·I,              j, from each i
                    d = rowsum(B)^-1/2  (the authors' code)
``"binary"``        Â = D^-1/2 (A + I) D^-1/2,  D = rowsum(A + I)  (Table 1)              i, from each j
``"none"``          Â = I  (the row p = 0 of Sec. 4.3.2)                                  –
=================== ===================================================================== =====================

Eq. 8 as printed lacks the factor A_ij; the formula above includes its published correction. ``"released"`` is the
transpose of Eq. 8 with a symmetric normalisation. The normalisation is independent of the scale of B, so the authors'
constant 0.25 with a self weight of 1 equals p = 0.25 / 1.25 = 0.2.

For every weighting, ``edge_index[0]`` is i and ``edge_index[1]`` is j. Â is never stored as a matrix: the functions
return its entries at the edges (E,) and its diagonal (C,). For ``"paper"``, Eq. 8 is this code::

    out_degree = degrees(edge_index[0], num_labels)    # Σ_{k≠i} A_ik
    edge_weight = p / out_degree[edge_index[0]]        # Â_ij
    self_weight = torch.full_like(out_degree, 1 - p)   # Â_ii

For ``"paper"``, a label without outgoing edges also has Â_ii = 1 − p, as in Eq. 8.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_number
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.fields import GraphFields

Weights = tuple[Tensor, Tensor]
TOLERANCE = 1e-4  # relative; the released code adds 1e-6 to a denominator


def degrees(index: Tensor, num_labels: int) -> Tensor:
    """Returns how often each label occurs in ``index`` (E,), as float64 (C,)."""
    return torch.bincount(index, minlength=num_labels).to(torch.float64)


def paper_weights(edge_index: Tensor, num_labels: int, p: float) -> Weights:
    """Returns Â_ij = p · A_ij / Σ_{k≠i} A_ik and Â_ii = 1 − p (Eq. 8 with its published correction)."""
    source = edge_index[0]
    out_degree = degrees(source, num_labels)
    return p / out_degree[source], torch.full_like(out_degree, 1 - p)


def released_weights(edge_index: Tensor, num_labels: int, p: float, loops: Tensor | None = None) -> Weights:
    """Returns Â_ji = d_j · B_ij · d_i with B = p·A / colsum(A) + (1−p)·I and d = rowsum(B)^-1/2.

    Args:
        edge_index: (2, E) different edges i → j with i ≠ j.
        num_labels: C.
        p: share that a label receives from its neighbours, in [0, 1).
        loops: (C,) 1 where A_ii = 1, else 0; default: 0.

    Raises:
        InputError: if p ≥ 1, for which a row sum of B can be 0.
    """
    if p >= 1:
        raise InputError("p", "p < 1 for weighting 'released', which requires positive row sums", p)
    source, target = edge_index
    column_sum = degrees(target, num_labels)
    diagonal = torch.full_like(column_sum, 1 - p)
    if loops is not None:
        column_sum = column_sum + loops
        diagonal = diagonal + p * loops / column_sum.clamp(min=1)
    b = p / column_sum[target]
    d = diagonal.index_add(0, source, b).rsqrt()
    return d[target] * b * d[source], diagonal * d * d


def binary_weights(edge_index: Tensor, num_labels: int, p: float) -> Weights:
    """Returns Â = D^-1/2 (A + I) D^-1/2 with D the row sums of A + I (Table 1, "ML-GCN (Binary)"); p is ignored."""
    source, target = edge_index
    d = (degrees(source, num_labels) + 1).rsqrt()
    return d[source] * d[target], d * d


def no_weights(edge_index: Tensor, num_labels: int, p: float) -> Weights:
    """Returns Â = I: no label receives from a neighbour (the row p = 0 of Sec. 4.3.2); p is ignored."""
    ones = torch.ones(num_labels, dtype=torch.float64, device=edge_index.device)
    return ones.new_zeros(edge_index.size(1)), ones


# weighting → (function that computes the entries of Â, PyG's flow: "target_to_source" if i receives from j)
WEIGHTINGS: dict[str, tuple[Callable[[Tensor, int, float], Weights], str]] = {
    "paper": (paper_weights, "target_to_source"),
    "released": (released_weights, "source_to_target"),
    "binary": (binary_weights, "target_to_source"),
    "none": (no_weights, "target_to_source"),
}


def reweight(edge_index: Tensor, num_labels: int, p: float, weighting: str) -> tuple[Tensor, Tensor, str]:
    """Computes the entries of Â.

    Args:
        edge_index: (2, E) different edges i → j with i ≠ j.
        num_labels: C.
        p: share that a label receives from its neighbours, in [0, 1]; below 1 for ``"released"``.
        weighting: ``"paper"``, ``"released"``, ``"binary"`` or ``"none"``.

    Returns:
        ``edge_weight`` (E,) and ``self_weight`` (C,) in float64, and PyG's ``flow``.

    Raises:
        InputError: if the weighting is unknown or p is out of range.

    >>> edge_weight, self_weight, flow = reweight(torch.tensor([[0, 0], [1, 2]]), 3, 0.2, "paper")
    >>> edge_weight.tolist(), self_weight.tolist(), flow
    ([0.1, 0.1], [0.8, 0.8, 0.8], 'target_to_source')
    """
    weights, flow = WEIGHTINGS[check_choice("weighting", weighting, WEIGHTINGS)]
    edge_weight, self_weight = weights(edge_index, num_labels, check_number("p", p, 0, 1))
    return edge_weight, self_weight, flow


def defined_weights(graph: GraphFields) -> Weights | None:
    """Returns the float64 weights that p and the weighting of a graph define; None if the graph has different ones.

    Learned weights, weights that were changed by hand, and those of a released matrix of a different form differ.

    Args:
        graph: a label graph.
    """
    edge_weight, self_weight, _ = reweight(graph.edge_index, graph.num_labels, graph.p, graph.weighting)
    for defined, stored in ((edge_weight, graph.edge_weight), (self_weight, graph.self_weight)):
        tolerance = max(TOLERANCE, 4 * torch.finfo(stored.dtype).eps)
        if defined.shape != stored.shape or not torch.allclose(stored.double(), defined, rtol=tolerance, atol=1e-7):
            return None
    return edge_weight, self_weight

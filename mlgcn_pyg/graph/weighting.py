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
``"kernel"``        Â = ((1−α)I + αK)^½, K the similarities of labels                     i and j, from each other
                    (:mod:`mlgcn_pyg.graph.kernel`)
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

``"kernel"`` is not a function of the edges. It requires the pair counts, and each entry of Â above 1e-6 in magnitude
becomes an edge. p has no effect.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_number
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.fields import GraphFields
from mlgcn_pyg.graph.kernel import KERNEL, kernel_spectrum

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
EDGE_WEIGHTINGS: dict[str, tuple[Callable[[Tensor, int, float], Weights], str]] = {
    "paper": (paper_weights, "target_to_source"),
    "released": (released_weights, "source_to_target"),
    "binary": (binary_weights, "target_to_source"),
    "none": (no_weights, "target_to_source"),
}
WEIGHTINGS = (*EDGE_WEIGHTINGS, KERNEL)


def flow_of(weighting: str) -> str:
    """Returns PyG's flow for one of :data:`WEIGHTINGS`."""
    return "target_to_source" if weighting == KERNEL else EDGE_WEIGHTINGS[weighting][1]


def reweight(edge_index: Tensor, num_labels: int, p: float, weighting: str) -> tuple[Tensor, Tensor, str]:
    """Computes the entries of Â from the edges.

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
    weights, flow = EDGE_WEIGHTINGS[check_choice("weighting", weighting, EDGE_WEIGHTINGS)]
    edge_weight, self_weight = weights(edge_index, num_labels, check_number("p", p, 0, 1))
    return edge_weight, self_weight, flow


def defined_weights(graph: GraphFields) -> Weights | None:
    """Returns the float64 weights that p and the weighting of a graph define; None if the graph has different ones.

    Learned weights, weights that were changed by hand, and those of a released matrix of a different form differ. For
    weighting ``"kernel"``, the weights are computed from K and α.

    Args:
        graph: a label graph.
    """
    if graph.weighting == KERNEL and graph.kernel is not None and graph.alpha is not None:
        defined = entries(kernel_spectrum(graph.kernel).operator(graph.alpha), graph.edge_index)
    else:
        defined = reweight(graph.edge_index, graph.num_labels, graph.p, graph.weighting)[:2]
    for weights, stored in zip(defined, (graph.edge_weight, graph.self_weight), strict=True):
        tolerance = max(TOLERANCE, 4 * torch.finfo(stored.dtype).eps)
        if weights.shape != stored.shape or not torch.allclose(stored.double(), weights, rtol=tolerance, atol=1e-7):
            return None
    return defined


def entries(dense: Tensor, edge_index: Tensor) -> Weights:
    """Returns the entries of a matrix Â (C, C) at the edges (E,) and its diagonal (C,), for "target_to_source"."""
    source, target = edge_index
    return dense[source, target], dense.diagonal().clone()

"""How a label listens to its neighbours: the entries of Â, edge by edge, never C×C.

Edges i → j (P(L_j|L_i) ≥ τ) have ``edge_index[0] = i`` and ``edge_index[1] = j`` under every weighting.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_number
from mlgcn_pyg.errors import InputError

Weights = tuple[Tensor, Tensor]


def degrees(index: Tensor, num_labels: int) -> Tensor:
    """How often each label stands in ``index`` (E,), as (C,) float64."""
    return torch.bincount(index, minlength=num_labels).to(torch.float64)


def paper_weights(edge_index: Tensor, num_labels: int, p: float) -> Weights:
    """Â_ij = p · A_ij / Σ_{k≠i} A_ik, Â_ii = 1 − p (Eq. 8, with the factor A_ij of its published correction)."""
    source = edge_index[0]
    out_degree = degrees(source, num_labels)
    return p / out_degree[source], torch.full_like(out_degree, 1 - p)


def released_weights(edge_index: Tensor, num_labels: int, p: float) -> Weights:
    """B = p·A / colsum(A) + (1−p)·I, d = rowsum(B)^-1/2, Â_ji = d_j · B_ij · d_i (the authors' released code)."""
    if p >= 1:
        raise InputError("p", "p < 1 for weighting 'released' (its row sums must be positive)", p)
    source, target = edge_index
    b = p / degrees(target, num_labels)[target]
    row_sum = torch.full_like(degrees(source, num_labels), 1 - p).index_add_(0, source, b)
    d = row_sum.rsqrt()
    return d[target] * b * d[source], (1 - p) * d * d


def binary_weights(edge_index: Tensor, num_labels: int, p: float) -> Weights:
    """Â = D^-1/2 (A + I) D^-1/2 with D the row sums of A + I (Table 1, "ML-GCN (Binary)"); p plays no part."""
    source, target = edge_index
    d = (degrees(source, num_labels) + 1).rsqrt()
    return d[source] * d[target], d * d


def no_weights(edge_index: Tensor, num_labels: int, p: float) -> Weights:
    """Â = I: every label keeps to itself (the p = 0 row of Sec. 4.3.2); p plays no part."""
    ones = torch.ones(num_labels, dtype=torch.float64, device=edge_index.device)
    return ones.new_zeros(edge_index.size(1)), ones


# weighting → (its weights, who receives in PyG's words: "target_to_source" lets i hear from j)
WEIGHTINGS: dict[str, tuple[Callable[[Tensor, int, float], Weights], str]] = {
    "paper": (paper_weights, "target_to_source"),
    "released": (released_weights, "source_to_target"),
    "binary": (binary_weights, "target_to_source"),
    "none": (no_weights, "target_to_source"),
}


def reweight(edge_index: Tensor, num_labels: int, p: float, weighting: str) -> tuple[Tensor, Tensor, str]:
    """The off-diagonal entries of Â at the edges, its diagonal, and PyG's flow.

    Args:
        edge_index: (2, E) distinct edges i → j with i ≠ j.
        num_labels: C.
        p: share of the neighbours, 0 ≤ p ≤ 1 (p < 1 for ``"released"``).
        weighting: ``"paper"``, ``"released"``, ``"binary"`` or ``"none"``.

    Returns:
        ``edge_weight`` (E,) and ``self_weight`` (C,) in float64, and ``flow``.

    Raises:
        InputError: unknown weighting, or p out of range.

    >>> edge_weight, self_weight, flow = reweight(torch.tensor([[0, 0], [1, 2]]), 3, 0.2, "paper")
    >>> edge_weight.tolist(), self_weight.tolist(), flow
    ([0.1, 0.1], [0.8, 0.8, 0.8], 'target_to_source')
    """
    weights, flow = WEIGHTINGS[check_choice("weighting", weighting, WEIGHTINGS)]
    edge_weight, self_weight = weights(edge_index, num_labels, check_number("p", p, 0, 1))
    return edge_weight, self_weight, flow

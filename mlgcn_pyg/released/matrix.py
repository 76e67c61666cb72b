"""Converts the matrix A of a released checkpoint to a label graph, which propagates like the released network."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.fields import Array
from mlgcn_pyg.graph.label_graph import LabelGraph
from mlgcn_pyg.released.pickles import ReleasedCounts

TOLERANCE = 1e-4  # relative; the 1e-6 that the released code adds to a denominator changes A by far less
DEFAULT_P = 0.2  # the value of the paper


def graph_of_matrix(
    a: Tensor,
    *,
    label_names: Sequence[str] | None = None,
    x: Array | LabelEmbeddings | None = None,
    counts: ReleasedCounts | None = None,
    tau: float = 0.4,
) -> LabelGraph:
    r"""Builds the graph of the released re-weighted matrix A = q · edges / colsum(edges) + I, with q = 0.25.

    .. math:: \hat{A}_{ji} = d_j \, A_{ij} \, d_i, \qquad d = (\text{row sums of } A)^{-1/2}

    The edges are the nonzero entries of A off the diagonal, :math:`\hat{A}` is computed from A itself, and
    p = q / (1 + q). A does not contain counts or probabilities. Without ``counts``, every edge has P = 1, τ is 1, and
    all label counts are 0.

    If A does not have this form, a warning is issued. The entries of A are still used, and p is computed from the mean
    q.

    Args:
        a: (C, C), entries ≥ 0, rows with a positive sum.
        label_names: C unique names; default: the numbers 0…C−1.
        x: (C, F) label embeddings; default: one-hot.
        counts: the label counts and pair counts from which A was computed.
        tau: the threshold with which A was computed; ignored without ``counts``.

    Raises:
        InputError: if A is not such a matrix; if ``counts`` give different edges at ``tau``.

    >>> graph = graph_of_matrix(torch.tensor([[1.0, 0.25], [0.0, 1.0]]))
    >>> graph.edge_index.tolist(), graph.p, graph.weighting
    ([[0], [1]], 0.2, 'released')
    """
    a = _checked(a)
    source, target = edge_index = (a - a.diagonal().diag()).nonzero().t().contiguous()
    p = _estimated_p(a, edge_index)
    if counts is None:
        edge_prob, no_counts = torch.ones(len(source), dtype=torch.float64), torch.zeros(len(a), dtype=torch.int64)
        graph = LabelGraph._from_edges(
            edge_index, edge_prob, no_counts, EdgeRule(tau=1.0), label_names=label_names, x=x, p=p, weighting="released"
        )
    else:
        label_counts, pair_counts = counts
        graph = LabelGraph.from_counts(
            label_counts, pair_counts, label_names=label_names, x=x, tau=tau, p=p, weighting="released"
        )
        _check_edges(graph, edge_index, len(a))
    d = a.sum(1).rsqrt()
    graph.edge_weight = (d[target] * a[source, target] * d[source]).to(graph.edge_weight.dtype)
    graph.self_weight = (d * a.diagonal() * d).to(graph.self_weight.dtype)
    graph.validate()
    return graph


def _checked(a: Tensor) -> Tensor:
    """Returns A in float64 on the CPU, after checking that it can be normalised."""
    if a.dim() != 2 or a.size(0) != a.size(1) or not len(a) or not a.is_floating_point():
        raise InputError("a", "a square floating-point matrix", f"shape {tuple(a.shape)}, {a.dtype}")
    a = a.detach().double().cpu()
    if not bool(a.isfinite().all()) or bool((a < 0).any()) or bool((a.sum(1) <= 0).any()):
        found = f"entries from {a.min():g} to {a.max():g}, row sums from {a.sum(1).min():g}"
        raise InputError("a", "finite entries ≥ 0 with a positive sum in every row", found)
    return a


def _check_edges(graph: LabelGraph, edge_index: Tensor, num_labels: int) -> None:
    """Checks that a graph that was built from counts has the edges of A."""
    if graph.num_labels != num_labels or not torch.equal(graph.edge_index, edge_index):
        expected = f"the counts from which A was computed ({num_labels} labels, {edge_index.size(1)} edges)"
        num_edges = graph.edge_index.size(1)
        found = f"{graph.num_labels} labels and {num_edges} edges at tau = {graph.tau:g}, which differ from those of A"
        fix: list[str | Argument] = ["pass the ", Argument("tau"), " and the counts with which the network was trained"]
        raise InputError("counts", expected, found, fix)


def _estimated_p(a: Tensor, edge_index: Tensor) -> float:
    """Estimates p from A = s · (p · edges / colsum(edges) + (1 − p) · I), for any scale s.

    The released code counts a label as its own neighbour if its counts have the label counts on the diagonal.
    """
    if not edge_index.size(1):
        return DEFAULT_P  # without edges, p has no effect
    without_loops, with_loops = _fit(a, edge_index, loops=0), _fit(a, edge_index, loops=1)
    fit = with_loops if with_loops.is_exact and not without_loops.is_exact else without_loops
    if not fit.is_exact:
        warnings.warn(
            "A does not have the form of the released code; its entries are used, and p is computed from their mean",
            stacklevel=3,
        )
    return min(round(fit.q / (1 + fit.q), 6) if fit.q < float("inf") else 1.0, 1 - 1e-6)


@dataclass(frozen=True)
class Fit:
    """The q of A = s · (q · edges / colsum(edges) + I) that fits best, and whether A has exactly this form."""

    q: float
    is_exact: bool


def _fit(a: Tensor, edge_index: Tensor, loops: int) -> Fit:
    """Fits q and s.

    Args:
        a: A (C, C).
        edge_index: the entries off the diagonal.
        loops: the number of loops of each label, 0 or 1, which count in the sums of the columns.
    """
    source, target = edge_index
    diagonal = a.diagonal()
    in_degree = torch.bincount(target, minlength=len(a))
    counts = in_degree + loops
    sums = (a - diagonal.diag()).sum(0) * counts / in_degree.clamp(min=1)
    share = sums[in_degree > 0].mean()  # s · q
    deviation = (a[source, target] * counts[target] - share).abs().max()
    own = diagonal - loops * share / counts.clamp(min=1)  # s
    own_deviation = (own - own.mean()).abs().max()
    is_exact = bool(deviation <= TOLERANCE * share and own_deviation <= TOLERANCE * own.mean())
    return Fit(float(share / own.mean()) if own.mean() > 0 else float("inf"), is_exact)

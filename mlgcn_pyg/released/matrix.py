"""The matrix A that a released checkpoint holds, as a label graph that propagates exactly as the released network."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.label_graph import LabelGraph

SAME = 1e-4  # relative; the released code's own +1e-6 in a denominator is far below


def graph_of_matrix(
    a: Tensor, *, label_names: Sequence[str] | None = None, x=None, counts: tuple | None = None, tau: float = 0.4
) -> LabelGraph:
    r"""The graph of the released re-weighted matrix A = q · edges / colsum(edges) + I (q = 0.25), with

    .. math:: \hat{A}_{ji} = d_j \, A_{ij} \, d_i, \qquad d = (\text{row sums of } A)^{-1/2}

    held as computed from A itself. Edges are its entries off the diagonal, and p = q / (1 + q). Label counts and
    probabilities are not in A: without ``counts``, every edge counts as certain (P = 1 at τ = 1) and no image as seen.

    Args:
        a: (C, C), entries ≥ 0, rows with a positive sum.
        label_names, x: as of :meth:`LabelGraph.from_targets`.
        counts: the label counts (C,) and pair counts (C, C) that A was made of at ``tau``.

    Raises:
        InputError: another matrix; counts that give other edges at ``tau``.

    A matrix that is not of this form is held as it is, with a warning that p is but a mean.

    >>> graph = graph_of_matrix(torch.tensor([[1.0, 0.25], [0.0, 1.0]]))
    >>> graph.edge_index.tolist(), graph.p, graph.weighting
    ([[0], [1]], 0.2, 'released')
    """
    a = _checked(a)
    source, target = edge_index = (a - a.diagonal().diag()).nonzero().t().contiguous()
    options = {"label_names": label_names, "x": x, "p": _share(a, edge_index), "weighting": "released"}
    if counts is None:
        ones, unseen = torch.ones(len(source), dtype=torch.float64), torch.zeros(len(a), dtype=torch.int64)
        graph = LabelGraph._from_edges(edge_index, ones, unseen, EdgeRule(tau=1.0), **options)
    else:
        graph = LabelGraph.from_counts(*counts, tau=tau, **options)
        if graph.num_labels != len(a) or not torch.equal(graph.edge_index, edge_index):
            expected = f"the counts that A was made of ({len(a)} labels, {len(source)} edges)"
            found = f"{graph.num_labels} labels, {graph.edge_index.size(1)} edges at tau = {tau:g}, other than A's"
            raise InputError("adj", expected, found, "give the tau of the training, or the counts of its data set")
    d = a.sum(1).rsqrt()
    graph.edge_weight = (d[target] * a[source, target] * d[source]).to(graph.edge_weight.dtype)
    graph.self_weight = (d * a.diagonal() * d).to(graph.self_weight.dtype)
    graph.validate()
    return graph


def _checked(a: Tensor) -> Tensor:
    if a.dim() != 2 or a.size(0) != a.size(1) or not len(a) or not a.is_floating_point():
        raise InputError("A", "a square matrix of numbers", f"shape {tuple(a.shape)}, {a.dtype}")
    a = a.detach().double().cpu()
    if not bool(a.isfinite().all()) or bool((a < 0).any()) or bool((a.sum(1) <= 0).any()):
        raise InputError("A", "finite entries ≥ 0 with a positive sum in every row", "others")
    return a


def _share(a: Tensor, edge_index: Tensor) -> float:
    """p of A = s · (p · edges / colsum(edges) + (1 − p) · I)."""
    source, target = edge_index
    own = a.diagonal()
    if not len(source):
        return 0.2  # plays no part: the paper's
    off = a - own.diag()
    entries = torch.bincount(target, minlength=len(a))
    shares = off.sum(0)[entries > 0]
    alike = (off[source, target] * entries[target] - shares.mean()).abs().max() <= SAME * shares.mean()
    if not (alike and (own - own.mean()).abs().max() <= SAME * own.mean()):
        warnings.warn("A is not the released re-weighting: its entries are held, p is their mean share", stacklevel=3)
    q = float(shares.mean() / own.mean()) if own.mean() > 0 else float("inf")
    return min(round(q / (1 + q), 6) if q < float("inf") else 1.0, 1 - 1e-6)

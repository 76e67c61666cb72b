"""The spectra of features and labels, which decide which learning rates are stable and how much a penalty shrinks."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.nn import LabelGNNHead, MLGCNHead
from mlgcn_pyg.nn.gcn import LabelOperator
from mlgcn_pyg.nn.graph_module import GraphModule
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.typing import Head

ITERATIONS = 100  # of the power method; its estimate of an eigenvalue converges with the square of the ratio


@dataclass(frozen=True)
class Spectrum:
    """Properties of a matrix of products of vectors.

    Attributes:
        largest: its largest eigenvalue, at most 3 % too small if the next one is close to it.
        norm: the mean squared norm of the vectors.
    """

    largest: float
    norm: float


@dataclass(frozen=True)
class Spectra:
    """The spectra that the recipe ``"auto"`` depends on.

    Attributes:
        features: of E[x̃ x̃ᵀ] (D, D), where x̃ are the features that the classifiers receive.
        labels: of S Sᵀ (C, C), where S maps the last weight of the head to its classifiers.
    """

    features: Spectrum
    labels: Spectrum


@torch.no_grad()
def feature_spectrum(head: Head, sample: Tensor) -> Spectrum:
    """Returns the spectrum of the features that the classifiers of a head receive.

    Args:
        head: the head, whose statistics standardise the features.
        sample: features (n, V, D) on the CPU; all views count.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> feature_spectrum(LinearHead(1, 2), torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]]]))  # E[x xᵀ] = diag(2, 0.5)
    Spectrum(largest=2.0, norm=2.5)
    """
    rows = sample.flatten(0, 1).float()
    if isinstance(head, StandardizedHead):
        rows = head.standardized(rows.to(next(head.parameters()))).float().cpu()
    largest = _largest(lambda v: rows.t() @ (rows @ v), rows.size(1)) / len(rows)
    return Spectrum(largest, float(rows.double().square().sum()) / len(rows))


def label_spectrum(head: Head) -> Spectrum:
    """Returns the spectrum of the labels of a head with its current weights.

    S is ÂH for ML-GCN, the output G of the GNN for a head with a GNN, Â for label sharing and for ML-GCN with one layer
    on one-hot labels, and the identity for a linear head.

    >>> from mlgcn_pyg import LabelGraph
    >>> from mlgcn_pyg.nn import SharingHead
    >>> graph = LabelGraph.from_targets([[1, 1], [1, 0], [1, 0]], p=0.5)  # S = [[0.5, 0], [0.5, 0.5]]
    >>> label_spectrum(SharingHead(graph, num_features=3)).norm
    0.375
    """
    s = _factor(head)
    if s is None:
        return Spectrum(1.0, 1.0)
    if isinstance(s, Tensor):
        largest = _largest(lambda v: s.t() @ (s @ v), s.size(1), s)
        return Spectrum(largest, float(s.double().square().sum()) / len(s))
    squares = (float(entries.double().square().sum()) for entries in (s.edge_weight, s.self_weight))
    return Spectrum(_largest(lambda v: _gram(s, v), head.num_labels, s.self_weight), sum(squares) / head.num_labels)


@torch.no_grad()
def _factor(head: Head) -> Tensor | LabelOperator | None:
    """Returns S: a matrix (C, N), an operator (C, C), or None for the identity."""
    if not isinstance(head, GraphModule):
        return None
    if isinstance(head, LabelGNNHead):
        return copy.deepcopy(head).train().label_codes()  # batch normalisation scales the codes of training only
    if isinstance(head, MLGCNHead):
        h, weight = head.factors()
        if weight is not None:
            return h
    return LabelOperator(head.adjacency, *head.weights())


def _gram(operator: LabelOperator, v: Tensor) -> Tensor:
    """Returns ÂᵀÂv for v (C,), whose eigenvalues are those of ÂÂᵀ."""
    with torch.enable_grad():
        column = v.detach().unsqueeze(1).requires_grad_()
        propagated = operator(column)
    (back,) = torch.autograd.grad(propagated, column, propagated.detach())
    return back.squeeze(1)


def _largest(gram: Callable[[Tensor], Tensor], size: int, like: Tensor | None = None) -> float:
    """Returns the largest eigenvalue of a positive semi-definite map of vectors, by the power method."""
    # not orthogonal to the first eigenvector, except by accident
    v = torch.randn(size, generator=torch.Generator().manual_seed(0))
    v = v if like is None else v.to(like)
    value = 0.0
    for _ in range(ITERATIONS):
        v = v / v.norm().clamp(min=torch.finfo(v.dtype).tiny)
        product = gram(v)
        value, v = float(v @ product), product
    return value

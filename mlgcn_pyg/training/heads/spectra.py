"""The largest eigenvalues that decide which learning rates are stable."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.nn import MLGCNHead
from mlgcn_pyg.nn.gcn import LabelOperator
from mlgcn_pyg.nn.graph_module import GraphModule
from mlgcn_pyg.nn.standardize import StandardizedHead
from mlgcn_pyg.typing import Head

ITERATIONS = 100  # of the power method; its estimate of an eigenvalue converges with the square of the ratio


@dataclass(frozen=True)
class Spectra:
    """The largest eigenvalues that bound the curvature of the loss of a head.

    Attributes:
        features: λ₁(E[x̃ x̃ᵀ]) of the features that the classifiers receive.
        labels: λ₁(S Sᵀ), where S maps the last weight of the head to its classifiers; 1 for a linear head.
    """

    features: float
    labels: float


@torch.no_grad()
def feature_spectrum(head: Head, sample: Tensor) -> float:
    """Returns λ₁(E[x̃ x̃ᵀ]).

    Args:
        head: the head, whose statistics standardise the features.
        sample: features (n, V, D) on the CPU; all views count.
    """
    rows = sample.flatten(0, 1).float()
    if isinstance(head, StandardizedHead):
        rows = head.standardized(rows.to(next(head.parameters()))).float().cpu()
    return _largest(lambda v: rows.t() @ (rows @ v), rows.size(1)) / len(rows)


def label_spectrum(head: Head) -> float:
    """Returns λ₁(S Sᵀ) for the current weights of a head.

    S is ÂH for ML-GCN, Â for label sharing and for ML-GCN with one layer on one-hot labels, and the identity for a
    linear head.
    """
    if not isinstance(head, GraphModule):
        return 1.0
    if isinstance(head, MLGCNHead):
        with torch.no_grad():
            h, weight = head.factors()
        if weight is not None:
            return _largest(lambda v: h.t() @ (h @ v), h.size(1), h)
    operator = LabelOperator(head.adjacency, *(value.detach() for value in head.weights()))

    def gram(v: Tensor) -> Tensor:
        with torch.enable_grad():
            v = v.detach().unsqueeze(1).requires_grad_()
            propagated = operator(v)
            return torch.autograd.grad(propagated, v, propagated.detach())[0].squeeze(1)

    return _largest(gram, head.num_labels, head.self_weight)


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

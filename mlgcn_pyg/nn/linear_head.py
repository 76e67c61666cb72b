"""The fair baseline: one free classifier per label and no graph."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_label_names, check_positive
from mlgcn_pyg.errors import InputError


def check_features(features: Tensor, num_features: int) -> None:
    """InputError unless ``features`` has the shape (B, num_features)."""
    if features.dim() != 2 or features.size(1) != num_features:
        raise InputError("features", f"shape (batch, {num_features})", f"shape {tuple(features.shape)}")


class LinearHead(torch.nn.Module):
    """The fair baseline, one free classifier per label and no graph, with the face of :class:`MLGCNHead`.

    .. math:: \\text{logits} = \\mathbf{X} \\, \\mathbf{W}_{cls}^{\\top} + \\mathbf{b}

    Args:
        num_labels: C. num_features: D.
        label_names: C names; the numbers 0…C−1 by default.
        bias: learn an additive bias.

    Shapes:
        - **features:** (B, D) → **logits:** (B, C)

    >>> LinearHead(3, num_features=8)(torch.randn(2, 8)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self, num_labels: int, num_features: int = 2048, label_names: Sequence[str] | None = None, *, bias: bool = True
    ):
        super().__init__()
        self.label_names = check_label_names(label_names, check_positive("num_labels", num_labels))
        self.num_features = check_positive("num_features", num_features)
        self.linear = torch.nn.Linear(num_features, num_labels, bias=bias)

    @property
    def num_labels(self) -> int:
        return len(self.label_names)

    def reset_parameters(self) -> None:
        self.linear.reset_parameters()

    def classifiers(self) -> Tensor:
        """W_cls (C, D), without the bias."""
        return self.linear.weight

    def forward(self, features: Tensor) -> Tensor:
        check_features(features, self.num_features)
        return self.linear(features)

    @torch.no_grad()
    def to_linear(self) -> torch.nn.Linear:
        """A copy of the linear layer."""
        return fold(self.linear.weight, self.linear.bias)


def fold(weight: Tensor, bias: Tensor | None = None) -> torch.nn.Linear:
    """An ``nn.Linear`` with copies of ``weight`` (C, D) and ``bias`` (C,)."""
    sizes = {"in_features": weight.size(1), "out_features": weight.size(0), "bias": bias is not None}
    # without initialisation: it would take time, and numbers from the generator that training draws from
    linear = torch.nn.utils.skip_init(torch.nn.Linear, **sizes, device=weight.device, dtype=weight.dtype)
    linear.weight.copy_(weight)
    if bias is not None:
        linear.bias.copy_(bias)
    return linear

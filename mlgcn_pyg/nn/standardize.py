"""Standardised image features."""

from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_finite, check_tensor
from mlgcn_pyg.errors import InputError

LISTED = 20  # labels in a notebook


class Standardize(torch.nn.Module):
    r"""Centres each feature and scales it to a standard deviation of 1:

    .. math:: \tilde{\mathbf{x}} = (\mathbf{x} - \boldsymbol{\mu}) \odot \mathbf{s}, \qquad s_d = 1 / \sigma_d

    A constant feature has the scale 0 and stays 0, also for images in which it has a different value. A feature counts
    as constant if its standard deviation is within the rounding errors of its mean.

    Args:
        mean: μ (D,).
        std: σ (D,), the standard deviations.
        dtype: the type of the buffers.

    Attributes:
        mean: μ (D,).
        scale: s (D,).

    Shapes:
        - **features:** (B, D), or (S, B, D) for a stack of heads
        - **output:** the same shape

    Raises:
        InputError: if ``mean`` is not a finite vector, or ``std`` is not a finite vector of the same length without
            negative entries.

    >>> Standardize(mean=[1.0, 5.0], std=[2.0, 0.0])(torch.tensor([[3.0, 6.0]]))
    tensor([[1., 0.]])
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Any, std: Any, dtype: torch.dtype = torch.float32):
        super().__init__()
        mean, std = vector("mean", mean), vector("std", std)
        if std.shape != mean.shape:
            raise InputError("std", f"shape {tuple(mean.shape)}, as mean", f"shape {tuple(std.shape)}")
        if (std < 0).any():
            raise InputError("std", "standard deviations ≥ 0", f"{float(std.min()):g}")
        self.register_buffer("mean", mean.to(dtype))
        self.register_buffer("scale", _scale(mean.double(), std.double(), _precision(mean, std, dtype)).to(dtype))

    def forward(self, features: Tensor) -> Tensor:
        """Returns the standardised features."""
        return (features - self.mean) * self.scale

    def fold(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        r"""Returns the classifiers and the bias that give the same logits for features as they are:

        .. math:: \mathbf{W}' = \mathbf{W} \, \mathrm{diag}(\mathbf{s}), \qquad
            \mathbf{b}' = \mathbf{b} - \mathbf{W}' \boldsymbol{\mu}

        The bias is computed in float64, since its terms may be much larger than their sum.

        Args:
            weight: W (C, D).
            bias: b (C,); None means 0.
        """
        exact = torch.float32 if weight.device.type == "mps" else torch.float64  # MPS has no float64
        folded = weight * self.scale
        shift = folded.to(exact) @ self.mean.to(exact)
        return folded, (-shift if bias is None else bias.to(exact) - shift).to(weight.dtype)

    def extra_repr(self) -> str:
        return f"{len(self.mean)}"


def vector(argument: str, values: Any) -> Tensor:
    """Returns values as a floating-point vector."""
    tensor = check_tensor(argument, values).detach()
    if tensor.dim() != 1 or tensor.layout != torch.strided or tensor.is_complex() or tensor.dtype == torch.bool:
        found = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        raise InputError(argument, "a vector of real numbers", found)
    tensor = tensor if tensor.is_floating_point() else tensor.double()
    check_finite(argument, tensor)
    return tensor


def _precision(mean: Tensor, std: Tensor, dtype: torch.dtype) -> torch.finfo:
    """Returns the coarsest of the types in which features and statistics are computed."""
    return max((torch.finfo(kind) for kind in (mean.dtype, std.dtype, dtype)), key=lambda info: info.eps)


def _scale(mean: Tensor, std: Tensor, precision: torch.finfo) -> Tensor:
    """Returns 1/σ, or 0 where σ is at most 8 units of the last place of the mean: such a σ is a rounding error."""
    least = (8 * precision.eps * mean.abs()).clamp(min=precision.tiny)
    return torch.where(std > least, 1 / std.clamp(min=precision.tiny), 0.0)

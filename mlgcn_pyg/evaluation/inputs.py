"""The arguments that all functions of this part share: logits, targets and thresholds."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_finite, check_targets, check_tensor
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.tensor_checks import check_values


def check_scores(logits: Any, targets: Any) -> tuple[Tensor, Tensor]:
    """Returns logits (N, C) as floating-point numbers, and targets (N, C) as int8 on the device of the logits.

    Raises:
        InputError: if the logits are not finite real numbers, the targets have values other than −1, 0 and 1, or the
            shapes differ.

    >>> check_scores([[2, -1]], [[1, 0]])
    (tensor([[ 2., -1.]], dtype=torch.float64), tensor([[1, 0]], dtype=torch.int8))
    """
    logits = _real("logits", logits).detach()
    targets = check_targets("targets", targets).to(logits.device)
    if logits.shape != targets.shape:
        raise InputError("logits", f"the shape of targets, {tuple(targets.shape)}", f"shape {tuple(logits.shape)}")
    check_finite("logits", logits)
    return logits, targets


def check_cuts(thresholds: Any, num_labels: int) -> Tensor:
    """Returns thresholds (C,) as float64.

    Raises:
        InputError: if they are not one number per label.
    """
    thresholds = _real("thresholds", thresholds).detach().double()
    if thresholds.shape != (num_labels,) or thresholds.isnan().any():
        found = "NaN" if thresholds.shape == (num_labels,) else f"shape {tuple(thresholds.shape)}"
        raise InputError("thresholds", f"one logit per label, shape ({num_labels},)", found)
    return thresholds


def label_blocks(logits: Tensor, targets: Tensor, entries: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields logits and targets (N, c) of a few labels at a time, with about ``entries`` numbers each."""
    width = max(1, entries // max(len(logits), 1))
    yield from zip(logits.split(width, dim=1), targets.split(width, dim=1), strict=True)


def _real(argument: str, values: Any) -> Tensor:
    numbers = check_values(argument, check_tensor(argument, values))
    if numbers.is_complex() or numbers.dtype == torch.bool:
        raise InputError(argument, "real numbers", numbers.dtype)
    return numbers if numbers.is_floating_point() else numbers.double()

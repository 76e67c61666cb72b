"""Logits of heads over cached features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_finite, check_same_labels, check_targets
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import Resident, Streamed, open_batches

Cached = FeatureCache | tuple[Tensor, Tensor]


def open_data(
    data: Cached, head: torch.nn.Module, argument: str, device: str | torch.device, stream: bool | None = None
) -> Resident | Streamed:
    """``data`` as batches on ``device``, checked against the head's labels and width.

    Args:
        data: a :class:`FeatureCache`, or features (N, D) or (N, V, D) and targets (N, C).
        stream: of a cache, see :func:`~mlgcn_pyg.features.batches.open_batches`.
    """
    if isinstance(data, FeatureCache):
        check_same_labels(f"{argument} ({data.path})", data.label_names, head.label_names, "the head")
        _check_shapes(argument, data.features, data.targets, head)
        return open_batches(data, device, stream)
    features, targets = data[0].to(device), check_targets(f"{argument} targets", data[1]).to(device)
    check_finite(f"{argument} features", features)
    _check_shapes(argument, features, targets, head)
    return Resident(features, targets)


def _check_shapes(argument: str, features, targets: Tensor, head: torch.nn.Module) -> None:
    if len(features.shape) not in (2, 3) or features.shape[-1] != head.num_features:
        raise InputError(argument, f"features of width {head.num_features}", f"shape {tuple(features.shape)}")
    if targets.shape != (len(features), head.num_labels):
        expected = f"targets of shape ({len(features)}, {head.num_labels})"
        raise InputError(argument, expected, f"shape {tuple(targets.shape)}")


@torch.no_grad()
def head_logits(head: torch.nn.Module, features: Tensor, batch_size: int = 8192) -> Tensor:
    """Logits (N, C) float32 through the folded head, ``head.to_linear()``, in blocks of rows."""
    linear = head.to_linear()
    blocks = [linear(block.to(linear.weight.dtype)) for block in features.split(batch_size)]
    return torch.cat(blocks).float() if blocks else features.new_zeros(0, head.num_labels)


@torch.no_grad()
def source_logits(
    heads: Sequence[torch.nn.Module], source: Resident | Streamed, views: str = "first"
) -> tuple[list[Tensor], Tensor]:
    """Logits (N, C) float32 of every head, each block of images read once for all, and targets (N, C)."""
    linears, found, known = [head.to_linear() for head in heads], [], []
    for block, targets in source.blocks(views):
        block = block.to(linears[0].weight.dtype)
        found.append([linear(block).float() for linear in linears])
        known.append(targets)
    if not found:
        return [torch.zeros(0, head.num_labels) for head in heads], source.targets
    return [torch.cat(blocks) for blocks in zip(*found, strict=True)], torch.cat(known)


def score(
    head: torch.nn.Module,
    data: Cached,
    device: str | torch.device = "cpu",
    *,
    views: str = "first",
    stream: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """Logits and targets (N, C) of a cache, on the CPU: of each image's first view, or the mean of all its views."""
    head = head.to(device)
    (logits,), targets = source_logits([head], open_data(data, head, "cache", device, stream), views)
    return logits.cpu(), targets.cpu()

"""Opens data for a head, and computes the logits of heads."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_finite, check_targets
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import ResidentRows, open_rows
from mlgcn_pyg.labels import check_same_labels
from mlgcn_pyg.typing import Head, RowSource

Data = FeatureCache | tuple[Tensor, Tensor]


def open_source(data: Data, head: Head, device: str | torch.device = "cpu", stream: bool | None = None) -> RowSource:
    """Opens data on ``device`` after checking that it fits a head.

    Args:
        data: a :class:`~mlgcn_pyg.features.FeatureCache`, or features (N, D) or (N, V, D) and targets (N, C).
        head: the head whose labels and width the data must have.
        device: the device of the batches.
        stream: whether a cache is streamed; see :func:`~mlgcn_pyg.features.batches.open_rows`.

    Raises:
        InputError: if labels, shapes or values do not fit.
    """
    if isinstance(data, FeatureCache):
        check_same_labels("data", data.label_names, head.label_names, "the head")
        _check_shapes(data.features.shape, data.targets.shape, head)
        with renamed_arguments(cache="data"):
            return open_rows(data, device, stream)
    features, targets = data[0].to(device), torch.as_tensor(data[1])
    _check_shapes(features.shape, targets.shape, head)
    check_finite("data", features)
    return ResidentRows(features, check_targets("data", targets).to(device))


def _check_shapes(features: Sequence[int], targets: Sequence[int], head: Head) -> None:
    if len(features) not in (2, 3) or features[-1] != head.num_features:
        raise InputError("data", f"features of width {head.num_features}", f"shape {tuple(features)}")
    if tuple(targets) != (features[0], head.num_labels):
        raise InputError("data", f"targets of shape ({features[0]}, {head.num_labels})", f"shape {tuple(targets)}")


@torch.no_grad()
def source_logits(heads: Sequence[Head], source: RowSource, views: str = "first") -> tuple[list[Tensor], Tensor]:
    """Returns the logits (N, C) of each head in float32, and the targets (N, C).

    Each block of features is read once for all heads.

    Args:
        heads: heads on the device of the source.
        source: features and targets.
        views: ``"first"`` scores the first view of each image, ``"mean"`` the mean of all views.
    """
    linears = [head.to_linear() for head in heads]
    logits: list[list[Tensor]] = [[torch.zeros(0, head.num_labels, device=source.device)] for head in heads]
    targets = [source.targets[:0].to(source.device)]
    for features, block_targets in source.blocks(views):
        features = features.to(linears[0].weight.dtype)
        for blocks, linear in zip(logits, linears, strict=True):
            blocks.append(linear(features).float())
        targets.append(block_targets)
    return [torch.cat(blocks) for blocks in logits], torch.cat(targets)


def score(
    head: Head, data: Data, device: str | torch.device = "cpu", *, views: str = "first", stream: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Computes the logits of a head for cached features. The head is moved to ``device``.

    Args:
        head: a head.
        data: a :class:`~mlgcn_pyg.features.FeatureCache`, or features (N, D) or (N, V, D) and targets (N, C).
        device: the device to compute on.
        views: ``"first"`` scores the first view of each image, ``"mean"`` the mean of all views.
        stream: whether a cache is streamed; default: depends on free memory.

    Returns:
        Logits (N, C) float32 and targets (N, C) int8, on the CPU.

    Raises:
        InputError: if labels, shapes or values do not fit the head.
    """
    head = head.to(device)
    (logits,), targets = source_logits([head], open_source(data, head, device, stream), views)
    return logits.cpu(), targets.cpu()

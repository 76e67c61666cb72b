"""Opens data for a head, and computes the logits of heads."""

from collections.abc import Sequence

import numpy.typing as npt
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_finite, check_flag, check_targets, check_tensor
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import VIEWS, ResidentRows, open_rows
from mlgcn_pyg.labels import check_same_labels
from mlgcn_pyg.tensor_checks import check_device, check_module, check_values
from mlgcn_pyg.typing import Head, RowSource
from mlgcn_pyg.values import shown

Data = FeatureCache | tuple[Tensor | npt.ArrayLike, Tensor | npt.ArrayLike]
HEAD = ("num_features", "num_labels", "label_names", "to_linear")  # attributes of a head


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
    check_module("head", head, *HEAD)
    if stream is not None:
        check_flag("stream", stream)
    place = check_device("device", device)
    if isinstance(data, FeatureCache):
        check_same_labels("data", data.label_names, head.label_names, "the head")
        _check_shapes(data.features.shape, data.targets.shape, head)
        with renamed_arguments(cache="data"):
            return open_rows(data, place, stream)
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise InputError("data", "a FeatureCache, or a pair of features and targets", shown(data))
    features, targets = (check_values("data", check_tensor("data", part)) for part in data)
    _check_shapes(features.shape, targets.shape, head)
    if features.is_complex() or features.dtype == torch.bool:
        raise InputError("data", "features that are real numbers", features.dtype)
    features = (features if features.is_floating_point() else features.float()).to(place)
    check_finite("data", features)
    return ResidentRows(features, check_targets("data", targets).to(place))


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
    check_choice("views", views, VIEWS)
    head = check_module("head", head, *HEAD).to(check_device("device", device))
    (logits,), targets = source_logits([head], open_source(data, head, device, stream), views)
    return logits.cpu(), targets.cpu()

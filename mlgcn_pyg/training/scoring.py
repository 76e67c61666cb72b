"""Logits of a head over cached features."""

import torch
from torch import Tensor

from mlgcn_pyg.checks import bad_input, check_finite, check_same_labels, check_targets
from mlgcn_pyg.features import FeatureCache

Cached = FeatureCache | tuple[Tensor, Tensor]


def in_memory(data: Cached, head: torch.nn.Module, argument: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Features (N, D) and targets (N, C) on ``device``, checked against the head's labels and width.

    ``data`` is a :class:`FeatureCache` (its view 0) or a pair of tensors.
    """
    if isinstance(data, FeatureCache):
        check_same_labels(f"{argument} ({data.path})", data.label_names, head.label_names, "the head")
        features, targets = data.load(device)
        features = features[:, 0]
        check_finite(f"features of {data.path}", features)
    else:
        features, targets = data[0].to(device), check_targets(f"{argument} targets", data[1]).to(device)
        check_finite(f"{argument} features", features)
    if features.dim() != 2 or features.size(1) != head.num_features:
        raise bad_input(argument, f"features of width {head.num_features}", f"shape {tuple(features.shape)}")
    if targets.shape != (len(features), head.num_labels):
        expected = f"targets of shape ({len(features)}, {head.num_labels})"
        raise bad_input(argument, expected, f"shape {tuple(targets.shape)}")
    return features, targets


@torch.no_grad()
def head_logits(head: torch.nn.Module, features: Tensor, batch_size: int = 8192) -> Tensor:
    """Logits (N, C) float32 through the folded head, ``head.to_linear()``, in blocks of rows."""
    linear = head.to_linear()
    blocks = [linear(block.to(linear.weight.dtype)) for block in features.split(batch_size)]
    return torch.cat(blocks).float() if blocks else features.new_zeros(0, head.num_labels)


def score(head: torch.nn.Module, data: Cached, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
    """Logits and targets (N, C) of a cache, on the CPU."""
    head = head.to(device)
    features, targets = in_memory(data, head, "cache", torch.device(device))
    return head_logits(head, features).cpu(), targets.cpu()

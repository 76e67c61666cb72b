"""Which labels are predicted: decision thresholds, and the labels above them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.checkpoints.checkpoint import check_thresholds
from mlgcn_pyg.checks import check_number, check_positive, check_tensor
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.labels import label_row

Thresholds = Tensor | Mapping[str, float]


def decision_thresholds(
    checkpoint: Checkpoint,
    *,
    top_k: int | None = None,
    threshold: float | None = None,
    thresholds: Thresholds | None = None,
) -> Tensor:
    """Returns the logits (C,) float64 above which labels are predicted.

    Args:
        checkpoint: its thresholds are used if no other argument is given.
        top_k: if given alone, all thresholds are −∞.
        threshold: a probability in [0, 1]; 0 predicts every label and 1 none.
        thresholds: (C,) logits, or a dict of probabilities of some labels. The other labels have ``threshold`` if it
            is given, else the checkpoint's.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> decision_thresholds(Checkpoint(LinearHead(2, 8, ["cat", "dog"])), thresholds={"dog": 0.9})
    tensor([0.0000, 2.1972], dtype=torch.float64)
    """
    if top_k is not None:
        check_positive("top_k", top_k)
    names = checkpoint.label_names
    if thresholds is not None and not isinstance(thresholds, Mapping):
        if threshold is not None:
            raise InputError("thresholds", "either threshold, or thresholds of all labels", "both")
        values = check_tensor("thresholds", thresholds, f"logits, shape ({len(names)},), or a dict of probabilities")
        return check_thresholds(values, len(names))
    if threshold is not None:
        logits = torch.full((len(names),), _logit("threshold", threshold), dtype=torch.float64)
    elif top_k is not None and not thresholds:
        logits = torch.full((len(names),), -math.inf, dtype=torch.float64)
    elif checkpoint.thresholds is not None:
        logits = checkpoint.thresholds.clone()
    else:
        logits = torch.zeros(len(names), dtype=torch.float64)
    for name, probability in (thresholds or {}).items():
        logits[label_row("thresholds", name, names)] = _logit("thresholds", probability)
    return logits


def _logit(argument: str, probability: Any) -> float:
    p = check_number(argument, probability, 0, 1)
    return -math.inf if p == 0 else math.inf if p == 1 else math.log(p) - math.log1p(-p)


def labels_above(
    logits: Tensor, thresholds: Tensor, top_k: int | None, names: Sequence[str]
) -> list[list[tuple[str, float]]]:
    """Returns at most ``top_k`` labels above the thresholds for each row of ``logits`` (B, C), most probable first.

    Labels with equal probability are in label order.
    """
    predicted = logits > thresholds
    order = logits.masked_fill(~predicted, -math.inf).sort(dim=1, descending=True, stable=True).indices
    counts = predicted.sum(dim=1).clamp(max=top_k or len(names)).tolist()
    probabilities = logits.sigmoid()
    return [
        [(names[k], probabilities[row, k].item()) for k in order[row, :count].tolist()]
        for row, count in enumerate(counts)
    ]

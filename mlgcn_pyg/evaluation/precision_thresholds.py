"""One threshold per label that reaches a wanted precision on validation images."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_number, check_positive
from mlgcn_pyg.evaluation.cuts import cuts_of
from mlgcn_pyg.evaluation.inputs import check_cuts, check_scores
from mlgcn_pyg.evaluation.parts import check_folds, parts_per_label
from mlgcn_pyg.evaluation.thresholds import MIN_POSITIVES


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Precision and recall of each label.

    Attributes:
        precision: (C,) float64; NaN for a label that is never predicted.
        recall: (C,) float64; NaN for a label without a positive image.
    """

    precision: Tensor
    recall: Tensor


def fit_precision_thresholds(logits: Any, targets: Any, precision: float, min_positives: int = MIN_POSITIVES) -> Tensor:
    r"""Returns the lowest threshold of each label with a wanted precision, which is that with the highest recall.

    .. math:: t_c = \min \{t : tp_c(t) / predicted_c(t) \ge precision\}

    A label is predicted if its logit is > :math:`t_c`. The search is exact. The threshold lies halfway between the
    logits on both sides of the cut. Entries with target −1 are ignored. The precision on new images is lower, since the
    threshold is the one that these images suggest; :func:`cross_fitted_precision` estimates it.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}.
        precision: the wanted share of correct predictions, in (0, 1].
        min_positives: the smallest number of positive images for which a threshold is fitted, ≥ 1.

    Returns:
        (C,) float64 logits; +∞, so that the label is never predicted, where no threshold reaches the precision, or a
        label has fewer than ``min_positives`` positive images.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, ``precision`` is out of range,
            or ``min_positives`` < 1.

    >>> logits, targets = torch.tensor([[3.0], [2.0], [1.0], [-1.0]]), torch.tensor([[1], [0], [1], [0]])
    >>> [fit_precision_thresholds(logits, targets, p, min_positives=1).item() for p in (1.0, 0.6)]
    [2.5, 0.0]
    """
    logits, targets = check_scores(logits, targets)
    wanted = check_number("precision", precision, 0, 1, open_low=True)
    check_positive("min_positives", min_positives)
    few = (targets == 1).sum(0) < min_positives
    return _fit(logits.double(), targets, wanted).masked_fill(few, torch.inf)


def cross_fitted_precision(
    logits: Any, targets: Any, precision: float, min_positives: int = MIN_POSITIVES, folds: int = 5
) -> PrecisionRecall:
    """Estimates precision and recall of :func:`fit_precision_thresholds` on images that are not those of the fit.

    The predictions for each part of the images use thresholds that are fitted to all other parts, as in
    :func:`~mlgcn_pyg.evaluation.cross_fitted_f1`.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        precision: the wanted precision, in (0, 1].
        min_positives: labels with fewer positive images are never predicted.
        folds: the number of parts, ≥ 2.

    Raises:
        InputError: as :func:`fit_precision_thresholds`, or if ``folds`` < 2.
    """
    logits, targets = check_scores(logits, targets)
    wanted = check_number("precision", precision, 0, 1, open_low=True)
    few = (targets == 1).sum(0) < check_positive("min_positives", min_positives)
    part, predicted = parts_per_label(targets, check_folds(folds)), torch.zeros_like(targets, dtype=torch.bool)
    for k in range(folds):
        held_out = part == k
        cuts = _fit(logits.double(), targets.masked_fill(held_out, -1), wanted).masked_fill(few, torch.inf)
        predicted |= held_out & (logits.double() > cuts)
    return _precision_recall(predicted, targets)


def precision_recall(logits: Any, targets: Any, thresholds: Any = None) -> PrecisionRecall:
    """Computes precision and recall of each label. A label is predicted if its logit is > its threshold.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        thresholds: (C,) logits; default: 0.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, or thresholds are not one number
            per label.

    >>> found = precision_recall([[3.0], [2.0], [-1.0]], [[1], [0], [1]])
    >>> found.precision.item(), found.recall.item()
    (0.5, 0.5)
    """
    logits, targets = check_scores(logits, targets)
    cuts = 0.0 if thresholds is None else check_cuts(thresholds, targets.size(1)).to(logits.device)
    return _precision_recall(logits.double() > cuts, targets)


def _precision_recall(predicted: Tensor, targets: Tensor) -> PrecisionRecall:
    predicted = predicted & (targets >= 0)
    tp = (predicted & (targets == 1)).sum(0).double()
    return PrecisionRecall(tp / predicted.sum(0), tp / (targets == 1).sum(0))


def _fit(logits: Tensor, targets: Tensor, precision: float) -> Tensor:
    """Returns the thresholds (C,): those of the lowest cuts that reach the precision."""
    if not len(logits):
        return logits.new_full((logits.size(1),), torch.inf)
    cuts = cuts_of(logits, targets)
    enough = cuts.tp.double() >= precision * cuts.predicted * (1 - 1e-12)  # 9 of 10 reach 0.9
    reached = enough & (cuts.tp > 0) & cuts.possible
    last = len(logits) - 1 - reached.flip(0).int().argmax(0, keepdim=True)
    return cuts.thresholds(last).masked_fill(~reached.any(0), torch.inf)

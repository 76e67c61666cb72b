"""One threshold per label, which maximises F1 on validation images."""

from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.evaluation.cuts import cuts_of
from mlgcn_pyg.evaluation.inputs import check_cuts, check_scores, label_blocks
from mlgcn_pyg.evaluation.parts import check_folds, parts_per_label

BLOCK = 1 << 24  # entries that are sorted at once, to bound memory
MIN_POSITIVES = 3  # with fewer, the best cut says more about single images than about the label


def fit_thresholds(logits: Any, targets: Any, min_positives: int = MIN_POSITIVES) -> Tensor:
    r"""Returns the thresholds :math:`t_c` that maximise the F1 of each label, predicted if its logit is > :math:`t_c`.

    .. math:: t_c = \arg\max_t F_1(t) = \arg\max_t \frac{2 \, tp_c(t)}{predicted_c(t) + positives_c}

    The search is exact: it tries every cut between two different logits. Of equally good cuts it takes the highest.
    The threshold lies halfway between the logits on both sides of the cut. If it is best to predict all images, the
    threshold is 0, or just below the lowest logit if that logit is not positive. Entries with target −1 are ignored.

    A threshold that is fitted to few positive images reflects these images. Labels with fewer than ``min_positives``
    of them therefore keep the threshold 0. :func:`cross_fitted_f1` estimates the F1 on new images.

    Thresholds are logits, since probabilities near 1 round to 1. ``thresholds.sigmoid()`` converts them to
    probabilities.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}.
        min_positives: the smallest number of positive images for which a threshold is fitted, ≥ 1.

    Returns:
        (C,) float64; 0, a probability of 0.5, for a label with fewer than ``min_positives`` positive images.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, or ``min_positives`` < 1.

    >>> logits, targets = torch.tensor([[3.0], [2.0], [1.0], [-1.0]]), torch.tensor([[1], [1], [0], [0]])
    >>> fit_thresholds(logits, targets, min_positives=2)
    tensor([1.5000], dtype=torch.float64)
    >>> fit_thresholds(logits, targets)  # two positive images are too few
    tensor([0.], dtype=torch.float64)
    """
    logits, targets = check_scores(logits, targets)
    check_positive("min_positives", min_positives)
    none = logits.new_zeros(0, dtype=torch.float64)
    return torch.cat([none, *(_fit_block(*block, min_positives) for block in label_blocks(logits, targets, BLOCK))])


def cross_fitted_f1(logits: Any, targets: Any, min_positives: int = MIN_POSITIVES, folds: int = 5) -> Tensor:
    """Computes the F1 of each label at fitted thresholds, on images to which the thresholds were not fitted.

    The images are divided into parts. The predictions for each part use thresholds that are fitted to all other parts,
    and the F1 is computed from the predictions for all parts. It estimates the F1 of :func:`fit_thresholds` on new
    images; the F1 on the images of the fit is too high.

    The parts are chosen per label: its positive images are assigned to the parts in turn, and so are its negative
    images.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        min_positives: labels with fewer positive images have the threshold 0 in every part.
        folds: the number of parts, ≥ 2.

    Returns:
        (C,) float64; NaN for a label without a positive image.

    Raises:
        InputError: as :func:`fit_thresholds`, or if ``folds`` < 2.

    >>> logits, targets = torch.tensor([[3.0], [2.5], [2.0], [1.0]]), torch.tensor([[1], [1], [0], [0]])
    >>> f1_per_label(logits, targets, fit_thresholds(logits, targets, 2)).item()
    1.0
    >>> cross_fitted_f1(logits, targets, min_positives=2, folds=2).item()
    0.5
    """
    logits, targets = check_scores(logits, targets)
    check_folds(folds)
    check_positive("min_positives", min_positives)
    none = logits.new_zeros(0, dtype=torch.float64)
    blocks = label_blocks(logits, targets, BLOCK)
    return torch.cat([none, *(_cross_fit_block(*block, min_positives, folds) for block in blocks)])


def f1_per_label(logits: Any, targets: Any, thresholds: Any = None) -> Tensor:
    """Computes the F1 of each label. A label is predicted if its logit is > its threshold.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        thresholds: (C,) logits; default: 0.

    Returns:
        (C,) float64; NaN for a label without a positive image.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, or thresholds are not one number
            per label.
    """
    logits, targets = check_scores(logits, targets)
    cuts = 0.0 if thresholds is None else check_cuts(thresholds, targets.size(1)).to(logits.device)
    return _f1(logits.double() > cuts, targets)


def _f1(predicted: Tensor, targets: Tensor) -> Tensor:
    """Returns the F1 (C,) of predictions (N, C) bool; NaN for a label without a positive image."""
    predicted = predicted & (targets >= 0)
    tp, positives = (predicted & (targets == 1)).sum(dim=0).double(), (targets == 1).sum(dim=0)
    return (2 * tp / (predicted.sum(dim=0) + positives).clamp(min=1)).masked_fill(positives == 0, torch.nan)


def _cross_fit_block(logits: Tensor, targets: Tensor, min_positives: int, folds: int) -> Tensor:
    """Returns the cross-fitted F1 of a block of labels."""
    few = (targets == 1).sum(dim=0) < min_positives
    part, predicted = parts_per_label(targets, folds), torch.zeros_like(targets, dtype=torch.bool)
    for k in range(folds):
        held_out = part == k
        cuts = _fit_block(logits, targets.masked_fill(held_out, -1), min_positives=1).masked_fill(few, 0)
        predicted |= held_out & (logits > cuts)
    return _f1(predicted, targets)


def _fit_block(logits: Tensor, targets: Tensor, min_positives: int) -> Tensor:
    """Fits the thresholds of a block of labels: those of the cuts with the best F1."""
    logits = logits.double()
    if not len(logits):
        return logits.new_zeros(logits.size(1))
    cuts, positives = cuts_of(logits, targets), (targets == 1).sum(dim=0)
    f1 = 2 * cuts.tp.double() / (cuts.predicted + positives).clamp(min=1)
    best = f1.masked_fill(~cuts.possible, -1).argmax(dim=0, keepdim=True)  # the first maximum: the highest cut
    return cuts.thresholds(best).masked_fill(positives < min_positives, 0)

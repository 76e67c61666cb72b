"""The paper's metrics (Sec. 4.1): mAP, and precision, recall and F1 per class (C-) and overall (O-)."""

from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.evaluation.average_precision import average_precision
from mlgcn_pyg.evaluation.inputs import check_cuts, check_scores
from mlgcn_pyg.evaluation.ordering import count_true, kth_highest
from mlgcn_pyg.evaluation.released import released_average_precision, released_counts
from mlgcn_pyg.evaluation.results import CountMetrics, Metrics
from mlgcn_pyg.values import shown

CONVENTIONS = ("paper", "released")


def multilabel_metrics(
    logits: Any, targets: Any, top_k: int | None = None, *, thresholds: Any = None, convention: str = "paper"
) -> Metrics:
    r"""Computes mAP, CP, CR, CF1, OP, OR and OF1 as fractions.

    A label counts as predicted if its logit is > 0 and, with ``top_k``, if it is also among the image's ``top_k``
    highest logits (the paper's "top-3" columns). For class c, let predicted be the number of images for which it is
    predicted, positives the number of images in which it is present, and tp the number of images with both:

    .. math::
        CP = \tfrac{1}{C} \sum_c \tfrac{tp_c}{predicted_c}, \quad
        CR = \tfrac{1}{|C^+|} \sum_{c \in C^+} \tfrac{tp_c}{positives_c}, \quad
        OP = \tfrac{\sum tp}{\sum predicted}, \quad OR = \tfrac{\sum tp}{\sum positives}

    CP, class precision, is the mean precision of all C classes; a class that is never predicted counts as 0. CR, class
    recall, is the mean recall of C⁺, the classes with a positive image. OP and OR, overall precision and recall, are
    computed from summed counts. CF1 is the harmonic mean of CP and CR (not the mean of per-class F1), OF1 that of OP
    and OR. AP is the area under the precision-recall steps of a class, as in scikit-learn, and mAP its mean over C⁺.

    Entries with target −1 are ignored in every metric and take none of the ``top_k`` places. Among equal logits, the
    label with the lowest index comes first.

    With ``convention="released"``, the numbers equal those of the authors' released code, which differs as follows:

    * A label counts as predicted if its logit, rounded to float32, is ≥ 0.
    * Entries with target −1, which are VOC's difficult objects, are left out of AP only. Elsewhere they count as
      negative, and they take ``top_k`` places.
    * A class that is never predicted adds 1 to the denominator of OP.
    * Equal logits of a class have different ranks in AP, in the order of ``torch.sort``, which depends on the order of
      the images. Among equal logits of an image, ``torch.topk`` decides which labels take the ``top_k`` places.
    * AP and mAP are rounded to float32.
    * mAP and CR are means over all C classes. Both are NaN if a class has no positive image; the released code fails
      when it computes the mAP of such a class. A ratio of 0 and 0 is NaN, such as OF1 if no prediction is correct.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}: 1 for present, 0 for absent, −1 for unknown.
        top_k: k ≥ 1; None or k ≥ C disables the limit.
        thresholds: (C,) logits above which labels count as predicted; default: 0. Requires the convention ``"paper"``.
        convention: ``"paper"``, or ``"released"`` for the numbers of the released code.

    Returns:
        A dict of floats, and ``"AP"``: (C,) float64 with NaN for a class without a positive image. With the convention
        ``"paper"``, mAP is NaN if no class has a positive image; every other ratio with a denominator of 0 is 0.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, ``top_k`` < 1, thresholds are
            not one number per label, or the convention is unknown or does not support thresholds.

    >>> metrics = multilabel_metrics(torch.tensor([[2.0, -1.0], [1.0, 3.0]]), torch.tensor([[1, 0], [0, 1]]))
    >>> [round(metrics[name], 3) for name in ("mAP", "CP", "CR", "OP", "OR")]
    [1.0, 0.75, 1.0, 0.667, 1.0]
    >>> logits, targets = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[1, 0, 0]])
    >>> [multilabel_metrics(logits, targets, convention=name)["OP"] for name in ("paper", "released")]
    [1.0, 0.3333333333333333]
    """
    check_choice("convention", convention, CONVENTIONS)
    logits, targets = check_scores(logits, targets)
    if top_k is not None:
        check_positive("top_k", top_k)
    if convention == "released":
        if thresholds is not None:
            expected = "None for the released convention, whose threshold is 0"
            raise InputError("thresholds", expected, shown(thresholds), ("pass ", Argument("convention", "paper")))
        ap = released_average_precision(logits, targets)
        counts = released_counts(logits, targets, top_k)
        return {"mAP": float(ap.mean()), "AP": ap.double(), **counts}
    cuts = None if thresholds is None else check_cuts(thresholds, logits.size(1)).to(logits.device)
    ap = average_precision(logits, targets)
    predicted = predicted_labels(logits, targets, top_k, cuts)
    return {"mAP": float(ap.nanmean()), "AP": ap, **count_metrics(predicted, targets)}


def predicted_labels(
    logits: Tensor, targets: Tensor, top_k: int | None = None, thresholds: Tensor | None = None
) -> Tensor:
    """Returns (N, C) bool: logit > threshold and, with ``top_k``, among the image's ``top_k`` highest known logits."""
    predicted = logits > 0 if thresholds is None else logits.double() > thresholds
    if top_k is not None and top_k < logits.size(1):
        predicted &= _in_top(logits.masked_fill(targets < 0, -torch.inf), top_k)
    return predicted


def _in_top(scores: Tensor, k: int) -> Tensor:
    """Returns (N, C) bool: whether a score is among the k highest of its row; of equal ones, the first are."""
    lowest = kth_highest(scores, k)
    top = scores >= lowest
    crowded = count_true(top.t()) > k
    if crowded.any():
        above, equal = (scores > lowest)[crowded], (scores == lowest)[crowded]
        places = k - above.sum(dim=1, keepdim=True)
        top[crowded] = above | (equal & (equal.cumsum(dim=1) <= places))
    return top


def count_metrics(predicted: Tensor, targets: Tensor) -> CountMetrics:
    """Computes CP, CR, CF1, OP, OR and OF1 from predictions (N, C) bool and targets (N, C) in {-1, 0, 1}."""
    present = targets == 1
    counts = torch.stack([count_true(mask) for mask in (predicted & present, predicted & (targets >= 0), present)])
    tp, said, positives = counts.cpu().double()  # one transfer
    cp = _ratio(tp, said).mean()
    cr = _ratio(tp, positives)[positives > 0]
    cr = cr.mean() if len(cr) else cr.new_zeros(())
    op, o_r = _ratio(tp.sum(), said.sum()), _ratio(tp.sum(), positives.sum())
    cf1, of1 = _harmonic_mean(cp, cr), _harmonic_mean(op, o_r)
    return {"CP": float(cp), "CR": float(cr), "CF1": float(cf1), "OP": float(op), "OR": float(o_r), "OF1": float(of1)}


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part / whole.clamp(min=1)


def _harmonic_mean(a: Tensor, b: Tensor) -> Tensor:
    return 2 * a * b / (a + b) if a + b > 0 else a.new_zeros(())

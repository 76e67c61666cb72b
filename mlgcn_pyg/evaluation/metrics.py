"""The paper's numbers (Sec. 4.1): mAP, and precision, recall and F1 per class (C-) and overall (O-)."""

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_average_precision, multilabel_stat_scores

from mlgcn_pyg.checks import check_finite, check_positive, check_targets
from mlgcn_pyg.errors import InputError

COUNT_METRICS = ("CP", "CR", "CF1", "OP", "OR", "OF1")


def multilabel_metrics(logits: Tensor, targets: Tensor, top_k: int | None = None) -> dict[str, float | Tensor]:
    r"""mAP, CP, CR, CF1, OP, OR and OF1 of logits against targets, as fractions.

    A label counts as predicted where its logit is > 0 and, with ``top_k``, where it is also among the image's
    ``top_k`` highest logits (the paper's "top-3" columns). With tp, predicted and positives counted per class:

    .. math::
        CP = \tfrac{1}{C} \sum_c \tfrac{tp_c}{predicted_c}, \quad
        CR = \tfrac{1}{|C^+|} \sum_{c \in C^+} \tfrac{tp_c}{positives_c}, \quad
        OP = \tfrac{\sum tp}{\sum predicted}, \quad OR = \tfrac{\sum tp}{\sum positives}

    CP counts a class never predicted as 0; CR and mAP run over C⁺, the classes with a positive. CF1 and OF1 are the
    harmonic means of these (CF1 is not the mean of per-class F1). AP is the area under the precision-recall steps
    (as in scikit-learn), tied logits counted together. Entries with target −1 leave every metric and take no place
    among the ``top_k``; equal logits take places in label order.

    Args:
        logits: (N, C), finite. targets: (N, C) in {-1, 0, 1}. top_k: k ≥ 1; k ≥ C is no limit.

    Returns:
        A dict of floats, and ``"AP"``: (C,) float64 with NaN for a class without a positive. mAP is NaN where no
        class has a positive; a ratio of nothing to nothing is 0 otherwise.

    Raises:
        InputError: shapes that differ, NaN or Inf logits, other target values, top_k < 1.

    >>> metrics = multilabel_metrics(torch.tensor([[2.0, -1.0], [1.0, 3.0]]), torch.tensor([[1, 0], [0, 1]]))
    >>> [round(metrics[name], 3) for name in ("mAP", "CP", "CR", "OP", "OR")]
    [1.0, 0.75, 1.0, 0.667, 1.0]
    """
    logits = torch.as_tensor(logits)
    logits = logits if logits.is_floating_point() else logits.double()
    targets = check_targets("targets", targets).to(logits.device)
    if logits.shape != targets.shape:
        raise InputError("logits", f"the shape of targets, {tuple(targets.shape)}", f"shape {tuple(logits.shape)}")
    check_finite("logits", logits)
    if top_k is not None:
        check_positive("top_k", top_k)
    ap = average_precision(logits, targets)
    metrics = {"mAP": float(ap.nanmean()), "AP": ap}
    return metrics | count_metrics(predicted_labels(logits, targets, top_k), targets)


def predicted_labels(logits: Tensor, targets: Tensor, top_k: int | None = None) -> Tensor:
    """(N, C) bool: logit > 0 and, with ``top_k``, among the image's ``top_k`` highest known logits."""
    predicted = logits > 0
    if top_k is not None and top_k < logits.size(1):
        known = logits.masked_fill(targets < 0, -torch.inf)
        ranked = known.sort(dim=1, descending=True, stable=True).indices[:, :top_k]
        predicted &= torch.zeros_like(predicted).scatter_(1, ranked, True)
    return predicted


def count_metrics(predicted: Tensor, targets: Tensor) -> dict[str, float]:
    """CP, CR, CF1, OP, OR, OF1 of decisions (N, C) bool against targets (N, C) in {-1, 0, 1}."""
    num_labels = targets.size(1)
    if len(targets):
        # integer decisions: torchmetrics would take logits that all lie in [0, 1] for probabilities
        stats = multilabel_stat_scores(
            predicted.int(), targets.int(), num_labels, average=None, ignore_index=-1, validate_args=False
        )
        tp, fp, _, _, positives = stats.double().view(num_labels, 5).unbind(dim=1)  # one label comes back squeezed
    else:
        tp = fp = positives = torch.zeros(num_labels, dtype=torch.float64)
    cp = _ratio(tp, tp + fp).mean()
    cr = _ratio(tp, positives)[positives > 0]
    cr = cr.mean() if len(cr) else cr.new_zeros(())
    op, o_r = _ratio(tp.sum(), (tp + fp).sum()), _ratio(tp.sum(), positives.sum())
    values = (cp, cr, _harmonic(cp, cr), op, o_r, _harmonic(op, o_r))
    return dict(zip(COUNT_METRICS, map(float, values), strict=True))


def average_precision(logits: Tensor, targets: Tensor) -> Tensor:
    """AP per class, (C,) float64; NaN for a class without a positive."""
    ap = torch.full((targets.size(1),), torch.nan, dtype=torch.float64)
    for c in range(targets.size(1)):
        known = targets[:, c] >= 0
        truth = targets[known, c]
        if truth.any():
            ap[c] = float(binary_average_precision(_ranks(logits[known, c]), truth.int(), validate_args=False))
    return ap


def _ranks(scores: Tensor) -> Tensor:
    """Scores in [0, 1] of the same order and the same ties: a sigmoid in float32 would saturate and tie."""
    _, rank = scores.unique(return_inverse=True)
    return rank.double() / max(len(scores), 1)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part / whole.clamp(min=1)


def _harmonic(a: Tensor, b: Tensor) -> Tensor:
    return 2 * a * b / (a + b) if a + b > 0 else a.new_zeros(())

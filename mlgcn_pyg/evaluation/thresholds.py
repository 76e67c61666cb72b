"""One threshold per label, which maximises F1 on validation images."""

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_finite, check_targets
from mlgcn_pyg.errors import InputError

BLOCK = 1 << 24  # entries that are sorted at once, to bound memory


def fit_thresholds(logits: Tensor, targets: Tensor) -> Tensor:
    r"""Returns the thresholds :math:`t_c` that maximise the F1 of each label, predicted if its logit is > :math:`t_c`.

    .. math:: t_c = \arg\max_t F_1(t) = \arg\max_t \frac{2 \, tp_c(t)}{predicted_c(t) + positives_c}

    The search is exact: it tries every cut between two different logits. Of equally good cuts it takes the highest.
    The threshold lies halfway between the logits on both sides of the cut. If it is best to predict all images, the
    threshold is 0, or just below the lowest logit if that logit is not positive. Entries with target −1 are ignored.

    Thresholds are logits, since probabilities near 1 round to 1. ``thresholds.sigmoid()`` converts them to
    probabilities.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}.

    Returns:
        (C,) float64; 0, a probability of 0.5, for a label without a positive image.

    Raises:
        InputError: if shapes differ, logits are not finite, or targets have other values.

    >>> fit_thresholds(torch.tensor([[3.0], [2.0], [1.0], [-1.0]]), torch.tensor([[1], [1], [0], [0]]))
    tensor([1.5000], dtype=torch.float64)
    """
    logits = torch.as_tensor(logits)
    targets = check_targets("targets", targets).to(logits.device)
    if logits.shape != targets.shape:
        raise InputError("logits", f"the shape of targets, {tuple(targets.shape)}", f"shape {tuple(logits.shape)}")
    check_finite("logits", logits)
    if not logits.numel():
        return logits.new_zeros(logits.size(1)).double()
    width = max(1, BLOCK // len(logits))
    blocks = zip(logits.double().split(width, dim=1), targets.split(width, dim=1), strict=True)
    return torch.cat([_fit_block(*block) for block in blocks])


def _fit_block(logits: Tensor, targets: Tensor) -> Tensor:
    """Fits the thresholds of a block of labels. Cut k of a column predicts its k + 1 highest logits."""
    scores, order = logits.masked_fill(targets < 0, -torch.inf).sort(dim=0, descending=True)
    truth = targets.gather(0, order)
    below = torch.cat([scores[1:], scores.new_full((1, scores.size(1)), -torch.inf)])
    positives = (truth == 1).sum(dim=0)
    tp, predicted = (truth == 1).cumsum(dim=0), (truth >= 0).cumsum(dim=0)
    f1 = 2 * tp.double() / (predicted + positives).clamp(min=1)
    # no cut below an unknown entry, and none between equal logits
    f1 = f1.masked_fill((truth < 0) | (scores == below), -1)
    best = f1.argmax(dim=0, keepdim=True)  # the first maximum: the highest cut
    above, below = scores.gather(0, best)[0], below.gather(0, best)[0]
    lowest = torch.nextafter(above, above.new_full((), -torch.inf)).clamp(max=0)
    middle = below + (above - below) / 2
    middle = torch.where(middle < above, middle, below)  # no number lies between adjacent floating-point numbers
    return torch.where(below.isinf(), lowest, middle).masked_fill(positives == 0, 0)


def f1_per_label(logits: Tensor, targets: Tensor, thresholds: Tensor | None = None) -> Tensor:
    """Computes the F1 of each label. A label is predicted if its logit is > its threshold.

    Args:
        logits: (N, C).
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        thresholds: (C,) logits; default: 0.

    Returns:
        (C,) float64; NaN for a label without a positive image.

    Raises:
        InputError: if targets have other values.
    """
    targets = check_targets("targets", targets)
    cuts = torch.zeros(targets.size(1), dtype=torch.float64) if thresholds is None else thresholds
    predicted = (logits.double() > cuts) & (targets >= 0)
    tp, positives = (predicted & (targets == 1)).sum(dim=0).double(), (targets == 1).sum(dim=0)
    return (2 * tp / (predicted.sum(dim=0) + positives).clamp(min=1)).masked_fill(positives == 0, torch.nan)

"""Metrics of heads on bootstrap samples of the images, and their intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.checks import check_callable, check_count, check_number, check_positive
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.evaluation.inputs import check_cuts, check_scores
from mlgcn_pyg.evaluation.intervals import (
    Interval,
    MetricDifferences,
    MetricIntervals,
    changed,
    differences,
    intervals,
    mean_of_defined,
)
from mlgcn_pyg.evaluation.metrics import predicted_labels
from mlgcn_pyg.evaluation.ordering import as_array
from mlgcn_pyg.evaluation.resampling import resampled_metrics, samples

MIN_POSITIVES = 5  # with fewer, samples of the images say too little about the AP of a label


@dataclass(frozen=True, eq=False)
class Replicates:
    """Metrics on the images (row 0) and on R bootstrap samples of them (rows 1 to R).

    Attributes:
        AP: (1 + R, C); NaN for a label without a positive image in the sample.
        OF1: (1 + R,).
        positives: (C,) the number of positive images of each label.
        num_images: N.
        seed: the seed of the samples.
    """

    AP: NDArray[np.float64]
    OF1: NDArray[np.float64]
    positives: NDArray[np.int64]
    num_images: int
    seed: int

    @property
    def mAP(self) -> NDArray[np.float64]:
        """(1 + R,), the mean over the labels with a positive image in the sample; NaN without any."""
        return mean_of_defined(self.AP, axis=1)

    def intervals(self, level: float = 0.95) -> MetricIntervals:
        """Returns the intervals of the metrics, cut off at 0 and 1; see :func:`bootstrap_metrics`."""
        check_number("level", level, 0, 1, open_low=True)
        rows = (self.mAP[:, None], self.OF1[:, None], self.AP)
        found = (intervals(self._usable(values), level) for values in rows)
        (mean,), (overall,), labels = (tuple(map(_in_range, of_metric)) for of_metric in found)
        return MetricIntervals(mean, overall, labels)

    def difference(self, other: "Replicates", level: float = 0.95) -> MetricDifferences:
        """Returns the intervals of these metrics minus those of ``other``; see :func:`paired_difference`.

        Raises:
            InputError: if ``other`` is not of the same images and samples.
        """
        check_number("level", level, 0, 1, open_low=True)
        same = (self.AP.shape, self.num_images, self.seed) == (other.AP.shape, other.num_images, other.seed)
        if not same or not np.array_equal(self.positives, other.positives):
            raise InputError("other", "replicates of the same images, with the same seed", "others")
        ap = self._usable(self.AP - other.AP)
        rows = (self._usable((self.mAP - other.mAP)[:, None]), self._usable((self.OF1 - other.OF1)[:, None]), ap)
        (mean,), (overall,), labels = (differences(values, level) for values in rows)
        change = np.where(self.positives >= MIN_POSITIVES, changed(ap, level), 0)
        gained, lost = (tuple(np.flatnonzero(change == sign).tolist()) for sign in (1, -1))
        return MetricDifferences(mean, overall, labels, gained, lost)

    def _usable(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns ``values`` (1 + R, K) without samples of fewer than two images, which would all agree."""
        return values if self.num_images > 1 else values[:1]


def _in_range(interval: Interval) -> Interval:
    """Returns the part of an interval in which a metric can lie; shifted percentiles may be outside of [0, 1]."""
    low, high = np.clip((interval.low, interval.high), 0.0, 1.0).tolist()
    return Interval(interval.value, low, high)


def bootstrap_replicates(
    logits: Any,
    targets: Any,
    *,
    replicates: int = 1000,
    seed: int = 0,
    thresholds: Any = None,
    progress: Callable[[int], None] | None = None,
) -> Replicates:
    """Computes AP and OF1 on bootstrap samples of the images.

    Replicates of several heads with the same images, number of replicates and seed use the same samples, so that they
    can be compared with :meth:`Replicates.difference`. Each head is computed once for any number of comparisons.

    Args:
        logits: (N, C), finite; or a sequence of them, one per run, whose metrics are averaged.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        replicates: the number R of samples, ≥ 1.
        seed: the seed of the samples, ≥ 0.
        thresholds: (C,) logits above which labels count as predicted; default: 0.
        progress: a function that is called with the number of finished replicates, of R per run.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, or a number is out of range.
    """
    check_positive("replicates", replicates)
    check_count("seed", seed)
    check_callable("progress", progress)
    checked = [check_scores(run, targets) for run in _runs(logits)]
    truth = checked[0][1].cpu()
    cuts = None if thresholds is None else check_cuts(thresholds, truth.size(1)).cpu()
    ap: Any = 0.0
    overall: Any = 0.0
    for k, (scores, _) in enumerate(checked):
        scores = scores.cpu()
        predicted = predicted_labels(scores, truth, thresholds=cuts).numpy()
        weights = samples(len(truth), replicates, seed, _after(k * replicates, progress))
        run_ap, run_of1 = resampled_metrics(as_array(scores), predicted, truth.numpy(), weights)
        ap, overall = ap + run_ap / len(checked), overall + run_of1 / len(checked)
    return Replicates(ap, overall, (truth == 1).sum(dim=0).numpy(), len(truth), int(seed))


def bootstrap_metrics(
    logits: Any,
    targets: Any,
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    thresholds: Any = None,
    progress: Callable[[int], None] | None = None,
) -> MetricIntervals:
    r"""Computes mAP, OF1 and AP with bootstrap intervals that show how much they depend on the choice of images.

    In each of R replicates, N images are drawn with replacement from the N images, and the metrics
    :math:`\theta_r` of the sample are computed as in :func:`~mlgcn_pyg.evaluation.multilabel_metrics`. A label without
    a positive image in a sample is left out of its mAP. The interval is

    .. math:: \theta + q - \overline{\theta}, \quad q \in \{q_{(1-level)/2}, q_{(1+level)/2}\},

    where θ is the metric of all images, q are quantiles of :math:`\theta_r`, and :math:`\overline{\theta}` is their
    mean. The mean is subtracted since AP is higher on samples with repeated images: a positive image that is drawn
    twice is ranked beside itself.

    The interval is for the mean metric of image sets of the same size and source. AP depends on this size: with few
    positive images, it is higher than it would be with many. For several runs, the metrics are averaged over the runs,
    and the interval does not include the variation of further runs. Intervals of single labels are not corrected for
    the number of labels, and are too narrow for labels with fewer than about five positive images.

    Args:
        logits: (N, C), finite; or a sequence of them, one per run, whose metrics are averaged.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        replicates: the number R of samples, ≥ 1.
        seed: the seed of the samples, ≥ 0.
        level: the probability of the interval, in (0, 1].
        thresholds: (C,) logits above which labels count as predicted; default: 0.
        progress: a function that is called with the number of finished replicates, of R per run.

    Returns:
        The intervals, as fractions. Values are NaN where :func:`~mlgcn_pyg.evaluation.multilabel_metrics` returns NaN;
        limits are NaN there, and with fewer than two images.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, or a number is out of range.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 10 and 13.

    >>> import torch
    >>> logits = torch.tensor([[2.0], [1.0], [0.5], [-1.0], [-2.0], [-3.0]])
    >>> result = bootstrap_metrics(logits, torch.tensor([[1], [0], [1], [1], [0], [0]]))
    >>> round(result.OF1.value, 3), result.OF1.low < 0.6 < result.OF1.high
    (0.667, True)
    """
    sample = bootstrap_replicates(
        logits, targets, replicates=replicates, seed=seed, thresholds=thresholds, progress=progress
    )
    return sample.intervals(level)


def paired_difference(
    logits_a: Any,
    logits_b: Any,
    targets: Any,
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    thresholds_a: Any = None,
    thresholds_b: Any = None,
    progress: Callable[[int], None] | None = None,
) -> MetricDifferences:
    """Computes the differences of mAP, OF1 and AP between two heads, a minus b, with bootstrap intervals.

    Both heads are scored on the same samples of the images, and the interval is computed from the differences, as in
    :func:`bootstrap_metrics`. It is narrower than the intervals of the heads suggest, since heads find the same images
    difficult.

    ``gained`` and ``lost`` are the labels whose AP differs from 0 by more than chance, corrected for the number of
    labels: with the probability ``level``, none of them is there by chance (of the samples, the largest deviation of
    any label in units of its standard error decides). Labels with fewer than five positive images are never among
    them. The intervals of single labels are not corrected.

    Args:
        logits_a: (N, C), finite; or a sequence of them, one per run, whose metrics are averaged.
        logits_b: as ``logits_a``, for the same images. The number of runs may differ.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        replicates: the number R of samples, ≥ 1.
        seed: the seed of the samples, ≥ 0.
        level: the probability of the intervals, in (0, 1].
        thresholds_a: (C,) logits above which labels of a count as predicted; default: 0.
        thresholds_b: as ``thresholds_a``, for b.
        progress: a function that is called with the number of finished replicates, of R per run of a and b.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, or a number is out of range.

    >>> import torch
    >>> targets = torch.tensor([[1], [0], [1], [1], [0], [0]])
    >>> result = paired_difference(targets * 2.0 - 1, torch.zeros(6, 1), targets)
    >>> result.mAP.value, result.mAP.above
    (0.5, 1.0)
    """
    drawn: dict[str, Any] = {"replicates": replicates, "seed": seed}
    with renamed_arguments(logits="logits_a", thresholds="thresholds_a"):
        a = bootstrap_replicates(logits_a, targets, thresholds=thresholds_a, progress=progress, **drawn)
        runs = len(_runs(logits_a))
    later = _after(runs * replicates, progress)
    with renamed_arguments(logits="logits_b", thresholds="thresholds_b"):
        b = bootstrap_replicates(logits_b, targets, thresholds=thresholds_b, progress=later, **drawn)
    return a.difference(b, level)


def _runs(logits: Any) -> Sequence[Any]:
    """Returns the logits of each run: of one for (N, C), of several for (S, N, C) or a sequence of S matrices."""
    several = getattr(logits, "ndim", None) == 3
    if isinstance(logits, list | tuple):
        several = not logits or getattr(logits[0], "ndim", None) == 2
    if several and not len(logits):
        raise InputError("logits", "logits of at least one run", "none")
    return list(logits) if several else [logits]


def _after(done: int, progress: Callable[[int], None] | None) -> Callable[[int], None] | None:
    """Returns ``progress`` for a run that starts when ``done`` replicates are finished."""
    return None if progress is None else lambda more: progress(done + more)

"""The recommendation of one head."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mlgcn_pyg.evaluation import MetricDifferences, Replicates, bootstrap_replicates

ONE_ERROR = 0.6827  # the probability of an interval of one standard error to each side
SELECTION_REPLICATES = 200  # enough for a standard error


@dataclass(frozen=True)
class Recommendation:
    """The head to use, and the scores that selected it.

    Attributes:
        kind: the recommended kind of head.
        images: the images that selected it: ``"val"``, or ``"folds"`` of the training images.
        reference: the kind that the others are compared with, which is the simplest one.
        mAP: for each kind, the mAP on these images; NaN if it is not defined.
        errors: for each other kind, the standard error of its difference in mAP to the reference.
    """

    kind: str
    images: str
    reference: str
    mAP: dict[str, float]
    errors: dict[str, float]


def recommend(scores: Mapping[str, Replicates], images: str) -> Recommendation:
    """Recommends the simplest head that is within one standard error of the best one.

    The best head is the one with the highest mAP on the images that select. A simpler head is recommended instead if
    the difference between the two in mAP is at most its standard error, which is that of the paired bootstrap over
    these images and over the seeds. Since these are not the images that the results are reported on, the reported
    metrics of the recommended head have no advantage from the choice.

    Source of the rule: Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, section 3.4.3.

    Args:
        scores: for each kind of head, the simplest first, its metrics on samples of the images.
        images: ``"val"`` or ``"folds"``.
    """
    means = {kind: float(found.mAP[0]) for kind, found in scores.items()}
    reference = next(iter(scores))
    best = max(means, key=lambda kind: -1.0 if np.isnan(means[kind]) else means[kind])  # the first of equal ones
    kind = next(kind for kind in scores if not _clearly_above(scores[best], scores[kind]))
    errors = {other: standard_error(found, scores[reference]) for other, found in scores.items() if other != reference}
    return Recommendation(kind, images, reference, means, errors)


def _clearly_above(best: Replicates, other: Replicates) -> bool:
    return float(best.mAP[0] - other.mAP[0]) > standard_error(best, other)


def standard_error(a: Replicates, b: Replicates) -> float:
    """Returns the standard error of the difference in mAP between two heads; infinity if it cannot be estimated."""
    limits: MetricDifferences = a.difference(b, ONE_ERROR)
    width = limits.mAP.high - limits.mAP.low
    return float("inf") if np.isnan(width) else width / 2


def replicates_over_seeds(
    logits: Sequence[Tensor], targets: Tensor, replicates: int, progress: Callable[[int], None] | None = None
) -> Replicates:
    """Computes the mean metrics of the runs of a head on bootstrap samples of the images and of the runs.

    Args:
        logits: (N, C) of each run.
        targets: (N, C).
        replicates: the number of samples.
        progress: a function that is called with the number of finished samples of one run.
    """
    runs = [bootstrap_replicates(one, targets, replicates=replicates, progress=progress) for one in logits]
    counts = np.random.default_rng(0).multinomial(len(runs), [1 / len(runs)] * len(runs), size=replicates)
    counts = np.concatenate([np.ones((1, len(runs)), dtype=counts.dtype), counts])  # sample 0 are all runs
    shares = (counts / len(runs)).T
    ap = sum(share[:, None] * run.AP for share, run in zip(shares, runs, strict=True))
    of1 = sum(share * run.OF1 for share, run in zip(shares, runs, strict=True))
    return Replicates(ap, of1, runs[0].positives, runs[0].num_images, runs[0].seed)

"""The recommendation of one head."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mlgcn_pyg.evaluation import Replicates, bootstrap_replicates

Samples = NDArray[np.float64]
MARGIN = 0.001  # of mAP, which no user would notice


@dataclass(frozen=True)
class Recommendation:
    """The head to use, and the scores that selected it.

    Attributes:
        kind: the recommended kind of head.
        images: the images that selected it: ``"val"``, or ``"folds"`` of the training images; ``"none"`` if there was
            one kind.
        reference: the kind that the others are compared with, which is the simplest one.
        mAP: for each kind, the mAP on these images, which is a mean over folds; NaN if it is not defined.
        errors: for each other kind, the standard error of its difference in mAP to the reference.
    """

    kind: str
    images: str
    reference: str
    mAP: dict[str, float]
    errors: dict[str, float]


def recommend(scores: Mapping[str, Samples], images: str) -> Recommendation:
    """Recommends the head with the highest mAP on the images that select; the simplest one of those within 0.001.

    A larger margin, such as one standard error, would on average give up more mAP than it avoids: where heads differ by
    less than the images can show, the higher one is still the better guess. Whether the recommended head is *clearly*
    better is a separate question, which the intervals on the reported images answer. Since these are other images, the
    reported metrics have no advantage from the choice.

    Args:
        scores: for each kind of head, the simplest first, the mAP (1 + R,) on the images (entry 0) and on bootstrap
            samples, which are the same for all kinds.
        images: ``"val"`` or ``"folds"``.
    """
    means = {kind: float(found[0]) for kind, found in scores.items()}
    reference = next(iter(scores))
    best = max(means, key=lambda kind: -1.0 if np.isnan(means[kind]) else means[kind])  # the first of equal ones
    kind = next(k for k in scores if not means[best] - means[k] > MARGIN)
    others = (other for other in scores if other != reference)
    return Recommendation(
        kind, images, reference, means, {k: standard_error(scores[k], scores[reference]) for k in others}
    )


def standard_error(a: Samples, b: Samples) -> float:
    """Returns the standard error of the difference in mAP between two heads; infinity if it cannot be estimated.

    It cannot be if no sample has a defined mAP, or if different heads differ equally in all samples, which is the case
    for a single image.

    >>> standard_error(np.array([0.5, 0.25, 0.75]), np.array([0.0, 0.0, 0.0])), standard_error(np.ones(3), np.zeros(3))
    (0.25, inf)
    """
    difference = (a - b)[1:]
    defined = difference[~np.isnan(difference)]
    error = float(defined.std()) if len(defined) else 0.0
    return error if error > 0 or a[0] == b[0] else float("inf")


def replicates_over_seeds(
    logits: Sequence[Tensor],
    targets: Tensor,
    replicates: int,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Replicates:
    """Computes the mean metrics of the runs of a head on bootstrap samples of the images and of the runs.

    Args:
        logits: (N, C) of each run.
        targets: (N, C).
        replicates: the number of samples.
        seed: the seed of the samples.
        progress: a function that is called with the number of finished samples of one run.
    """
    runs = [bootstrap_replicates(one, targets, replicates=replicates, seed=seed, progress=progress) for one in logits]
    counts = np.random.default_rng(seed).multinomial(len(runs), [1 / len(runs)] * len(runs), size=replicates)
    counts = np.concatenate([np.ones((1, len(runs)), dtype=counts.dtype), counts])  # sample 0 are all runs
    shares = (counts / len(runs)).T
    ap = sum(share[:, None] * run.AP for share, run in zip(shares, runs, strict=True))
    of1 = sum(share * run.OF1 for share, run in zip(shares, runs, strict=True))
    return Replicates(ap, of1, runs[0].positives, runs[0].num_images, runs[0].seed)

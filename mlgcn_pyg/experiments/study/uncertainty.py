r"""Effects: differences in mAP between two contenders, over images and over splits.

Contenders are paired: on split r, all of them have the same training, validation and test images, the same hidden
targets, and the same seed. The replicate r of a contender is the mean of its metrics over its draws of a control graph.
The difference :math:`d_r` of two contenders has two sources of variation:

* **Test images.** All images of all test sets are drawn with replacement, once for all runs. The metrics of a sample
  are averaged over the splits. The interval is BCa (Efron 1987), with 100 random groups of images left out in turn;
  below 500 images, it is that of :func:`~mlgcn_pyg.evaluation.paired_difference`. The p value is that of the interval
  which ends at 0.
* **Splits and seeds.** The t interval of :math:`d_r`. If all splits have the same test images, p is that of the exact
  sign-flip test, which requires 6 splits. If splits of one pool overlap, it is that of the t test with the correction
  of Nadeau and Bengio (2003).

On shared test images, the two are independent, and each alone leaves out the other: with equally large standard
errors, either test is exceeded by chance in 17 % of all studies instead of 5 %. The joint interval has the sum of the
two variances (Welch's t). The corrected variance of overlapping splits includes the test images, and the joint
interval is the wider of the two. An effect counts if it is seen over images, over splits, and over both: its p is the
largest of the three. Equivalence requires that all three 90 % intervals lie within the smallest effect of interest
(Schuirmann 1987).

If all runs of both contenders are equal on all splits, as exact fits to the same images are, there is no variation over
splits, and only the images count.

Sources: Bouthillier et al., https://arxiv.org/abs/2103.03098 (sources of variation, paired comparisons); Shchur et al.,
https://arxiv.org/abs/1811.05868 (several splits); :mod:`mlgcn_pyg.evaluation.significance` and
:mod:`mlgcn_pyg.evaluation.bca` for the tests.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.evaluation.bca import bca, bca_p_value
from mlgcn_pyg.evaluation.intervals import Interval, intervals, mean_of_defined
from mlgcn_pyg.evaluation.significance import Error, is_equivalent
from mlgcn_pyg.experiments.study.design import Design

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A difference in mAP, a minus b, as fractions. Undefined numbers are NaN.

    Attributes:
        value: the mean difference over the splits.
        images: its 95 % interval over test images.
        splits: its 95 % interval over splits and seeds; None for a single split.
        joint: its 95 % interval over both.
        p_images: the two-sided p value over test images.
        p_splits: the two-sided p value over splits; NaN if it does not count, since no run differs over the splits, or
            if there are too few splits.
        p: the largest p value; NaN for an effect that is only descriptive.
        equivalent: whether the difference is smaller than the smallest effect of interest.
        descriptive: why the effect cannot be tested; empty if it can.
        num_splits: the number of splits.
        num_images: the number of test images of all splits.
        num_labels: the number of labels that have a positive test image in at least one split.
        error_images: the standard error over test images.
        error_splits: the standard error over splits.
        least_p: the smallest p that so many splits and samples allow, whatever the difference.
        images_needed: the number of test images for a joint interval of about ± the smallest effect of interest.
        splits_needed: the number of splits for it, together with ``images_needed``; 0 if neither can be told.
    """

    value: float
    images: Interval
    splits: Interval | None
    joint: Interval
    p_images: float
    p_splits: float
    p: float
    equivalent: bool
    descriptive: str
    num_splits: int
    num_images: int
    num_labels: int
    error_images: float
    error_splits: float
    least_p: float
    images_needed: int
    splits_needed: int


def effect_of(
    differences: Floats, num_samples: int, design: Design, *, constant: bool, smallest: float, sizes: dict[str, int]
) -> Effect:
    """Returns the effect.

    Args:
        differences: (R, 1 + B + J) of each split: on its test images, on B samples, and without each of J groups.
        num_samples: B.
        design: how the splits were drawn.
        constant: whether all runs of both contenders are equal on all splits.
        smallest: the smallest effect of interest.
        sizes: ``num_images`` and ``num_labels``.
    """
    whole = differences[~np.isnan(differences[:, 0])]
    sampled = mean_of_defined(whole, axis=0)
    value, per_split = float(sampled[0]), whole[:, 0]
    drawn, without = sampled[: 1 + num_samples], sampled[1 + num_samples :]
    images = Error(_spread(drawn[1:]))
    splits = design.split_error(per_split) if len(whole) > 1 else None
    joint = design.joint_error(images, splits)
    problem = design.problem(len(whole), sizes["num_images"], constant)
    p_images = _image_test(drawn, without)
    p_splits = math.nan if constant or problem else design.split_test(per_split)
    tested = [p_images, joint.p_value(value)] + ([] if constant else [p_splits])
    narrow = [_image_interval(drawn, without, 0.9), joint.interval(value, 0.9)]
    narrow += [splits.interval(value, 0.9)] if splits else []
    needed = design.needed(images, splits, smallest, sizes["num_images"], len(whole))
    return Effect(
        value=value,
        images=_image_interval(drawn, without, 0.95),
        splits=splits.interval(value) if splits else None,
        joint=joint.interval(value),
        p_images=p_images,
        p_splits=p_splits,
        p=float(np.max(tested)),  # NaN if one of them is
        equivalent=is_equivalent(narrow, smallest) and not problem,
        descriptive=problem,
        num_splits=len(whole),
        error_images=images.size,
        error_splits=splits.size if splits else math.nan,
        least_p=max(1 / num_samples, 0 if constant else design.least_p(len(whole))),
        images_needed=needed.images,
        splits_needed=needed.splits,
        **sizes,
    )


def joint_test(differences: Floats, num_samples: int, design: Design) -> float:
    """Returns the p value over images and splits together; for the arguments of :func:`effect_of`."""
    whole = differences[~np.isnan(differences[:, 0])]
    drawn = mean_of_defined(whole, axis=0)[: 1 + num_samples]
    splits = design.split_error(whole[:, 0]) if len(whole) > 1 else None
    return design.joint_error(Error(_spread(drawn[1:])), splits).p_value(float(drawn[0]))


def _image_interval(drawn: Floats, without: Floats, level: float) -> Interval:
    """Returns the interval over images from the difference and its samples (1 + B,), and without each group (J,)."""
    if len(without):
        return bca(drawn[0], drawn[1:], without, level)
    return intervals(drawn[:, None], level)[0]


def _image_test(drawn: Floats, without: Floats) -> float:
    """Returns the two-sided p value that belongs to :func:`_image_interval`."""
    if len(without):
        return bca_p_value(drawn[0], drawn[1:], without)
    samples = drawn[1:][~np.isnan(drawn[1:])]
    if math.isnan(drawn[0]) or not len(samples):
        return math.nan
    shifted = drawn[0] + samples - samples.mean()
    return float(np.clip(2 * min((shifted <= 0).mean(), (shifted >= 0).mean()), 1 / len(samples), 1))


def _spread(samples: Floats) -> float:
    defined = samples[~np.isnan(samples)]
    return float(defined.std()) if len(defined) else math.nan

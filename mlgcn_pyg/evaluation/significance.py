r"""Tests and intervals of the mean of paired differences, one per seed or split, and the correction of several tests.

The differences of two methods over runs have a mean :math:`\bar d` and a variance :math:`s^2`. A run is a sample of
seeds and training images, so that a single one says little (Bouthillier et al. 2021), and the ranking of methods can
change with the split (Shchur et al. 2018). Where the training and test images of the runs overlap, the runs are not
independent, and :math:`s^2 / R` is too small a variance of the mean. Nadeau and Bengio (2003) replace it by

.. math:: \left( \frac{1}{R} + \frac{n_{test}}{n_{train}} \right) s^2.

Sources: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks, 2021,
https://arxiv.org/abs/2103.03098. Shchur et al., Pitfalls of Graph Neural Network Evaluation, 2018,
https://arxiv.org/abs/1811.05868. Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from mlgcn_pyg.checks import check_number
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation.intervals import Interval

FEWEST_FLIPS = 6  # 2 of 2^5 assignments are more than 5 %
MOST_FLIPS = 20  # a million assignments
NORMAL = 1e8  # degrees of freedom from which on the t distribution is computed as this one
ROUNDING = 1e-12  # relative to the sum of absolute differences: sums in other orders are equal up to this


@dataclass(frozen=True)
class Error:
    """The standard error of a mean, and the degrees of freedom of its estimate.

    Attributes:
        size: the standard error, ≥ 0.
        degrees: the degrees of freedom; infinity for a normal distribution.
    """

    size: float
    degrees: float = math.inf

    def interval(self, value: float, level: float = 0.95) -> Interval:
        """Returns the t interval around ``value``."""
        half = self.size * stdtrit(min(self.degrees, NORMAL), (1 + level) / 2) if self.size else 0.0
        return Interval(float(value), float(value - half), float(value + half))

    def p_value(self, value: float) -> float:
        """Returns the two-sided p value of ``value``; without an error, 1 for the value 0 and 0 for others."""
        if math.isnan(value) or math.isnan(self.size):
            return math.nan
        if not self.size:
            return float(value == 0)
        return float(2 * stdtr(min(self.degrees, NORMAL), -abs(value) / self.size))

    def __add__(self, other: "Error") -> "Error":
        """Returns the error from two independent sources, with the degrees of freedom of Welch and Satterthwaite.

        >>> both = Error(3.0, 9) + Error(4.0)
        >>> both.size, round(both.degrees, 2)  # 25² / (9² / 9)
        (5.0, 69.44)
        """
        variance = self.size**2 + other.size**2
        spread = self.size**4 / self.degrees + other.size**4 / other.degrees
        return Error(math.sqrt(variance), variance**2 / spread if spread else math.inf)


def mean_error(differences: ArrayLike, *, overlap: float = 0.0) -> Error:
    """Returns the standard error of the mean of the differences, √((1/R + overlap) s²), with R − 1 degrees of freedom.

    Args:
        differences: (R,), finite, one per seed or split, R ≥ 2.
        overlap: 0 for runs on one fixed test set; n_test / n_train for overlapping splits (Nadeau and Bengio 2003).

    Raises:
        InputError: if there are fewer than two differences, one is not finite, or ``overlap`` is negative.
    """
    values = _differences(differences, 2, "for the variance of a mean")
    check_number("overlap", overlap, 0, math.inf)
    if (values == values[0]).all():  # their mean may be rounded
        return Error(0.0, len(values) - 1)
    return Error(math.sqrt((1 / len(values) + overlap) * values.var(ddof=1)), len(values) - 1)


def mean_interval(differences: ArrayLike, *, level: float = 0.95, overlap: float = 0.0) -> Interval:
    """Returns the mean of the differences with its t interval.

    Args:
        differences: (R,), finite, one per seed or split, R ≥ 2.
        level: the probability of the interval, in (0, 1).
        overlap: 0 for runs on one fixed test set; n_test / n_train for overlapping splits (Nadeau and Bengio 2003).

    Raises:
        InputError: if there are fewer than two differences, one is not finite, or a number is out of range.

    >>> found = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])  # 3 ± 2.776 √(2.5 / 5)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (3.0, 1.037, 4.963)
    """
    if check_number("level", level, 0, 1, open_low=True) == 1:
        raise InputError("level", "a number in (0, 1)", level)
    return mean_error(differences, overlap=overlap).interval(float(np.asarray(differences).mean()), level)


def mean_test(differences: ArrayLike, *, overlap: float = 0.0) -> float:
    """Returns the two-sided p value of the t test that the mean of the differences is 0.

    Equal differences have p = 0, or p = 1 if they are 0.

    Args:
        differences: (R,), finite, one per seed or split, R ≥ 2.
        overlap: 0 for runs on one fixed test set; n_test / n_train for overlapping splits (Nadeau and Bengio 2003).

    Raises:
        InputError: if there are fewer than two differences, one is not finite, or ``overlap`` is negative.

    >>> round(mean_test([1.0, 2.0, 3.0, 4.0, 5.0]), 4), round(mean_test([1.0, 2.0, 3.0, 4.0, 5.0], overlap=0.25), 4)
    (0.0132, 0.0474)
    """
    return mean_error(differences, overlap=overlap).p_value(float(np.asarray(differences).mean()))


def sign_flip_test(differences: ArrayLike) -> float:
    r"""Returns the exact two-sided p value of the hypothesis that the differences are symmetric around 0.

    .. math:: p = 2^{-R} \, \#\{\sigma \in \{-1, 1\}^R : |\sum_r \sigma_r d_r| \ge |\sum_r d_r|\}

    The differences must be independent, as over seeds on one fixed test set. With five, p is at least 2/32 > 0.05.

    Args:
        differences: (R,), finite, one per seed, 6 ≤ R ≤ 20.

    Raises:
        InputError: if their number is out of range, or one is not finite.

    Source: Fisher, The Design of Experiments, 1935, Sec. 21.

    >>> sign_flip_test([1.0, 2.0, 1.0, 3.0, 1.0, 2.0])  # 2 of 64: all signs kept, or all changed
    0.03125
    """
    values = _differences(differences, FEWEST_FLIPS, "for p ≤ 0.05 to be possible")
    if len(values) > MOST_FLIPS:
        fix = "use mean_test, which is accurate for as many"
        raise InputError("differences", f"at most {MOST_FLIPS} numbers", f"{len(values)} of them", fix)
    sums = values[:1]  # the first sign is fixed: changing all signs does not change the absolute sum
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return float((np.abs(sums) >= abs(values.sum()) - ROUNDING * np.abs(values).sum()).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p values that are adjusted for the number of tests. Those that are NaN stay NaN and do not count.

    The k-th smallest of m is multiplied by m − k + 1, and is at least the one before it.

    Args:
        p_values: the p values of the tests.

    Raises:
        InputError: if one is outside [0, 1].

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6, 1979.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    values = np.asarray(p_values, dtype=float)
    defined = np.flatnonzero(~np.isnan(values))
    if ((values[defined] < 0) | (values[defined] > 1)).any():
        raise InputError("p_values", "numbers in [0, 1]", f"{values[defined].min():g} to {values[defined].max():g}")
    order = defined[np.argsort(values[defined], kind="stable")]
    adjusted = values.copy()
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)), 1)
    return [float(p) for p in adjusted]


def is_equivalent(interval90s: Sequence[Interval], effect: float) -> bool:
    """Returns whether all 90 % intervals of a difference lie within (−effect, effect).

    This is the pair of one-sided tests of level 5 % that the difference is at most −effect, or at least effect.

    Args:
        interval90s: one or more intervals of the same difference. One with undefined limits lies nowhere.
        effect: the smallest difference that matters, > 0.

    Raises:
        InputError: if ``effect`` is not a number > 0, or there is no interval.

    Source: Schuirmann, A Comparison of the Two One-Sided Tests Procedure and the Power Approach, Journal of
    Pharmacokinetics and Biopharmaceutics 15, 1987.

    >>> is_equivalent([Interval(0.001, -0.001, 0.002)], 0.003), is_equivalent([Interval(0.001, -0.004, 0.002)], 0.003)
    (True, False)
    """
    check_number("effect", effect, 0, math.inf, open_low=True)
    if not interval90s:
        raise InputError("interval90s", "at least one interval", "none")
    return all(-effect < interval.low and interval.high < effect for interval in interval90s)


def _differences(differences: Any, fewest: int, why: str) -> NDArray[np.float64]:
    """Returns the differences (R,) as float64 if there are enough and all are finite."""
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < fewest:
        found = f"{len(values)} of them" if values.ndim == 1 else f"shape {values.shape}"
        raise InputError("differences", f"at least {fewest} numbers, {why}", found)
    if not np.isfinite(values).all():
        raise InputError("differences", "finite numbers", f"NaN or Inf in {(~np.isfinite(values)).sum()} of them")
    return values

r"""The bias-corrected and accelerated (BCa) bootstrap interval, and the p value that belongs to it.

With the distribution :math:`\hat G` of the samples, the bias :math:`z_0 = \Phi^{-1}(\hat G(\theta))` and the
acceleration :math:`a`, one sixth of the skewness of the values without one group of the data each, the limits are

.. math:: \hat G^{-1}\!\left(\Phi\!\left(z_0 + \frac{z_0 + z_q}{1 - a (z_0 + z_q)}\right)\right),
    \quad q \in \left\{\frac{1 - level}{2}, \frac{1 + level}{2}\right\}.

Source: Efron, Better Bootstrap Confidence Intervals, Journal of the American Statistical Association 82, 1987.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from mlgcn_pyg.checks import check_number
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation.intervals import Interval

Floats = NDArray[np.float64]


def bca(value: float, samples: ArrayLike, jackknife: ArrayLike, level: float = 0.95) -> Interval:
    """Returns the BCa interval.

    The jackknife may leave out one image at a time, or one of many random groups of equal size.

    Args:
        value: θ, the statistic of all images.
        samples: (R,) the statistic of bootstrap samples; undefined ones, NaN, are left out.
        jackknife: (J,) the statistic without one group of images each; undefined ones are left out.
        level: the probability of the interval, in (0, 1).

    Returns:
        The interval; its limits are NaN if ``value`` or all samples are undefined. Where all samples are equal, it is
        this value.

    Raises:
        InputError: if ``level`` is out of range.

    >>> data = np.array([1.0, 2.0, 4.0, 5.0, 8.0])
    >>> drawn = np.random.default_rng(0).choice(data, (2000, 5)).mean(axis=1)
    >>> bca(4.0, drawn, [np.delete(data, i).mean() for i in range(5)])
    Interval(value=4.0, low=2.2, high=6.6)
    """
    if check_number("level", level, 0, 1, open_low=True) == 1:
        raise InputError("level", "a number in (0, 1)", level)
    drawn = _defined(samples)
    if not len(drawn) or math.isnan(value):
        return Interval(float(value), math.nan, math.nan)
    z0, a = _normal_share(drawn, value), acceleration(jackknife)
    z = z0 + ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(drawn, ndtr(z0 + z / (1 - a * z)))
    return Interval(float(value), float(low), float(high))


def bca_p_value(value: float, samples: ArrayLike, jackknife: ArrayLike) -> float:
    r"""Returns the two-sided p value of θ = 0: one minus the level of the BCa interval that ends at 0.

    .. math:: p = 2 \Phi(-|z|), \quad z = \frac{w - z_0}{1 + a (w - z_0)} - z_0, \quad w = \Phi^{-1}(\hat G(0))

    Args:
        value: θ, the statistic of all images.
        samples: (R,) the statistic of bootstrap samples; undefined ones, NaN, are left out.
        jackknife: (J,) the statistic without one group of images each; undefined ones are left out.

    Returns:
        p, at least 1 / R, since R samples cannot show less; NaN if ``value`` or all samples are undefined.
    """
    drawn = _defined(samples)
    if not len(drawn) or math.isnan(value):
        return math.nan
    z0, a = _normal_share(drawn, value), acceleration(jackknife)
    shift = _normal_share(drawn, 0.0) - z0
    steepness = 1 + a * shift
    z = shift / steepness - z0 if steepness > 0 else math.inf  # the limits never reach as far as 0
    return float(np.clip(2 * ndtr(-abs(z)), 1 / len(drawn), 1))


def acceleration(jackknife: ArrayLike) -> float:
    r"""Returns :math:`a = \sum_j e_j^3 / 6 (\sum_j e_j^2)^{3/2}`, where :math:`e_j` is their mean minus value j.

    >>> round(acceleration([1.0, 1.0, 4.0]), 4), acceleration([2.0, 2.0])  # errors 1, 1, -2
    (-0.068, 0.0)
    """
    values = _defined(jackknife)
    errors = values.mean() - values if len(values) else values
    scale = float((errors**2).sum()) ** 1.5
    return float((errors**3).sum()) / (6 * scale) if scale > 0 else 0.0


def _normal_share(samples: Floats, value: float) -> float:
    """Returns the normal quantile of the share of samples below ``value``, with half of those that are equal to it.

    The share is at least 1/2R and at most 1 − 1/2R, so that the quantile is finite.
    """
    share = ((samples < value).mean() + (samples <= value).mean()) / 2
    least = 0.5 / len(samples)
    return float(ndtri(np.clip(share, least, 1 - least)))


def _defined(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]

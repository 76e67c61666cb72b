"""Intervals of metrics from their values on bootstrap samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg import html

LISTED = 102  # rows of a table in a notebook: mAP, OF1 and 100 labels


@dataclass(frozen=True)
class Interval:
    """A metric with its interval, as fractions. Undefined numbers are NaN.

    Attributes:
        value: the metric on all images.
        low: the lower limit.
        high: the upper limit.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """A difference of a metric between two heads with its interval, as fractions.

    Attributes:
        above: the share of the samples in which the difference, shifted as the interval is, is > 0.
    """

    above: float


@dataclass(frozen=True)
class MetricIntervals:
    """The result of :func:`~mlgcn_pyg.evaluation.bootstrap_metrics`.

    Attributes:
        mAP: the mean of the AP over the labels.
        OF1: overall F1.
        AP: one interval per label.
    """

    mAP: Interval
    OF1: Interval
    AP: tuple[Interval, ...]

    def _repr_html_(self) -> str:
        """Returns the intervals in per cent as HTML, which notebooks show."""
        rows = [("mAP", self.mAP), ("OF1", self.OF1), *((f"AP of label {k}", ap) for k, ap in enumerate(self.AP))]
        cells = [(name, *(100 * value for value in (i.value, i.low, i.high))) for name, i in rows[:LISTED]]
        return html.table(("metric", "%", "low", "high"), cells, caption=_some("intervals", rows), decimals=1)


@dataclass(frozen=True)
class MetricDifferences:
    """The result of :func:`~mlgcn_pyg.evaluation.paired_difference`, a minus b.

    Attributes:
        mAP: the difference in mAP.
        OF1: the difference in overall F1.
        AP: one difference per label, not corrected for the number of labels.
        gained: the numbers of the labels whose AP is higher in a, corrected for the number of labels.
        lost: the numbers of the labels whose AP is lower in a, likewise.
    """

    mAP: Difference
    OF1: Difference
    AP: tuple[Difference, ...]
    gained: tuple[int, ...]
    lost: tuple[int, ...]

    def _repr_html_(self) -> str:
        """Returns the differences in percentage points as HTML, which notebooks show."""
        clear = dict.fromkeys(self.gained, "higher") | dict.fromkeys(self.lost, "lower")
        rows = [("mAP", self.mAP, ""), ("OF1", self.OF1, "")]
        rows += [(f"AP of label {k}", ap, clear.get(k, "")) for k, ap in enumerate(self.AP)]
        cells = [
            (name, *(100 * value for value in (d.value, d.low, d.high, d.above)), note)
            for name, d, note in rows[:LISTED]
        ]
        header = ("metric", "difference", "low", "high", "% of samples > 0", "clear")
        return html.table(header, cells, caption=_some("differences, a − b", rows), decimals=1)


def _some(title: str, rows: Sequence[object]) -> str:
    """Returns a title that says how many of the rows are listed."""
    return title if len(rows) <= LISTED else f"{title}, the first {LISTED} of {len(rows)}"


def intervals(values: NDArray[np.float64], level: float) -> tuple[Interval, ...]:
    """Returns the interval of each column of ``values`` (1 + R, K): row 0 are the metrics, the others are samples.

    >>> intervals(np.array([[0.5], [0.5], [0.75], [1.0]]), level=1.0)
    (Interval(value=0.5, low=0.25, high=0.75),)
    """
    columns = zip(values[0], _errors(values).T, strict=True)
    return tuple(Interval(float(value), *_limits(value, errors, level)) for value, errors in columns)


def differences(values: NDArray[np.float64], level: float) -> tuple[Difference, ...]:
    """Returns the same as :func:`intervals`, for columns of differences."""
    columns = zip(values[0], _errors(values).T, strict=True)
    return tuple(
        Difference(float(value), *_limits(value, errors, level), _share_above(value, errors))
        for value, errors in columns
    )


def changed(values: NDArray[np.float64], level: float) -> NDArray[np.int64]:
    r"""Returns the sign of each column's value if it differs from 0 with a family-wise level, else 0.

    With standard errors :math:`s_k` and deviations :math:`e_{rk}` of the samples from their mean, column k differs from
    0 if :math:`|values_{0k}| / s_k` exceeds the quantile ``level`` of :math:`\max_k |e_{rk}| / s_k` over the samples.

    Args:
        values: (1 + R, K); row 0 are the differences, the others are samples. Undefined ones are NaN.
        level: the probability that no column with a true difference of 0 gets a sign.
    """
    errors = np.nan_to_num(_errors(values))
    scale = errors.std(axis=0) if len(errors) else np.zeros(values.shape[1])
    usable = scale > 0
    signs = np.zeros(values.shape[1], dtype=np.int64)
    if usable.any():
        largest = (np.abs(errors[:, usable]) / scale[usable]).max(axis=1)
        distinct = np.abs(values[0, usable]) > np.quantile(largest, level) * scale[usable]
        signs[usable] = np.where(distinct, np.sign(values[0, usable]), 0)
    return signs


def mean_of_defined(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Returns the mean of the values that are not NaN; NaN without any.

    >>> mean_of_defined(np.array([[1.0, np.nan], [np.nan, np.nan]]), axis=1)
    array([ 1., nan])
    """
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    total = np.where(defined, values, 0).sum(axis=axis)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _errors(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the deviations (R, K) of the samples from their mean."""
    return values[1:] - mean_of_defined(values[1:], axis=0)


def _limits(value: float, errors: NDArray[np.float64], level: float) -> tuple[float, float]:
    errors = errors[~np.isnan(errors)]
    if not len(errors):
        return float("nan"), float("nan")
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    return float(value + low), float(value + high)


def _share_above(value: float, errors: NDArray[np.float64]) -> float:
    errors = errors[~np.isnan(errors)]
    return float((value + errors > 0).mean()) if len(errors) else float("nan")

"""Tests over seeds and splits: against SciPy, hand-worked tables, and the closed form of the t distribution."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import Interval
from mlgcn_pyg.evaluation.significance import (
    Error,
    holm,
    is_equivalent,
    mean_error,
    mean_interval,
    mean_test,
    sign_flip_test,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(6, 11))
def test_sign_flips_are_those_of_scipy(seed, count):
    values = np.random.default_rng(seed).integers(-6, 10, count) / 8  # exact sums, many of them equal
    expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(values) == pytest.approx(expected.pvalue)


def test_sign_flips_by_hand():
    assert sign_flip_test([0.0] * 6) == 1
    assert sign_flip_test([0.25] * 10) == 2 / 2**10  # a constant difference
    assert sign_flip_test([1, 1, 1, 1, 1, -1]) == (2 + 2 * 6) / 64  # |sum| ≥ 4: all signs equal, or all but one
    assert sign_flip_test([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -0.7]) == pytest.approx(
        np.mean([abs(s) >= 1.4 - 1e-9 for s in all_sums([1, 2, 3, 4, 5, 6, 7], 0.1)])
    )
    assert sign_flip_test([1.0] * 20) == 2 / 2**20


def all_sums(values, unit):
    sums = [0]
    for value in values:
        sums = [s + value for s in sums] + [s - value for s in sums]
    return [unit * s for s in sums]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.sampled_from([0.5, 0.9, 0.95]))
def test_independent_differences_have_the_t_test_of_scipy(seed, count, level):
    values = np.random.default_rng(seed).normal(0.3, 1, count)
    expected = stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(level)
    found = mean_interval(values, level=level)
    assert mean_test(values) == pytest.approx(expected.pvalue, rel=1e-6)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), interval.low, interval.high))


def test_overlapping_splits_by_hand():
    """Mean 3, s² = 2.5: the variance is (1/5 + 1/4) 2.5 = 9/8, t² = 8, and with 4 degrees of freedom the distribution
    function is 1/2 + 3/8 · t/√(1 + t²/4) · (1 − t²/12(1 + t²/4))."""
    p = 2 * (1 / 2 - 3 / 8 * math.sqrt(8 / 3) * (1 - 8 / 36))
    assert mean_test([1, 2, 3, 4, 5], overlap=1 / 4) == pytest.approx(p)
    found = mean_interval([1, 2, 3, 4, 5], overlap=1 / 4)
    half = 2.7764451 * math.sqrt(9 / 8)  # the 97.5 % point of a t table
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half))


def test_overlapping_splits_as_scikit_learn_computes_them():
    """The corrected t test of scikit-learn's example on grid search, over 10 × 10 folds."""
    differences = np.random.default_rng(3).normal(0.01, 0.05, 100)
    n_train, n_test = 450, 50
    t = differences.mean() / (np.std(differences, ddof=1) * np.sqrt(1 / 100 + n_test / n_train))
    assert mean_test(differences, overlap=n_test / n_train) == pytest.approx(2 * stats.t.sf(abs(t), 99))


def test_constant_differences():
    assert mean_interval([0.1] * 3) == Interval(pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1))
    assert mean_error([0.1] * 3).size == 0  # the rounded mean of three is not 0.1
    assert (mean_test([0.1] * 3), mean_test([0.0] * 3)) == (0, 1)


@pytest.mark.parametrize("call", [mean_test, mean_interval, mean_error, sign_flip_test])
@pytest.mark.parametrize("values", [[0.1], [], [[0.1] * 6] * 6, [0.1] * 6 + [np.nan], [np.inf] * 6])
def test_wrong_differences(call, values):
    with pytest.raises(InputError, match="^differences: expected (at least|finite)"):
        call(values)


def test_numbers_of_seeds_that_no_sign_flip_test_has():
    with pytest.raises(InputError, match="expected at least 6 numbers, for p ≤ 0.05 to be possible, found 5 of them"):
        sign_flip_test([1.0] * 5)
    with pytest.raises(InputError, match="at most 20 numbers, found 21 of them; use mean_test"):
        sign_flip_test([1.0] * 21)


def test_numbers_out_of_range():
    with pytest.raises(InputError, match="^level"):
        mean_interval([1, 2], level=1)
    with pytest.raises(InputError, match="^overlap"):
        mean_test([1, 2], overlap=-0.1)
    with pytest.raises(InputError, match="^effect"):
        is_equivalent([Interval(0, 0, 0)], 0)
    with pytest.raises(InputError, match="^interval90s"):
        is_equivalent([], 0.1)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([0.04]) == [0.04] and holm([]) == []
    assert holm([0.02, math.nan, 0.02]) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)
    with pytest.raises(InputError, match=r"^p_values: expected numbers in \[0, 1\], found 0.1 to 1.1"):
        holm([0.1, 1.1])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_rejects_as_the_sequential_procedure(p_values):
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected, left = set(), sorted(range(len(p_values)), key=lambda k: p_values[k])
        while left and p_values[left[0]] * len(left) <= level:
            rejected.add(left.pop(0))
        assert {k for k, p in enumerate(adjusted) if p <= level} == rejected


def test_equivalence_requires_both_limits_of_all_intervals_inside():
    inside, outside = Interval(0.0, -0.002, 0.002), Interval(0.0, -0.003, 0.002)
    undefined = Interval(0.0, math.nan, math.nan)
    assert is_equivalent([inside, inside], 0.003)
    assert not is_equivalent([inside, outside], 0.003) and not is_equivalent([inside, undefined], 0.003)


def test_two_sources_have_the_degrees_of_welch():
    """The difference of two means is a sum of two errors: SciPy's Welch test."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(0.5, 1, 7), generator.normal(0, 3, 12)
    expected = stats.ttest_ind(a, b, equal_var=False)
    both, value = mean_error(a) + mean_error(b), a.mean() - b.mean()
    interval = expected.confidence_interval()
    found = both.interval(value)
    assert both.p_value(value) == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_an_error_without_size_or_with_infinite_degrees():
    assert Error(0.0, 3) + Error(0.0) == Error(0.0)
    assert Error(0.0) + Error(2.0, 4) == Error(2.0, 4)
    assert Error(2.0).interval(1.0).high == pytest.approx(1 + 2 * 1.959964)
    assert math.isnan(Error(math.nan).p_value(1.0)) and math.isnan(Error(1.0).p_value(math.nan))

"""BCa intervals against SciPy on the same samples, and p values against the intervals that they invert."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import Interval
from mlgcn_pyg.evaluation.bca import acceleration, bca, bca_p_value

GENERATOR = np.random.default_rng(0)
SKEWED = GENERATOR.normal(0, 1, 4000) ** 2


@pytest.mark.parametrize("statistic", [np.mean, np.std])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_intervals_are_those_of_scipy(statistic, level):
    data = SKEWED[:60]
    options = {"method": "BCa", "n_resamples": 999, "confidence_level": level, "vectorized": True}
    expected = stats.bootstrap((data,), statistic, random_state=np.random.default_rng(1), **options)
    jackknife = [statistic(np.delete(data, i)) for i in range(len(data))]
    found = bca(statistic(data), expected.bootstrap_distribution, jackknife, level)
    interval = expected.confidence_interval
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    plain = np.quantile(expected.bootstrap_distribution, [(1 - level) / 2, (1 + level) / 2])
    assert abs(found.high - plain[1]) > 0.01  # the correction is visible on these data


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(0, 2))
def test_the_interval_of_level_one_minus_p_ends_at_zero(seed, centre, skewness):
    normal = np.random.default_rng(seed).normal(0, 1, 4000)
    samples = centre + normal + skewness * (normal**2 - 1) / 4
    jackknife = [0.0, 1.0, 1.0]
    p = bca_p_value(centre, samples, jackknife)
    if not 0.001 < p < 0.999:
        return
    interval = bca(centre, samples, jackknife, 1 - p)
    between = [((samples < limit) != (samples < 0)).sum() for limit in (interval.low, interval.high)]
    assert min(between) <= 1  # samples between the limit and 0


def test_a_normal_statistic_has_the_p_value_of_a_z_test():
    samples = 0.4 + 0.2 * stats.norm.ppf((np.arange(5000) + 0.5) / 5000)
    assert bca_p_value(0.4, samples, [1.0, 2.0, 3.0]) == pytest.approx(2 * stats.norm.sf(2), rel=0.01)


def test_p_is_at_least_one_over_the_number_of_samples():
    assert bca_p_value(10.0, GENERATOR.normal(10, 1, 500), [0.0, 1.0, 2.0]) == 1 / 500


def test_a_constant_difference():
    assert bca(0.0, np.zeros(100), np.zeros(10)) == Interval(0, 0, 0)
    assert bca_p_value(0.0, np.zeros(100), np.zeros(10)) == 1
    assert bca(0.1, np.full(100, 0.1), np.full(10, 0.1)) == Interval(0.1, 0.1, 0.1)
    assert bca_p_value(0.1, np.full(100, 0.1), np.full(10, 0.1)) == 1 / 100


def test_undefined_values():
    samples = np.array([math.nan, 0.1, 0.2, 0.3])
    assert bca(0.2, samples, [math.nan, 1.0, 2.0]) == bca(0.2, samples[1:], [1.0, 2.0])
    for value, drawn in ((0.2, [math.nan]), (math.nan, [0.1]), (0.2, [])):
        found = bca(value, drawn, [])
        assert math.isnan(found.low) and math.isnan(found.high) and math.isnan(bca_p_value(value, drawn, []))


@pytest.mark.parametrize("level", [0, 1, 1.5, math.nan])
def test_wrong_level(level):
    with pytest.raises(InputError, match="^level"):
        bca(0.0, [0.0], [], level)


def test_groups_have_the_acceleration_of_single_images():
    """Leaving out groups estimates the same skewness of a mean as leaving out single values."""
    data = SKEWED
    single = (data.sum() - data) / (len(data) - 1)
    groups = np.random.default_rng(5).permutation(data).reshape(100, 40)
    grouped = (data.sum() - groups.sum(axis=1)) / (len(data) - 40)
    assert acceleration(single) == pytest.approx(stats.skew(data) / 6 / math.sqrt(len(data)), rel=1e-6)
    assert acceleration(grouped) == pytest.approx(acceleration(single), abs=3 * math.sqrt(6 / 100) / 60)

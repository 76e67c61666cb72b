"""Error rates of the whole analysis, on simulated studies whose truth is known. Bounds are binomial, at 99.9 %."""

import numpy as np
import pytest
from scipy import stats

from mlgcn_pyg.evaluation.significance import mean_interval
from mlgcn_pyg.experiments.study import image_samples
from mlgcn_pyg.experiments.study.comparisons import compare
from mlgcn_pyg.experiments.study.effects import Scores
from mlgcn_pyg.experiments.study.verdict import answer
from tests.experiments.study.simulation import simulated_runs, simulated_targets


def most(count, rate):
    """Returns the number of events of a rate that is exceeded in 0.1 % of all simulations."""
    return stats.binom.ppf(0.999, count, rate)


def scores_of(runs, targets, replicates):
    return Scores(runs, targets, shared_test=True, replicates=replicates)


def fewest(count, rate):
    """Returns the number of events of a rate that is not reached in 0.1 % of all simulations."""
    return stats.binom.ppf(0.001, count, rate)


@pytest.fixture(autouse=True)
def few_groups(monkeypatch):
    monkeypatch.setattr(image_samples, "GROUPS", 32)  # one chunk of weights


def test_no_difference_is_rarely_found_where_there_is_none():
    """ML-GCN and its controls differ by noise of images and splits only, of which either may be the larger one."""
    generator = np.random.default_rng(0)
    names = dict.fromkeys(["mlgcn", "mlgcn p=0", "mlgcn shuffled"], 0.0)
    wrong, studies = 0, 200
    for study in range(studies):
        targets = simulated_targets(generator, 500, 1)
        runs = simulated_runs(generator, targets, names, 7, of_splits=(0.05, 0.2)[study % 2])
        found = compare(scores_of(runs, targets, replicates=95), None, [1])
        wrong += any(one.finding in ("higher", "lower") for one in found) or answer(found) == "helps"
    assert wrong <= most(studies, 0.05)


def test_intervals_over_images_cover_the_difference_on_all_images():
    """The true difference is that on 200,000 images; runs are fixed, so that only images vary."""
    generator = np.random.default_rng(1)
    heads = {"a": 0.3, "b": 0.0}
    many = simulated_targets(generator, 200_000, 1)
    truth = scores_of(simulated_runs(generator, many, heads, 1, of_splits=0.0), many, replicates=1)
    difference = float(truth.per_split("a")[0] - truth.per_split("b")[0])
    missed = 0
    for _ in range(200):
        targets = simulated_targets(generator, 500, 1)
        runs = simulated_runs(generator, targets, heads, 1, of_splits=0.0)
        images = scores_of(runs, targets, replicates=223).effect("a", "b").images
        missed += not images.low <= difference <= images.high
    assert fewest(200, 0.05) <= missed <= most(200, 0.05)


@pytest.mark.parametrize("splits", [6, 20])
def test_intervals_over_seeds_cover_the_mean_of_all_seeds(splits):
    """On fixed images, the true difference is the mean over 500 seeds."""
    generator = np.random.default_rng(splits)
    targets = simulated_targets(generator, 60, 1)
    runs = simulated_runs(generator, targets, {"a": 0.2, "b": 0.0}, 500, of_splits=0.3)
    scores = scores_of(runs, targets, replicates=1)
    differences = scores.per_split("a") - scores.per_split("b")
    missed, count = 0, 300
    for _ in range(count):
        found = mean_interval(generator.choice(differences, splits))
        missed += not found.low <= differences.mean() <= found.high
    assert fewest(count, 0.05) <= missed <= most(count, 0.05)

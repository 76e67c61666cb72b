"""One run of a study."""

import math

import numpy as np
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import mean_average_precision
from mlgcn_pyg.experiments.study import CONTENDERS, Condition, RunKey, data_of_parts
from mlgcn_pyg.experiments.study import running as running_module
from mlgcn_pyg.experiments.study.running import FACTORS, Candidate, compute_run
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import ExactConfig, fit_head, score
from mlgcn_pyg.training.divergence import NonFiniteLossError
from tests.experiments.study.small import ALL, NAMES, WIDTH, cache, drawn, make_small, parts


@pytest.fixture(autouse=True)
def small(monkeypatch):
    make_small(monkeypatch)


KEY = RunKey("linear", Condition(40, 0.5), 1)


def run_of(data, key=KEY):
    return compute_run(key, CONTENDERS[key.contender], data)


def test_a_linear_run_is_the_best_of_three_exact_fits_on_validation_images(tmp_path):
    """The penalty of the module's docstring, written densely."""
    data = parts(tmp_path)
    run, part, images = run_of(data), data.part(KEY.split, KEY.condition), data.pools["features"]
    x, y = images.views(part.train), part.train_targets
    std = x[:, 0].double().std(0, correction=0)
    normed = ((x[:, 0].double() - x[:, 0].double().mean(0)) / std).square().sum(1).mean()
    penalty = float(normed) / (4 * len(x))
    assert penalty == pytest.approx(WIDTH / (4 * 40), rel=1e-6)
    found = {}
    for factor in FACTORS:
        head = LinearHead(4, WIDTH, NAMES)
        fit_head(head, (x, y), config=ExactConfig(l2=factor * penalty))
        val = mean_average_precision(*score(head, (images.first_views(part.val), part.val_targets)))
        found[val] = (factor, score(head, (images.first_views(run.rows), data.targets[run.rows]))[0])
    factor, logits = found[max(found)]
    assert run.factor == factor and run.val_mAP == pytest.approx(max(found), abs=1e-6)
    assert torch.allclose(torch.from_numpy(run.logits), logits, atol=1e-2)  # the penalty is rounded to three digits
    assert run.num_parameters == 4 * WIDTH + 4 and run.seconds > 0
    assert np.array_equal(run.rows, data.splits[1].test) and run.logits.dtype == np.float32


def test_test_targets_change_nothing(tmp_path):
    data = parts(tmp_path)
    other = data_of_parts(
        data.pools["features"].caches[0],
        cache(tmp_path / "other.h5", 60, 2, targets=1 - drawn(60, 2)[1]),
        data.pools["features"].caches[1],
        embeddings=data.embeddings,
        num_splits=2,
    )
    for name in ("linear", "sharing"):
        key = RunKey(name, ALL, 0)
        assert np.array_equal(run_of(data, key).logits, run_of(other, key).logits)


def test_a_run_does_not_depend_on_runs_before_it(tmp_path):
    data = parts(tmp_path)
    key = RunKey("mlp", Condition(20), 1)
    first = run_of(data, key)
    torch.rand(5)
    run_of(data)
    assert np.array_equal(first.logits, run_of(parts(tmp_path / "again"), key).logits)


def test_without_positives_among_validation_images_the_factor_is_1(tmp_path):
    val = cache(tmp_path / "val.h5", 10, targets=torch.zeros(10, 4, dtype=torch.int8))
    train, test = cache(tmp_path / "train.h5", 60), cache(tmp_path / "test.h5", 20, 2)
    run = run_of(data_of_parts(train, test, val), RunKey("linear", ALL, 0))
    assert math.isnan(run.val_mAP) and run.factor == 1


@pytest.mark.parametrize("name", ["linear", "sharing", "mlp"])
def test_one_image_trains(tmp_path, name):
    run = run_of(parts(tmp_path), RunKey(name, Condition(1), 0))
    assert np.isfinite(run.logits).all()


def test_a_test_image_without_known_targets_is_scored(tmp_path):
    targets = drawn(60, 2)[1]
    targets[0] = -1
    test = cache(tmp_path / "test.h5", 60, 2, targets=targets)
    data = data_of_parts(cache(tmp_path / "train.h5", 80), test)
    assert run_of(data, RunKey("linear", ALL, 0)).logits.shape == (60, 4)


def test_candidates_that_do_not_converge_do_not_count(tmp_path, monkeypatch):
    data = parts(tmp_path)
    monkeypatch.setattr(running_module, "fit_head", diverging(factors := []))
    run = run_of(data)
    assert len(factors) == 3 and math.isnan(run.val_mAP) and math.isnan(run.factor) and not run.logits.any()
    whole = running_module._candidate
    monkeypatch.setattr(running_module, "fit_head", fit_head)
    monkeypatch.setattr(running_module, "_candidate", lambda *a: None if a[2] == max(FACTORS) else whole(*a))
    assert run_of(data).factor < max(FACTORS)


def diverging(seen):
    def fit(head, train, **options):
        seen.append(options)
        raise NonFiniteLossError("loss", "a finite loss", "nan")

    return fit


def test_a_head_whose_parameters_overflow_does_not_count(tmp_path, monkeypatch):
    def overflow(head, train, **options):
        fit_head(head, train, **options)
        with torch.no_grad():
            head.linear.weight[0, 0] = math.inf

    monkeypatch.setattr(running_module, "fit_head", overflow)
    assert not run_of(parts(tmp_path)).logits.any()


@pytest.mark.parametrize(
    "means, chosen", [((0.5, 0.4, 0.3), 1 / 3), ((0.5, 0.5, 0.5), 1.0), ((0.2, math.nan, 0.3), 3.0)]
)
def test_the_factor_next_to_1_is_selected_among_equals(means, chosen):
    candidates = [Candidate(None, factor, mean, 0.0) for factor, mean in zip(FACTORS, means, strict=True)]
    assert max(candidates, key=running_module._rank).factor == chosen


def test_features_of_a_different_pool_are_refused(tmp_path):
    with pytest.raises(InputError, match="average"):
        run_of(parts(tmp_path), RunKey("linear average", ALL, 0))

"""The estimated duration of a study."""

import pytest

from mlgcn_pyg.experiments.study import CONTENDERS, Condition, estimate_seconds, make_plan, run_study
from mlgcn_pyg.experiments.study import estimate as estimate_module
from mlgcn_pyg.experiments.study.estimate import Trials
from tests.experiments.study.small import make_small, parts


@pytest.fixture(autouse=True)
def small(monkeypatch):
    make_small(monkeypatch)


class Clock:
    """A clock on which every call takes one second."""

    now = 0.0

    def perf_counter(self):
        Clock.now += 1
        return Clock.now


def test_a_run_is_three_candidates_and_scoring(tmp_path, monkeypatch):
    monkeypatch.setattr(estimate_module, "time", Clock())
    monkeypatch.setattr("mlgcn_pyg.training.heads.recipe.STEPS", 300)
    trials = Trials(parts(tmp_path), "cpu")
    assert trials.run_seconds(CONTENDERS["linear"], Condition()) == 3 * 1 + 1
    # 80 images are 3 batches of 27 images, and 300 steps 100 epochs; a trial of 12 steps takes a second
    assert trials.run_seconds(CONTENDERS["mlgcn"], Condition()) == pytest.approx(3 * 300 / 12 + 1)
    # 30 images are a batch
    assert trials.run_seconds(CONTENDERS["mlgcn"], Condition(30)) == pytest.approx(3 * 300 / 12 + 1)
    monkeypatch.setattr(estimate_module, "MOST_IMAGES", 20)
    assert trials.run_seconds(CONTENDERS["sharing"], Condition()) == pytest.approx(3 * 4**0.85 + 1)


def test_contenders_of_equal_shape_are_tried_once(tmp_path):
    trials = Trials(parts(tmp_path), "cpu")
    for contender in CONTENDERS.values():
        if contender.features == "features":
            assert trials.run_seconds(contender, Condition()) > 0
    assert len(trials.measured) == 1 + 2 + 3 + 1  # scoring, exact heads, layers, learned edges


def test_finished_runs_take_no_time_and_workers_share_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(Trials, "run_seconds", lambda *_: 10.0)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    data = parts(tmp_path)
    plan = make_plan(data, (), ["linear", "sharing"])
    seconds = {workers: estimate_seconds(data, plan, tmp_path / "out", workers=workers) for workers in (1, 2, 3, 99)}
    assert seconds == {1: 40, 2: 20, 3: pytest.approx(40 / 3), 99: 10}
    assert not (tmp_path / "out").exists()
    run_study(data, make_plan(data, (), ["linear"]), tmp_path / "out")
    assert estimate_seconds(data, plan, tmp_path / "out") == 20
    run_study(data, plan, tmp_path / "out")
    assert estimate_seconds(data, plan, tmp_path / "out") == 0

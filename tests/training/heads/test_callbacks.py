"""Callbacks of heads: they see the files of an epoch, end a training, and keep interrupted runs resumable."""

import json
import signal

import pytest
import torch

from mlgcn_pyg.checkpoints import load_head
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.training import ExactConfig, HeadConfig, fit_head, fit_heads
from tests.training.heads.problems import fresh, problem, same, state
from tests.training.heads.test_resume import CONFIG, interrupt_at

VAL = problem(40, seed=1)


def until(epoch):
    return lambda record: record["epoch"] >= epoch


class Pruned(Exception):
    pass


def test_it_is_called_with_each_record_after_the_history_is_written(tmp_path):
    seen = []

    def look(record):
        lines = (tmp_path / "head.jsonl").read_text().splitlines()
        assert json.loads(lines[-1]) == record and load_head(tmp_path / "head-best.pt")
        seen.append(dict(record))

    history = fit_head(fresh(), problem(), VAL, CONFIG, callback=look, folder=tmp_path)
    assert seen == history.epochs and len(seen) == 4


@pytest.mark.parametrize("kind", ["mlgcn", "linear", "sharing"])
def test_true_ends_the_training_with_the_weights_of_that_epoch(tmp_path, kind):
    head, shorter = fresh(kind), fresh(kind)
    history = fit_head(head, problem(), VAL, CONFIG, callback=until(2), folder=tmp_path)
    expected = fit_head(shorter, problem(), VAL, HeadConfig(**{**vars(CONFIG), "epochs": 2}))
    assert history == expected and same(state(head), state(shorter))
    assert same(state(load_head(tmp_path / "head-last.pt")), state(head))
    # the run is finished: a further call trains nothing
    again = fresh(kind, seed=3)
    assert fit_head(again, problem(), VAL, CONFIG, callback=pytest.fail, folder=tmp_path) == expected
    assert same(state(again), state(head))


@pytest.mark.parametrize("value", [None, False, 0, 0.0, "", torch.tensor(False)])
def test_other_results_do_not_end_it(value):
    assert len(fit_head(fresh(), problem(), VAL, CONFIG, callback=lambda record: value).epochs) == 4


def test_each_head_ends_on_its_own():
    heads, alone = [fresh(seed=0), fresh(seed=1)], [fresh(seed=0), fresh(seed=1)]
    histories = fit_heads(heads, problem(), VAL, CONFIG, callback=lambda k, record: k == 0 and record["epoch"] == 2)
    assert [len(history.epochs) for history in histories] == [2, 4]
    fit_head(alone[0], problem(), VAL, CONFIG, callback=until(2))
    fit_head(alone[1], problem(), VAL, CONFIG)
    for head, other in zip(heads, alone, strict=True):
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(head.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("call", [3, 10, 13, 20])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, call, together):
    if together:
        monkeypatch.setattr("mlgcn_pyg.training.heads.engines.side_by_side", lambda heads, device: False)

    def ends(k, record):
        return k == 0 and record["epoch"] == 2

    whole, again = [fresh(), fresh(seed=1)], [fresh(), fresh(seed=1)]
    expected = fit_heads(whole, problem(), VAL, CONFIG, callback=ends)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, call)
        fit_heads([fresh(), fresh(seed=1)], problem(), VAL, CONFIG, callback=ends, folder=tmp_path)
    assert fit_heads(again, problem(), VAL, CONFIG, callback=ends, folder=tmp_path) == expected
    assert all(same(state(a), state(b)) for a, b in zip(again, whole, strict=True))


@pytest.mark.parametrize("error", [Pruned, KeyboardInterrupt])
@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_an_exception_ends_the_run_with_the_state_saved(tmp_path, epoch, error):
    whole, again, called = fresh(), fresh(seed=2), []
    expected = fit_head(whole, problem(), VAL, CONFIG)

    def prune(record):
        if record["epoch"] == epoch:
            raise error

    with pytest.raises(error):
        fit_head(fresh(), problem(), VAL, CONFIG, callback=prune, folder=tmp_path, save_seconds=1e9)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert (saved["epoch"], saved["step"]) == (epoch + 1, 0)
    history = fit_head(
        again, problem(), VAL, CONFIG, callback=lambda record: called.append(record["epoch"]), folder=tmp_path
    )
    assert called == list(range(epoch, 5))  # the interrupted call is repeated
    assert history == expected and same(state(again), state(whole))


def test_a_signal_in_a_callback_ends_the_run_after_it(tmp_path):
    def ask(record):
        if record["epoch"] == 2:
            signal.raise_signal(signal.SIGINT)
            return True
        return None

    with pytest.raises(KeyboardInterrupt):
        fit_head(fresh(), problem(), VAL, CONFIG, callback=ask, folder=tmp_path)
    history = fit_head(fresh(), problem(), VAL, CONFIG, callback=pytest.fail, folder=tmp_path)
    assert len(history.epochs) == 2


def test_a_state_without_callbacks_is_read(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 10)
        fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    del saved["ended"], saved["awaits_callback"]
    torch.save(saved, tmp_path / "state.pt")
    history = fit_head(fresh(), problem(), VAL, CONFIG, callback=until(3), folder=tmp_path)
    assert len(history.epochs) == 3


@pytest.mark.parametrize("ended", ["xyz", [None], 3])
def test_a_damaged_state_is_named(tmp_path, ended):
    fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    torch.save(saved | {"ended": ended}, tmp_path / "state.pt")
    with pytest.raises(InputError, match="folder: expected a complete state of a training run"):
        fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path)


def test_the_exact_solver_calls_it_at_the_end(tmp_path):
    seen = []
    history = fit_head(fresh("linear"), problem(), VAL, ExactConfig(l2=0.1), callback=seen.append, folder=tmp_path)
    assert seen == [history.last] and "mAP" in seen[0]


def test_a_callback_must_be_a_function():
    with pytest.raises(InputError, match="callback: expected a function, or None, found 3"):
        fit_head(fresh(), problem(), VAL, CONFIG, callback=3)

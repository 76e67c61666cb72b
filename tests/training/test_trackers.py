"""Trackers receive every record once, whether a run is interrupted or not, and never end a training."""

import dataclasses
import json
import math
import os
import signal

import pytest
import torch
from accelerate.tracking import GeneralTracker

from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.experiments import compare_heads
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.training import ExactConfig, HeadConfig, fit_head, fit_heads, fit_model
from mlgcn_pyg.training.trackers import Trackers, settings_of
from tests.training.heads.problems import fresh, graph, problem, same, state
from tests.training.heads.test_resume import CONFIG, interrupt_at
from tests.training.model.test_trainer import config, data, network, root  # noqa: F401  # a fixture

VAL = problem(40, seed=1)


class Listed(GeneralTracker):
    """A tracker that keeps what it receives, and fails at one call if asked to."""

    requires_logging_directory = False

    def __init__(self, name="listed", failing=None):
        self.name, self.failing, self.calls, self.count = name, failing, [], 0
        super().__init__()

    @property
    def tracker(self):
        return self.calls

    def _add(self, *call):
        if call[0] == "log":
            self.count += 1
            if self.count == self.failing:
                raise ConnectionError("no network")
        self.calls.append(call)

    def start(self):
        self._add("start")

    def store_init_configuration(self, values):
        self._add("settings", values)

    def log(self, values, step=None, **more):
        self._add("log", step, values)

    def finish(self):
        self._add("finish")

    def logged(self):
        return [call[1:] for call in self.calls if call[0] == "log"]

    def kinds(self):
        return [call[0] for call in self.calls]


def curves(folder):
    """The points of TensorBoard's event files, read by TensorBoard: tag → [(step, value)]."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: sorted((e.step, e.value) for e in found.Scalars(tag)) for tag in found.Tags()["scalars"]}


def expected(history, name="head"):
    """What a tracker must receive, written out from the history."""
    return [
        (record["epoch"], {f"{name}/{key}": record[key] for key in ("lr", "loss", "mAP") if key in record})
        for record in history.epochs
    ]


def as_curves(calls):
    tags = {}
    for step, values in calls:
        for tag, value in values.items():
            tags.setdefault(tag, []).append((step, torch.tensor(value).item()))  # float32, as TensorBoard
    return tags


def test_a_tracker_of_ones_own_receives_settings_and_epochs():
    tracker = Listed()
    history = fit_head(fresh(), problem(), VAL, dataclasses.replace(CONFIG, val_every=2), log_with=tracker)
    assert tracker.kinds() == ["start", "settings", *["log"] * 4, "finish"]
    assert tracker.logged() == expected(history)
    assert [set(values) for _, values in tracker.logged()][:2] == [
        {"head/lr", "head/loss"}, {"head/lr", "head/loss", "head/mAP"},
    ]  # fmt: skip
    settings = tracker.calls[1][1]
    assert settings["head/lr"] == 0.3 and settings["head/clip_norm"] == 0.05 and settings["head/patience"] is None
    assert all(value is None or isinstance(value, int | float | str) for value in settings.values())


def test_weights_of_positives_are_sent_as_text():
    assert settings_of(HeadConfig(pos_weight=(1.0, 2.0)))["pos_weight"] == "(1.0, 2.0)"


def test_tensorboard_reads_what_the_history_says(tmp_path):
    history = fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path, log_with="tensorboard")
    assert curves(tmp_path / "tensorboard") == as_curves(expected(history))
    assert any("0.05" in path.read_text() for path in (tmp_path / "tensorboard").glob("*/hparams.yml"))


def test_training_is_the_same_with_and_without_trackers(tmp_path):
    plain, tracked = fresh(), fresh()
    fit_head(plain, problem(), VAL, CONFIG)
    fit_head(tracked, problem(), VAL, CONFIG, folder=tmp_path, log_with=["tensorboard", Listed()])
    assert same(state(plain), state(tracked))


@pytest.mark.parametrize("save_seconds", [0.0, 1e9])
@pytest.mark.parametrize("call", [3, 13, 14, 27])
def test_an_interrupted_run_continues_its_curves(tmp_path, monkeypatch, call, save_seconds):
    tracker = Listed()
    options = {"folder": tmp_path, "save_seconds": save_seconds, "log_with": ["tensorboard", tracker]}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, call)
        fit_head(fresh(), problem(), VAL, CONFIG, **options)
    history = fit_head(fresh(), problem(), VAL, CONFIG, **options)
    assert tracker.logged() == expected(history) and len(history.epochs) == 4
    assert tracker.kinds().count("settings") == 1
    assert curves(tmp_path / "tensorboard") == as_curves(expected(history))


def test_epochs_that_are_trained_again_after_a_kill_are_not_sent_again(tmp_path):
    """No state was saved, so training starts from the beginning, and gives the same records."""
    pid = os.fork()
    if pid == 0:
        count = []

        def kill(record):
            count.append(record)
            if len(count) == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        options = {"folder": tmp_path, "save_seconds": 1e9, "log_with": "tensorboard"}
        fit_head(fresh(), problem(), VAL, CONFIG, progress=kill, **options)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert not (tmp_path / "state.pt").exists()
    assert len(curves(tmp_path / "tensorboard")["head/loss"]) == 3
    history = fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path, log_with="tensorboard")
    assert curves(tmp_path / "tensorboard") == as_curves(expected(history))


def test_a_finished_run_starts_no_tracker_and_a_new_tracker_receives_all_of_it(tmp_path):
    first, second = Listed(), Listed("second")
    history = fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path, log_with=first)
    before = list(first.calls)
    fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path, log_with=first)
    assert first.calls == before
    fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path, log_with=second)
    assert second.logged() == expected(history)


def test_a_new_run_in_the_same_folder_is_sent(tmp_path):
    tracker = Listed()
    fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path, log_with=tracker)
    (tmp_path / "state.pt").unlink()
    history = fit_head(fresh(), problem(), VAL, dataclasses.replace(CONFIG, lr=0.1), folder=tmp_path, log_with=tracker)
    assert tracker.logged()[4:] == expected(history)


@pytest.mark.parametrize("kind", ["linear", "sharing"])
def test_the_exact_solver_sends_iterations(tmp_path, kind):
    tracker, options = Listed(), {} if kind == "linear" else {"learn_edges": False}
    for _ in range(2):  # the second call finds a finished fit
        history = fit_head(
            fresh(kind, **options), problem(), VAL, ExactConfig(l2=0.1), folder=tmp_path, log_with=tracker
        )
    iterations = [record["iteration"] for record in history.epochs]
    assert [step for step, _ in tracker.logged()] == iterations and len(iterations) > 1
    assert tracker.logged()[0][1].keys() == {"head/loss", "head/gradient"}
    last = tracker.logged()[-1][1]
    assert last["head/l2"] == pytest.approx(0.1) and last["head/mAP"] == history.last["mAP"]
    assert tracker.kinds()[:2] == ["start", "settings"] and tracker.kinds().count("settings") == 1


def test_undefined_values_are_not_sent():
    tracker = Listed()
    nobody = torch.zeros(40, 5, dtype=torch.int8)
    history = fit_head(fresh(), problem(), (VAL[0], nobody), CONFIG, log_with=tracker)
    assert all(math.isnan(record["mAP"]) for record in history.epochs)
    assert [set(values) for _, values in tracker.logged()] == [{"head/lr", "head/loss"}] * 4


def test_a_tracker_that_fails_does_not_end_the_training_and_receives_the_rest_later(tmp_path):
    failing, other, plain = Listed(failing=2), Listed("other"), fresh()
    head = fresh()
    with pytest.warns(InputWarning, match="The tracker listed failed and receives nothing more: ConnectionError: no n"):
        history = fit_head(head, problem(), VAL, CONFIG, folder=tmp_path, log_with=[failing, other])
    assert other.logged() == expected(history)
    assert failing.kinds() == ["start", "settings", "log", "finish"]
    fit_head(plain, problem(), VAL, CONFIG)
    assert same(state(head), state(plain))
    fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path, log_with=[failing, other])
    assert failing.logged() == expected(history) and other.logged() == expected(history)


def test_a_tracker_that_does_not_start_is_refused_before_training():
    class Closed(Listed):
        def start(self):
            raise PermissionError("log in first\nsecond line")

    with pytest.raises(InputError) as error:
        fit_head(fresh(), problem(), VAL, CONFIG, log_with=Closed("closed"), progress=lambda record: pytest.fail())
    assert str(error.value) == (
        "log_with: expected a tracker that starts, found closed (PermissionError: log in first)"
    )


def test_refusals(tmp_path):
    for value, text in (
        ("tensorbord", "log_with: expected one of aim, "),
        ("all", "log_with: expected one of aim, "),
        ("comet_ml", "log_with: expected an installed comet_ml, found none; pip install comet_ml"),
        ("tensorboard", "log_with: expected a folder for the files of tensorboard, found none; pass folder"),
        (Listed, "names of trackers, or instances of accelerate's GeneralTracker"),
        ([Listed("a"), Listed("a")], "log_with: expected trackers with different names, found a, a"),
        (3, "log_with: expected names of trackers, or instances of accelerate's GeneralTracker, found 3"),
    ):
        with pytest.raises(InputError) as error:
            fit_head(fresh(), problem(), VAL, CONFIG, log_with=value)
        assert text in str(error.value)


def test_a_damaged_list_of_what_was_sent_does_no_harm(tmp_path):
    (tmp_path / "trackers.log").write_bytes(b"\xff\x00{\n" * 9)
    tracker = Listed()
    history = fit_head(fresh(), problem(), VAL, CONFIG, folder=tmp_path, log_with=tracker)
    assert tracker.logged() == expected(history)


def test_several_fits_share_trackers(tmp_path):
    tracker = Listed()
    with Trackers(tracker, tmp_path) as trackers:
        a = fit_heads([fresh(), fresh(seed=1)], problem(), VAL, CONFIG, names=["a", "b"], log_with=trackers)
        fit_head(fresh("linear"), problem(), VAL, CONFIG, log_with=trackers)
    kinds = tracker.kinds()
    assert kinds.count("start") == kinds.count("finish") == 1 and kinds[-1] == "finish"
    assert kinds.count("settings") == 2
    assert [call for call in tracker.logged() if "b/loss" in call[1]] == expected(a[1], "b")


def test_compared_heads_are_tracked_by_kind_and_seed(tmp_path):
    caches = [
        FeatureCache.from_arrays(tmp_path / f"{seed}.h5", *problem(60, seed=seed), list("01234")) for seed in (0, 1)
    ]
    tracker = Listed()
    compare_heads(*caches, graph(), seeds=2, config=HeadConfig(epochs=2), hidden_channels=(8,), replicates=10,
                  kinds=("linear", "mlgcn"), log_with=tracker, folder=tmp_path / "run")  # fmt: skip
    heads = {name.split("/")[0] for _, values in tracker.logged() for name in values}
    assert heads == {"linear-seed0", "mlgcn-seed0", "mlgcn-seed1"}  # not the fits to folds
    assert tracker.kinds().count("start") == tracker.kinds().count("finish") == 1


def test_a_network_is_tracked_and_tensorboard_is_the_old_name_of_an_argument(root, tmp_path):  # noqa: F811
    train, val = data(root)
    with pytest.warns(DeprecationWarning, match="log_with='tensorboard'"):
        history = fit_model(network(root), train, val, config(), folder=tmp_path, tensorboard=True)
    found = curves(tmp_path / "tensorboard")
    assert found["loss"] == [(r["epoch"], torch.tensor(r["loss"]).item()) for r in history.epochs]
    assert found.keys() == {"loss", "lr", "mAP"}
    tracker = Listed()
    fit_model(network(root), train, val, config(), folder=tmp_path, log_with=["tensorboard", tracker])
    assert [step for step, _ in tracker.logged()] == [1, 2] and curves(tmp_path / "tensorboard") == found
    assert tracker.calls[1][1]["lr"] == 0.02
    lines = [json.loads(line) for line in (tmp_path / "trackers.log").read_text().splitlines()]
    assert {line["tracker"] for line in lines} == {"tensorboard", "listed"}

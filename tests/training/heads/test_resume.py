"""A run that is interrupted anywhere and resumed equals the uninterrupted run bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from mlgcn_pyg.checkpoints import load_head
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.files.locks import locked_folder
from mlgcn_pyg.training import HeadConfig, fit_head, fit_heads
from mlgcn_pyg.training.heads import engines as engine
from mlgcn_pyg.training.interruption import ECHO, Interruption
from tests.training.heads.problems import fresh, graph, problem, same, state

CONFIG = HeadConfig(recipe="paper", lr=0.3, epochs=4, batch_size=16, lr_step=2, clip_norm=0.05, weight_decay=0.01)
STEPS = 7  # of 100 images


def interrupt_at(monkeypatch, call, number=signal.SIGINT):
    """Sends this process a signal in the middle of the step ``call`` (from 0)."""
    calls, gather = iter(range(10**9)), ResidentRows.gather

    def interrupting(self, rows):
        if next(calls) == call:
            signal.raise_signal(number)
        return gather(self, rows)

    monkeypatch.setattr(ResidentRows, "gather", interrupting)


def unrelated(seed=0):
    """Images whose labels are noise: the best epoch is anywhere."""
    generator = torch.Generator().manual_seed(seed)
    return problem(40, seed=1)[0], torch.randint(2, (40, 5), generator=generator)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("kind", ["mlgcn", "linear", "sharing"])
@pytest.mark.parametrize("call", [0, 6, 7, 27, *random.Random(0).sample(range(1, 27), 4)])
def test_interrupted_at_any_step_equals_uninterrupted(tmp_path, monkeypatch, kind, call):
    whole, half = fresh(kind), fresh(kind)
    expected = fit_head(whole, problem(), problem(40, seed=1), CONFIG)
    with monkeypatch.context() as patch:
        interrupt_at(patch, call)
        with pytest.raises(KeyboardInterrupt):
            fit_head(half, problem(), problem(40, seed=1), CONFIG, folder=tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert (saved["epoch"], saved["step"]) == (call // STEPS + 1, call % STEPS + 1)  # the step was finished
    other = fresh(kind, seed=5)  # its initial weights are replaced by those of the state
    history = fit_head(other, problem(), problem(40, seed=1), CONFIG, folder=tmp_path)
    assert same(state(other), state(whole)) and history == expected
    assert lines(tmp_path / "head.jsonl") == expected.epochs
    assert same(state(load_head(tmp_path / "head-last.pt")), state(whole))


def test_interrupted_again_and_again(tmp_path, monkeypatch):
    whole = fresh()
    expected = fit_head(whole, problem(), problem(40, seed=1), CONFIG)
    for _ in range(9):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt_at(patch, 2)
            fit_head(fresh(), problem(), problem(40, seed=1), CONFIG, folder=tmp_path)
    head = fresh()
    assert fit_head(head, problem(), problem(40, seed=1), CONFIG, folder=tmp_path) == expected
    assert same(state(head), state(whole))


@pytest.mark.parametrize("together", [False, True])
def test_many_heads_resume_too(tmp_path, monkeypatch, together):
    if together:  # as on a GPU
        monkeypatch.setattr(engine, "side_by_side", lambda heads, device: False)

    def heads():
        return [fresh(seed=s, graph_of=graph(tau=t), learn_edges=True, learn_p=True) for s, t in ((0, 0.3), (1, 0.5))]

    configs = [CONFIG, HeadConfig(recipe="paper", lr=0.1, epochs=4, batch_size=16, momentum=0.0)]
    whole, half = heads(), heads()
    expected = fit_heads(whole, problem(), problem(40, seed=1), configs)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 10)
        fit_heads(half, problem(), problem(40, seed=1), configs, folder=tmp_path)
    again = heads()
    assert fit_heads(again, problem(), problem(40, seed=1), configs, folder=tmp_path) == expected
    assert all(same(state(a), state(b)) for a, b in zip(again, whole, strict=True))
    assert all(p.untyped_storage().nbytes() == p.nbytes for head in half for p in head.parameters())  # its own again


def test_views_and_streaming_resume_too(tmp_path, monkeypatch):
    features = torch.randn(100, 3, 12)
    cache = FeatureCache.from_arrays(tmp_path / "c.h5", features, problem()[1], list("01234"))
    whole, again = fresh(), fresh()
    fit_head(whole, cache, config=CONFIG)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 12)
        fit_head(fresh(), cache, config=CONFIG, stream=True, folder=tmp_path / "run")
    fit_head(again, cache, config=CONFIG, folder=tmp_path / "run")  # streamed until here, loaded from here
    assert same(state(again), state(whole))


SCRIPT = """
import os, signal, sys
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.training import fit_head
from tests.training.heads.problems import fresh, problem
from tests.training.heads.test_resume import CONFIG
calls, gather = iter(range(10**9)), ResidentRows.gather
def killing(self, rows):
    if next(calls) == {call}:
        os.kill(os.getpid(), signal.{name})
    return gather(self, rows)
ResidentRows.gather = killing
fit_head(fresh(), problem(), problem(40, seed=1), CONFIG, folder=sys.argv[1], save_seconds=0)
"""


@pytest.mark.parametrize("name, code", [("SIGKILL", -9), ("SIGTERM", 143)])
def test_a_killed_run_resumes_and_writes_no_line_twice(tmp_path, name, code):
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(call=17, name=name), str(tmp_path)], env=os.environ)
    assert done.returncode == code and len(lines(tmp_path / "head.jsonl")) == 2
    with open(tmp_path / "head.jsonl", "a") as file:
        file.write('{"epoch": 3, "lr"')  # a truncated line, of an epoch that the state does not contain
    whole, head = fresh(), fresh()
    expected = fit_head(whole, problem(), problem(40, seed=1), CONFIG)
    assert fit_head(head, problem(), problem(40, seed=1), CONFIG, folder=tmp_path) == expected
    assert same(state(head), state(whole)) and lines(tmp_path / "head.jsonl") == expected.epochs


@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
def test_a_run_of_a_version_without_recipes_is_resumed(tmp_path, monkeypatch, kind):
    """The config in such a state lacks the settings that have been added since."""
    whole, again = fresh(kind), fresh(kind, seed=5)
    expected = fit_head(whole, problem(), problem(40, seed=1), CONFIG)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 10)
        fit_head(fresh(kind), problem(), problem(40, seed=1), CONFIG, folder=tmp_path)
    content = torch.load(tmp_path / "state.pt", weights_only=True)
    config = content["setup"]["heads"]["head"]["config"]
    for name in ("recipe", "optimizer", "schedule", "warmup_epochs", "loss", "pos_weight"):
        del config[name]
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(InputError, match="folder: .*a different heads.head.config.recipe: paper stored, auto given"):
        fit_head(fresh(kind), problem(), problem(40, seed=1), HeadConfig(), folder=tmp_path)
    assert fit_head(again, problem(), problem(40, seed=1), CONFIG, folder=tmp_path) == expected
    assert same(state(again), state(whole))


def test_a_finished_run_is_not_run_again(tmp_path, monkeypatch):
    first, again = fresh(), fresh(seed=3)
    expected = fit_head(first, problem(), problem(40, seed=1), CONFIG, folder=tmp_path)
    monkeypatch.setattr(ResidentRows, "gather", None)
    assert fit_head(again, problem(), problem(40, seed=1), CONFIG, folder=tmp_path) == expected
    assert same(state(again), state(first))


def test_best_and_last_are_kept(tmp_path):
    head, data = fresh("linear"), unrelated()
    history = fit_head(head, problem(30), data, HeadConfig(recipe="paper", lr=5.0, epochs=15), folder=tmp_path)
    best = torch.load(tmp_path / "head-best.pt", weights_only=True)
    assert best["config"]["epoch"] == history.best["epoch"] < 15
    twin = fresh("linear")
    fit_head(twin, problem(30), data, HeadConfig(recipe="paper", lr=5.0, epochs=history.best["epoch"]))
    assert same(state(load_head(tmp_path / "head-best.pt")), state(twin))
    assert same(state(load_head(tmp_path / "head-last.pt")), state(head))


def test_a_folder_belongs_to_one_run(tmp_path):
    data, val = problem(), problem(40, seed=1)
    fit_head(fresh(), data, val, CONFIG, folder=tmp_path)
    changed = data[0].clone()
    changed[50, 3] += 1e-3
    unlike = data[1].clone()
    unlike[7, 2] = -1
    table = [
        (
            fresh(),
            data,
            val,
            HeadConfig(recipe="paper", lr=0.1, epochs=4, batch_size=16),
            "a different heads.head.config.lr: 0.3 stored, 0.1",
        ),
        (fresh(), (changed, data[1]), val, CONFIG, "a different train.digest"),
        (fresh(), (data[0], unlike), val, CONFIG, "a different train.digest"),
        (fresh(), (data[0].double(), data[1]), val, CONFIG, "a different train.dtype"),
        (fresh(), data, problem(41, seed=1), CONFIG, "a different val.images: 40 stored, 41 given"),
        (fresh(), data, None, CONFIG, "a different val"),
        (fresh("linear"), data, val, CONFIG, "a different heads.head.head"),
        (fresh(hidden=(8,)), data, val, CONFIG, "a different heads.head.head.hidden_channels"),
        (fresh(graph_of=graph(tau=0.6)), data, val, CONFIG, "a different heads.head.head.graph"),
    ]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for head, train, val_data, config, message in table:
        with pytest.raises(InputError, match="folder: expected a run with the same setup") as caught:
            fit_head(head, train, val_data, config, folder=tmp_path)
        assert message in str(caught.value)
    with pytest.raises(InputError, match="a different heads"):
        fit_heads([fresh(), fresh()], data, val, CONFIG, folder=tmp_path)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_folder_takes_one_run_at_a_time(tmp_path):
    with locked_folder(tmp_path), pytest.raises(InputError, match="folder that no other run is using"):
        fit_head(fresh(), problem(), config=CONFIG, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    fit_head(fresh(), problem(), config=CONFIG, folder=tmp_path)
    assert (tmp_path / "state.pt").exists() and not (tmp_path / ".lock").exists()


def test_foreign_and_damaged_states_are_refused(tmp_path):
    def refusal():
        with pytest.raises(InputError) as caught:
            fit_head(fresh(), problem(), config=CONFIG, folder=tmp_path)
        return str(caught.value)

    (tmp_path / "state.pt").write_bytes(b"junk")
    assert "folder: expected a file of plain tensors" in refusal()
    torch.save({"format": "other"}, tmp_path / "state.pt")
    assert "folder: expected the state of a training run" in refusal()
    torch.save({"format": "mlgcn_pyg.training", "version": 2}, tmp_path / "state.pt")
    assert "folder: expected state version 1, found 2" in refusal()
    torch.save({"format": "mlgcn_pyg.training", "version": 1, "setup": {}}, tmp_path / "state.pt")
    found = f"{tmp_path / 'state.pt'} without epoch, histories, losses, step, tensors"
    assert f"a complete state, found {found}" in refusal()
    torch.save(HeadConfig(recipe="paper"), tmp_path / "state.pt")  # a pickle that would run code
    assert "folder: expected a file of plain tensors" in refusal()
    with pytest.raises(InputError, match="folder: expected a folder, found the file"):
        fit_head(fresh(), problem(), config=CONFIG, folder=tmp_path / "state.pt")


def test_a_second_ctrl_c_does_not_wait(tmp_path, monkeypatch):
    def twice(self, rows):
        signal.raise_signal(signal.SIGINT)
        time.sleep(1.1 * ECHO)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one was waited for")

    monkeypatch.setattr(ResidentRows, "gather", twice)
    with pytest.raises(KeyboardInterrupt):
        fit_head(fresh(), problem(), config=CONFIG, folder=tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_echo_of_a_signal_changes_nothing(tmp_path, monkeypatch, number):
    """torchrun passes on to its processes what the terminal or the scheduler sent to them, too."""
    gather = ResidentRows.gather

    def echoed(self, rows):
        signal.raise_signal(number)
        signal.raise_signal(number)
        return gather(self, rows)

    monkeypatch.setattr(ResidentRows, "gather", echoed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit_head(fresh(), problem(), config=CONFIG, folder=tmp_path)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 1


def test_in_a_different_thread_signals_are_left_alone(tmp_path):
    handler, found = signal.getsignal(signal.SIGINT), []
    fit = threading.Thread(target=lambda: found.append(fit_head(fresh(), problem(), config=CONFIG, folder=tmp_path)))
    fit.start()
    fit.join()
    assert len(found[0].epochs) == 4 and signal.getsignal(signal.SIGINT) is handler


def test_divergence_names_the_step_the_rate_and_the_last_saved_state(tmp_path):
    wild = HeadConfig(recipe="paper", lr=1e25, epochs=5, batch_size=16, clip_norm=None)
    with pytest.raises(InputError) as caught:
        fit_head(fresh(), problem(), config=wild)
    assert (
        "found loss" in str(caught.value) and "in epoch 1, step" in str(caught.value) and "1e+25" in str(caught.value)
    )
    with pytest.raises(InputError) as caught:
        fit_head(fresh(), problem(), config=wild, folder=tmp_path, save_seconds=0)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert f"last saved state: {tmp_path / 'state.pt'} (epoch 1, {saved['step']} steps done)" in str(caught.value)
    assert saved["losses"].isfinite().all() and f"step {saved['step'] + 1} (head)" in str(caught.value)


def test_early_stopping_keeps_each_head_as_it_was_then(tmp_path):
    data, val = problem(30), unrelated()
    config = HeadConfig(recipe="paper", lr=2.0, epochs=40, patience=3, val_every=2)
    heads, alone = ([fresh("linear", seed=s) for s in range(3)] for _ in range(2))
    histories = fit_heads(heads, data, val, config, folder=tmp_path)
    for head, history, twin in zip(heads, histories, alone, strict=True):
        last, best = history.last["epoch"], history.best["epoch"]
        assert last - best == 6 and last < 40  # three validations without a better one
        assert all(("mAP" in record) == (record["epoch"] % 2 == 0) for record in history.epochs)
        plain = fit_head(twin, data, val, HeadConfig(recipe="paper", lr=2.0, epochs=last, val_every=2))
        assert [r["epoch"] for r in plain.epochs] == [r["epoch"] for r in history.epochs]
        assert torch.allclose(head.classifiers(), twin.classifiers(), rtol=1e-4, atol=1e-6)
    assert len({len(history.epochs) for history in histories}) > 1
    again = [fresh("linear", seed=s) for s in range(3)]
    assert fit_heads(again, data, val, config, folder=tmp_path) == histories


def test_early_stopping_needs_a_validation_set():
    with pytest.raises(InputError, match="patience: expected a validation set"):
        fit_head(fresh(), problem(), config=HeadConfig(recipe="paper", patience=2))


def test_ctrl_c_in_the_last_step_stops_what_comes_next(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 4 * STEPS - 1)
        fit_head(fresh(), problem(), config=CONFIG, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt), Interruption(wanted=True):
        signal.raise_signal(signal.SIGINT)


def test_the_last_epoch_is_always_validated():
    history = fit_head(fresh(), problem(), problem(40, seed=1), HeadConfig(recipe="paper", epochs=5, val_every=3))
    assert [record["epoch"] for record in history.epochs if "mAP" in record] == [3, 5]

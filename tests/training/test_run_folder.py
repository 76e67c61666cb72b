"""The folder of a run, without heads or networks; and runs that earlier versions began."""

import json
import random
import signal

import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.training import HeadConfig, fit_head
from mlgcn_pyg.training.heads.run import saved_epoch
from mlgcn_pyg.training.interruption import Interruption
from mlgcn_pyg.training.run_folder import RunFolder, StateFormat, first_difference
from tests.training.heads.problems import fresh, problem, same, state

FORMAT = StateFormat("test", "a test", frozenset({"epoch", "step"}))
POSITION = {"epoch": 2, "step": 3}


class Processes:
    """One of two processes; the other one contributes ``other`` to every agreement."""

    def __init__(self, rank, other=0):
        self.rank, self.other = rank, other

    def maximum(self, number):
        return max(number, self.other)


def test_without_a_path_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, stop = RunFolder(None, FORMAT, None, 0), Interruption(wanted=False)
    folder.save_state(POSITION)
    folder.save_or_end(stop, save=None)
    folder.write_history("a", [{"epoch": 1}])
    folder.append_history("a", {"epoch": 1})
    folder.keep("a", None)
    folder.remove_partial_files(["a.pt"])
    with folder.lock():
        assert folder.read_state() is None and folder.kept_epoch("a") is None and not folder.is_due(stop)
    assert folder.last_saved == "" and not list(tmp_path.iterdir())


def test_a_state_comes_back_to_the_same_setup_only(tmp_path):
    folder = RunFolder(tmp_path, FORMAT, {"lr": 0.1}, 0)
    assert folder.read_state() is None and folder.last_saved == "none yet"
    folder.save_state(POSITION)
    assert folder.last_saved == f"{tmp_path}/state.pt (epoch 2, 3 steps done)"
    assert torch.load(tmp_path / "state.pt") == POSITION | {"format": "test", "version": 1, "setup": {"lr": 0.1}}
    again = RunFolder(tmp_path, FORMAT, {"lr": 0.1}, 0)
    assert again.read_state()["step"] == 3 and again.last_saved == folder.last_saved
    with pytest.raises(InputError, match="a different lr: 0.1 stored, 0.2 given"):
        RunFolder(tmp_path, FORMAT, {"lr": 0.2}, 0).read_state()
    with pytest.raises(InputError, match="folder: expected the state of a run, found a different file"):
        RunFolder(tmp_path, StateFormat("run", "a run", frozenset()), {}, 0).read_state()


def test_only_the_first_process_writes(tmp_path):
    second = RunFolder(tmp_path / "run", FORMAT, {}, 0, Processes(1))
    with second.lock():
        second.save_state(POSITION)
        second.write_history("a", [])
        second.keep("a", None)
    assert not (tmp_path / "run").exists() and "epoch 2" in second.last_saved
    first = RunFolder(tmp_path / "run", FORMAT, {}, 0, Processes(0))
    with first.lock():
        first.save_state(POSITION)
        first.write_history("a", [{"epoch": 1, "mAP": float("nan")}])
        first.append_history("a", {"epoch": 2})
        first.keep("a", lambda path: torch.save({"config": {"epoch": 2}}, path))
    assert first.kept_epoch("a") == 2
    lines = (tmp_path / "run" / "a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1, "mAP": None}, {"epoch": 2}]
    with pytest.raises(InputError, match="folder: expected a folder that all processes share"):
        RunFolder(tmp_path / "run", FORMAT, {}, 0, Processes(0, other=3 << 32)).read_state()


def test_a_signal_to_one_process_ends_all_after_the_state_is_saved(tmp_path):
    folder, saved = RunFolder(tmp_path, FORMAT, {}, 600, Processes(0, other=signal.SIGTERM)), []
    with pytest.raises(SystemExit) as ended:
        folder.end_if_interrupted(Interruption(wanted=True), lambda: saved.append(True))
    assert ended.value.code == 143 and saved == [True]


def test_differences():
    assert first_difference({"a": {"b": [1]}}, {"a": {"b": [1]}}) == ""
    assert first_difference({"a": {"b": [1]}}, {"a": {"b": [2]}}) == "a different a.b: [1] stored, [2] given"
    assert first_difference({"a": {"b": 1}}, {"a": {"c": 1}}) == "a different a: ['b'] stored, ['c'] given"
    assert first_difference({"val": None}, {"val": {"x": 1}}).startswith("a different val: None stored, {'x'")


def test_heads_of_an_earlier_version_resume(tmp_path):
    """Version 0.1 wrote ``bfloat16``; everything else in its states has the same names."""
    config = HeadConfig(recipe="paper", lr=0.3, epochs=4, batch_size=16, precision="bf16")
    whole, head = fresh(), fresh(seed=1)
    expected = fit_head(whole, problem(), problem(40, seed=1), config)
    fit_head(
        fresh(),
        problem(),
        problem(40, seed=1),
        HeadConfig(recipe="paper", lr=0.3, epochs=2, batch_size=16, precision="bf16"),
        folder=tmp_path,
    )
    stored = torch.load(tmp_path / "state.pt")
    assert not stored.pop("ended") and stored.pop("awaits_callback") is False
    assert stored.keys() == {"format", "version", "setup", "epoch", "step", "losses", "histories", "tensors"}
    assert stored["format"] == "mlgcn_pyg.training" and saved_epoch(tmp_path) == 3
    stored["setup"]["heads"]["head"]["config"] |= {"epochs": 4, "precision": "bfloat16"}
    torch.save(stored, tmp_path / "state.pt")
    assert fit_head(head, problem(), problem(40, seed=1), config, folder=tmp_path) == expected
    assert same(state(head), state(whole))
    assert saved_epoch(tmp_path / "none") is None


def test_no_flipped_bit_of_a_state_is_resumed(tmp_path):
    """Each part of the file, the numbers of the tensors among them."""
    folder = RunFolder(tmp_path, FORMAT, {"lr": 0.1}, 0)
    folder.save_state(POSITION | {"weights": torch.arange(100.0), "lr": 0.25})
    raw, whole = (tmp_path / "state.pt").read_bytes(), folder.read_state()
    generator, refused = random.Random(0), 0
    for _ in range(300):
        bit = generator.randrange(8 * len(raw))
        data = bytearray(raw)
        data[bit // 8] ^= 1 << bit % 8
        (tmp_path / "state.pt").write_bytes(data)
        try:
            state = folder.read_state()
        except InputError as error:
            refused += "\n" not in str(error)
            continue
        assert torch.equal(state.pop("weights"), whole["weights"]), bit
        assert state == {name: value for name, value in whole.items() if name != "weights"}, bit
    assert refused > 100

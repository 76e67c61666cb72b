"""A run on disk: what going on exactly needs, checkpoints, histories, and a Ctrl-C that loses nothing."""

import signal
import threading
import time
from dataclasses import asdict
from pathlib import Path

import torch

from mlgcn_pyg.checkpoints import save_head
from mlgcn_pyg.checks import check_number
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files import load_plain, save_plain, tensor_digest, write_text
from mlgcn_pyg.training.config import current_names
from mlgcn_pyg.training.heads.stacked import head_shape
from mlgcn_pyg.training.history import json_line
from mlgcn_pyg.typing import RowSource

FORMAT = "mlgcn_pyg.training"
PARTS = {"setup", "epoch", "step", "losses", "histories", "tensors"}  # of a state
ECHO = 1.0  # seconds
DIGESTED = 2**30  # bytes of features that tell one cache from another; of a larger one, evenly spaced images


class RunFolder:
    """The folder of one run, or with ``path`` None a run that leaves nothing.

    ``state.pt`` holds parameters, momenta, the position (epoch and step), the losses of the epoch so far and the
    histories: plain tensors, numbers and strings. ``NAME.jsonl`` is the history of head NAME, ``NAME-last.pt`` and
    ``NAME-best.pt`` are its checkpoints. Every file is whole at every moment, ``NAME.jsonl`` line by line.

    Args:
        path: made where it is absent. setup: what a run must share to be gone on with (:func:`describe`).
        save_seconds: the state is written at least this often, between two steps.
    """

    def __init__(self, path: str | Path | None, setup: dict | None, save_seconds: float):
        self.path, self.setup = None if path is None else Path(path), setup
        self.save_seconds = check_number("save_seconds", save_seconds, 0, float("inf"))
        self.saved_at, self.saved = time.monotonic(), "none yet"
        if self.path is not None and self.path.exists() and not self.path.is_dir():
            raise InputError("folder", "a folder", f"the file {path}")

    def restore(self, training) -> None:
        """Puts ``training`` where the folder's state is, if it has one, and makes the histories agree with it."""
        if self.path is None:
            return
        if (state := read_state(self.path)) is not None:
            if difference := first_difference(current_names(state["setup"]), self.setup):
                fix = "go on with the same data, heads and config, or choose another folder"
                raise InputError("folder", "the run that was begun there", f"{difference} ({self.path})", fix)
            training.load(state)
            self.saved = _position(state["epoch"], state["step"], self.path)
        for name, history in zip(training.names, training.histories, strict=True):
            write_text(self.path / f"{name}.jsonl", "".join(map(json_line, history.epochs)))

    def after_step(self, training, stop: "Interruption") -> None:
        """Saves the state where that is due, or where the run is about to be ended."""
        if self.path is None:
            return
        if stop.asked is not None or time.monotonic() - self.saved_at >= self.save_seconds:
            self.save(training)

    def after_epoch(self, training, records: dict[int, dict], stop: "Interruption") -> None:
        """Appends the records {head: record} to the histories and keeps the checkpoints they earned."""
        if self.path is None:
            return
        for k, record in records.items():
            with open(self.path / f"{training.names[k]}.jsonl", "a", encoding="utf-8") as file:
                file.write(json_line(record))  # one write of one short line
            if training.histories[k].best is record:
                self._keep(training, k, "best")
        if training.finished or stop.asked is not None or time.monotonic() - self.saved_at >= self.save_seconds:
            for k in range(len(training.heads)):
                self._keep(training, k, "last")
            self.save(training)

    def save(self, training) -> None:
        training.check_losses()
        save_plain(self.path / "state.pt", {"format": FORMAT, "version": 1, "setup": self.setup} | training.state())
        self.saved_at, self.saved = time.monotonic(), _position(training.epoch, training.step, self.path)

    def _keep(self, training, k: int, which: str) -> None:
        config = asdict(training.configs[k]) | {"epoch": training.histories[k].last["epoch"]}
        save_head(self.path / f"{training.names[k]}-{which}.pt", training.heads[k], config=config)


def read_state(
    folder: str | Path, format: str = FORMAT, kind: str = "a training run", parts: set[str] = PARTS
) -> dict | None:
    """The state of a run that was begun in ``folder``; None where there is none. InputError for any other file.

    ``format`` and ``parts`` are what the state of such a run, called ``kind`` in errors, says of itself and has.
    """
    path = Path(folder) / "state.pt"
    if not path.exists():
        return None
    state = load_plain("folder", path)
    if not isinstance(state, dict) or state.get("format") != format:
        raise InputError("folder", f"the state of {kind}", f"another file, {path}")
    if state.get("version") != 1:
        raise InputError("folder", "state version 1", state.get("version"), fix="use a newer mlgcn_pyg")
    if missing := parts - state.keys():
        raise InputError("folder", "a whole state", f"one without {', '.join(sorted(missing))}, {path}")
    return state


def _position(epoch: int, step: int, folder: Path) -> str:
    return f"{folder / 'state.pt'} (epoch {epoch}, {step} steps done)"


def describe(training, train: RowSource, val: RowSource | None) -> dict:
    """What two runs must share to be one: recipes, heads and their graphs, and the data."""
    heads = {}
    for name, head, config in zip(training.names, training.heads, training.configs, strict=True):
        learned = {key for key, _ in head.named_parameters()}
        fixed = {key: value for key, value in head.state_dict().items() if key not in learned}
        shapes = {key: list(p.shape) for key, p in head.named_parameters()}
        own = {"label_names": list(head.label_names), "graph": tensor_digest(fixed), "parameters": shapes}
        heads[name] = {"config": asdict(config), "head": head_shape(head) | own}
    return {"heads": heads, "train": _describe_data(train), "val": None if val is None else _describe_data(val)}


def _describe_data(source: RowSource) -> dict:
    sizes = {"images": source.num_images, "views": source.num_views, "features": source.num_features}
    row = source.num_views * source.num_features * 4
    sample = source.sample(max(1, DIGESTED // max(row, 1)))
    return sizes | {"dtype": str(sample.dtype), "digest": tensor_digest({"f": sample, "t": source.targets})}


def first_difference(there, here, where: str = "") -> str:
    """The first place where two plain contents differ, in words; empty where they agree."""
    if isinstance(there, dict) and isinstance(here, dict) and there.keys() == here.keys():
        parts = (first_difference(there[key], here[key], f"{where}.{key}" if where else str(key)) for key in there)
        return next(filter(None, parts), "")
    if there == here:
        return ""
    if isinstance(there, dict) and isinstance(here, dict):
        there, here = list(there), list(here)
    return f"another {where}: {str(there)[:80]} there, {str(here)[:80]} here"


class Interruption:
    """While it is entered, Ctrl-C and SIGTERM wait for :meth:`obey`; a second one acts at once.

    One that follows within a second is the first one's echo and changes nothing: launchers pass on to their processes
    what these got as well. Signals reach the main thread only; elsewhere, and where ``wanted`` is False, nothing
    changes.
    """

    def __init__(self, wanted: bool):
        self.asked, self.asked_at = None, 0.0
        self.wanted = wanted and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Interruption":
        if self.wanted:
            self.before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind, *_) -> None:
        if self.wanted:
            for number, handler in self.before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if kind is None:
            self.obey()  # asked for when all was done: whatever comes next is not wanted

    def _ask(self, number: int, _) -> None:
        if self.asked is None:
            self.asked, self.asked_at = number, time.monotonic()
        elif time.monotonic() - self.asked_at > ECHO:
            self.asked = number
            self.obey()

    def obey(self) -> None:
        """Ends the run where that was asked for, as the signal would have: KeyboardInterrupt, or exit code 143."""
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        if self.asked is not None:
            raise SystemExit(128 + self.asked)


def plain_copy(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies on the CPU, each with storage of its own."""
    return {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}

"""The folder of a training run: its state, its histories and its checkpoints."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mlgcn_pyg.checks import check_number, check_path
from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.atomic import remove_leftovers, write_text
from mlgcn_pyg.files.locks import locked_folder
from mlgcn_pyg.files.plain import load_plain, save_plain
from mlgcn_pyg.training.history import Record, history_line
from mlgcn_pyg.training.interruption import Interruption
from mlgcn_pyg.training.old_config import current_names
from mlgcn_pyg.values import shown

VERSION = 1
POSITION = ("epoch", "step")  # keys of every state
NEW_FOLDER = "choose a different folder, or restore a backup"


@dataclass(frozen=True)
class StateFormat:
    """The format of a ``state.pt``.

    Attributes:
        name: the value of ``"format"``.
        run: the name of such a run in error messages.
        keys: the required keys of a state besides ``"format"``, ``"version"`` and ``"setup"``.
    """

    name: str
    run: str
    keys: frozenset[str]


class RunFolder:
    """The folder of one run, from which the run can be resumed. If ``path`` is None, the methods do nothing.

    ``state.pt`` holds the format, the setup and the state of the run as plain tensors, numbers and strings. Each
    ``NAME.jsonl`` is a history with one line per epoch, and each other ``NAME.pt`` a checkpoint. Files are replaced
    atomically, except that a line may be appended to a history. If there are several processes, all of them call the
    same methods in the same order, and only the first process writes.

    Args:
        path: the folder, which is created if it does not exist; None writes no files.
        state_format: the format of the state.
        setup: plain values that must equal those of a stored run to resume it.
        save_seconds: the longest time between two saved states, in seconds.
        ranks: the processes of the run; None for one process.

    Attributes:
        last_saved: the last saved position, for messages; empty if ``path`` is None.

    Raises:
        InputError: if ``path`` is a file, or ``save_seconds`` is negative.
    """

    def __init__(
        self,
        path: str | Path | None,
        state_format: StateFormat,
        setup: dict | None,
        save_seconds: float,
        ranks: Ranks | None = None,
    ):
        self.path, self.format, self.setup = None if path is None else check_path("folder", path), state_format, setup
        self.save_seconds = check_number("save_seconds", save_seconds, 0, float("inf"))
        self.ranks, self.saved_at = ranks, time.monotonic()
        self.last_saved = "" if path is None else "none yet"
        if self.path is not None and self.path.exists() and not self.path.is_dir():
            raise InputError("folder", "a folder", f"the file {path}")

    @property
    def is_writer(self) -> bool:
        """Whether this process writes the files."""
        return self.ranks is None or self.ranks.rank == 0

    @property
    def _writable(self) -> Path | None:
        """The folder, in the process that writes to it."""
        return self.path if self.is_writer else None

    def lock(self) -> AbstractContextManager[None]:
        """Creates the folder, and locks it within a ``with`` block.

        Raises:
            InputError: if a different run is using it.
        """
        return locked_folder(self._writable)

    def read_state(self) -> dict | None:
        """Returns the saved state; None if there is none.

        Raises:
            InputError: if the file is damaged, the state belongs to a run with a different setup, or the processes read
                different states.
        """
        if self.path is None:
            return None
        state = read_run_state(self.path, self.format)
        if state is not None:
            if difference := first_difference(current_names(state["setup"]), self.setup):
                # recipes derive settings from the initial weights
                same = "data, model, initial weights (torch.manual_seed) and config"
                fix = f"resume with the {same} of that run, or choose a different folder"
                raise InputError("folder", "a run with the same setup", f"{difference} ({self.path})", fix)
            self.last_saved = self._position(state)
        position = 0 if state is None else state["epoch"] << 32 | state["step"]
        if self._largest(position) != -self._largest(-position):  # the largest and the smallest position
            found = f"different states in {self.path}"
            raise InputError("folder", "a folder that all processes share", found, "choose a folder on a shared disk")
        return state

    def restore(self, load: Callable[[dict], None]) -> bool:
        """Reads the saved state, and calls ``load`` with it.

        Returns:
            False if there is no saved state.

        Raises:
            InputError: as :meth:`read_state`; also if ``load`` fails, since keys or shapes are not those of this run.
        """
        if (state := self.read_state()) is None:
            return False
        try:
            load(state)
        except Exception as error:  # content of unexpected keys, types or shapes may raise almost anything
            found = f"{self.path}/state.pt ({first_line(error)})"
            raise InputError("folder", f"a complete state of {self.format.run}", found, NEW_FOLDER) from error
        return True

    def save_state(self, state: dict) -> None:
        """Writes the state, which must have the position under ``"epoch"`` and ``"step"``."""
        if (folder := self._writable) is not None:
            content = {"format": self.format.name, "version": VERSION, "setup": self.setup}
            save_plain(folder / "state.pt", content | state)
        if self.path is not None:
            self.saved_at, self.last_saved = time.monotonic(), self._position(state)

    def _position(self, state: dict) -> str:
        return f"{self.path}/state.pt (epoch {state['epoch']}, {state['step']} steps done)"

    def is_due(self, stop: Interruption) -> bool:
        """Returns whether to save the state now: ``save_seconds`` have passed, or this process received a signal."""
        return self.path is not None and (stop.received is not None or self._is_old())

    def _is_old(self) -> bool:
        return time.monotonic() - self.saved_at >= self.save_seconds

    def save_or_end(self, stop: Interruption, save: Callable[[], None]) -> None:
        """Calls ``save`` if ``save_seconds`` have passed, and ends the run if a signal was received."""
        self.end_if_interrupted(stop, save)
        if self.path is not None and self._largest(int(self._is_old())):
            save()

    def end_if_interrupted(self, stop: Interruption, save: Callable[[], None]) -> None:
        """Calls ``save`` and ends the run in all processes if any of them has received a signal."""
        if self.path is None:
            return
        if received := self._largest(stop.received or 0):
            save()
            stop.received = received
            stop.obey()

    def _largest(self, number: int) -> int:
        return number if self.ranks is None else self.ranks.maximum(number)

    def write_history(self, name: str, records: Iterable[Record]) -> None:
        """Writes ``NAME.jsonl`` with one line per record."""
        if (folder := self._writable) is not None:
            write_text(folder / f"{name}.jsonl", "".join(map(history_line, records)))

    def append_history(self, name: str, record: Record) -> None:
        """Appends the line of a record to ``NAME.jsonl``."""
        if (folder := self._writable) is not None:
            with open(folder / f"{name}.jsonl", "a", encoding="utf-8") as file:
                file.write(history_line(record))  # one short write, so that a killed process leaves no partial line

    def keep(self, name: str, write: Callable[[Path], None]) -> None:
        """Writes the checkpoint ``NAME.pt`` by calling ``write`` with its path."""
        if (folder := self._writable) is not None:
            write(folder / f"{name}.pt")

    def kept_epoch(self, name: str) -> int | None:
        """Returns the epoch of the checkpoint ``NAME.pt``; None if it does not exist or is damaged."""
        if (folder := self._writable) is None:
            return None
        try:
            return load_plain("path", folder / f"{name}.pt")["config"]["epoch"]
        except (InputError, KeyError, TypeError):
            return None

    def remove_partial_files(self, names: Iterable[str]) -> None:
        """Removes the temporary files that killed processes left for files of these names."""
        if (folder := self._writable) is not None:
            for name in names:
                remove_leftovers(folder / name)


def read_run_state(folder: str | Path, state_format: StateFormat) -> dict | None:
    """Returns the state of the run in ``folder``; None if there is none.

    Raises:
        InputError: if the file is damaged or of a different format.
    """
    path = Path(folder) / "state.pt"
    if not path.exists():
        return None
    state = load_plain("folder", path)
    if not isinstance(state, dict) or state.get("format") != state_format.name:
        raise InputError("folder", f"the state of {state_format.run}", f"a different file, {path}")
    if state.get("version") != VERSION:
        raise InputError("folder", f"state version {VERSION}", state.get("version"), fix="use a newer mlgcn_pyg")
    if missing := (state_format.keys | {"setup"}) - state.keys():
        raise InputError("folder", "a complete state", f"{path} without {', '.join(sorted(missing))}")
    if not isinstance(state["setup"], dict):
        raise InputError("folder", "a dict as setup", f"{shown(state['setup'])} in {path}", NEW_FOLDER)
    if any(type(state[name]) is not int or not 0 <= state[name] < 1 << 31 for name in POSITION):
        found = f"{' and '.join(shown(state[name]) for name in POSITION)} in {path}"
        raise InputError("folder", "epoch and step as integers", found, NEW_FOLDER)
    return state


def first_difference(stored: object, given: object, name: str = "") -> str:
    """Returns a description of the first difference between two plain values; empty if they are equal.

    >>> first_difference({"config": {"lr": 0.1}}, {"config": {"lr": 0.2}})
    'a different config.lr: 0.1 stored, 0.2 given'
    """
    if isinstance(stored, dict) and isinstance(given, dict):
        if stored.keys() == given.keys():
            inner = (first_difference(stored[key], given[key], f"{name}.{key}" if name else str(key)) for key in stored)
            return next(filter(None, inner), "")
        stored, given = list(stored), list(given)
    return "" if stored == given else f"a different {name}: {str(stored)[:80]} stored, {str(given)[:80]} given"


def plain_copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns copies on the CPU, each with its own storage."""
    return {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}

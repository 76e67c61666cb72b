"""Sends the records of training to experiment trackers, through Accelerate's interface to them.

Accelerate has classes for TensorBoard, Weights & Biases, MLflow, Comet and others. A tracker of one's own is a subclass
of ``accelerate.tracking.GeneralTracker``.
"""

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from mlgcn_pyg.checks import check_path
from mlgcn_pyg.errors import InputError, first_line, warn_of_input
from mlgcn_pyg.files.regular import open_file
from mlgcn_pyg.training.config import HeadSettings, ModelConfig
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.history import Record, history_line
from mlgcn_pyg.training.tracker_kinds import Tracker, checked_tracker, name_of, started_tracker

SENT = "trackers.log"  # not .jsonl, which is the history of a head
LARGEST = 1 << 26  # bytes of trackers.log that are read
STEPS = ("epoch", "iteration")  # the key of a record that counts

LogWith: TypeAlias = "str | Tracker | Trackers | Sequence[str | Tracker] | None"


class Trackers:
    r"""Trackers for one or several fits, which end at the end of a ``with`` block.

    Each value of a record is sent under its name, with the epoch or the iteration as the step. Undefined values are
    not sent. No tracker receives a record twice: ``folder/trackers.log`` lists what was sent, so that a resumed run
    sends the records that are missing. A tracker that raises an exception during training is warned of and receives
    no more records; training continues. If the run is resumed, the tracker receives the records that it missed.

    Args:
        log_with: names of trackers that Accelerate has, instances of ``accelerate.tracking.GeneralTracker``, or both.
        folder: the folder for ``trackers.log`` and for trackers that write files, which is ``folder/NAME``. None
            records nothing, and only trackers without files can be used.

    Raises:
        InputError: if a tracker is unknown or not installed, requires a folder, or has the name of a different one.

    >>> from accelerate.tracking import GeneralTracker
    >>> class Printer(GeneralTracker):
    ...     name, requires_logging_directory, tracker = "printer", False, None
    ...     def log(self, values, step=None):
    ...         print(step, values)
    >>> with Trackers(Printer()) as trackers:
    ...     trackers.log([{"epoch": 1, "loss": 0.5, "mAP": math.nan}], "linear")
    1 {'linear/loss': 0.5}
    """

    def __init__(self, log_with: LogWith, folder: str | Path | None = None):
        self.folder = None if folder is None else check_path("folder", folder)
        self.chosen = [checked_tracker(value, self.folder) for value in listed(log_with)]
        if len({name_of(value) for value in self.chosen}) < len(self.chosen):
            found = ", ".join(map(name_of, self.chosen))
            raise InputError("log_with", "trackers with different names", found)
        self.running: list[Tracker] | None = None
        self.settings: dict[str, Any] = {}  # of the fit in progress
        self.depth = 0

    def __enter__(self) -> Self:
        self.depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.depth -= 1
        if self.depth:  # an enclosing block goes on
            return
        for tracker in self.running or ():
            self._call(tracker, "finish")
        self.running = None

    def describe(self, settings: Mapping[str, Any]) -> None:
        """Takes the settings of a fit, which running trackers receive now, and others when they start."""
        self.settings = dict(settings)
        if settings:
            self._send({"settings": self.settings}, "store_init_configuration", self.settings)

    def start(self) -> None:
        """Starts the trackers, unless they are running.

        Raises:
            InputError: if a tracker does not start.
        """
        if self.running is None:
            self.running = []
            for value in self.chosen:
                self.running.append(started_tracker(value, self.folder))
            self.describe(self.settings)

    def log(self, records: Iterable[Record], head: str = "") -> None:
        """Sends the records that a tracker has not received yet.

        Args:
            records: the records of a history so far.
            head: the name of a head, which precedes the names of values as in ``head/loss``; empty for a whole network.
        """
        for record in records if self.chosen else ():
            content = {"head": head, "record": history_line(record)}
            if any(_line(value, content) not in self.sent for value in self.chosen):
                self.start()
                self._send(content, "log", _values(record, head), step=_step(record))

    def discard(self) -> None:
        """Removes what an earlier run wrote to the folder, whose curves would continue in those of a new run."""
        if self.folder is None or not (self.folder / SENT).exists():
            return
        for name in self.chosen:
            if isinstance(name, str):
                shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / SENT).unlink()
        self.sent.clear()

    def _call(self, tracker: Tracker, method: str, *arguments: object, **named: object) -> bool:
        """Calls a method, and returns whether it succeeded. A tracker that fails receives no more calls."""
        try:
            getattr(tracker, method)(*arguments, **named)
        except Exception as error:  # trackers use networks and disks; hours of training must not depend on them
            self.running = [other for other in self.running or () if other is not tracker]
            with suppress(Exception):
                tracker.finish()
            warn_of_input(f"The tracker {tracker.name} failed and receives nothing more: {first_line(error)}")
            return False
        return True

    def _send(self, content: Mapping[str, Any], method: str, *arguments: object, **named: object) -> None:
        """Calls a method of each running tracker that has not received this content, and records that it has."""
        for tracker in list(self.running or ()):
            line = _line(tracker, content)
            if line in self.sent or not self._call(tracker, method, *arguments, **named):
                continue
            self.sent.add(line)
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
                with open(self.folder / SENT, "a", encoding="utf-8") as file:
                    file.write(line + "\n")

    @cached_property
    def sent(self) -> set[str]:
        """The lines of ``trackers.log``. It is first read when the run has locked its folder."""
        if self.folder is None or not (self.folder / SENT).exists():
            return set()
        with open_file("folder", self.folder / SENT) as file:
            return set(file.read(LARGEST).decode("utf-8", "replace").splitlines())


def open_trackers(log_with: LogWith, folder: str | Path | None) -> Trackers:
    """Returns ``log_with`` if it is :class:`Trackers`, whose ``with`` block encloses the fit, else new ones."""
    return log_with if isinstance(log_with, Trackers) else Trackers(log_with, folder)


def settings_of(config: HeadSettings | ExactConfig | ModelConfig, head: str = "") -> dict[str, Any]:
    """Returns the settings of a head, or of a network, by the names under which trackers receive them.

    >>> settings_of(ExactConfig(l2=0.1), "linear")["linear/l2"]
    0.1
    """
    plain = {k: v if v is None or isinstance(v, int | float | str) else str(v) for k, v in asdict(config).items()}
    return {_named(name, head): value for name, value in plain.items()}


def listed(log_with: LogWith) -> list[Any]:
    """Returns trackers as a list, unchecked.

    >>> listed("wandb"), listed(("wandb", "mlflow")), listed(None)
    (['wandb'], ['wandb', 'mlflow'], [])
    """
    if isinstance(log_with, list | tuple):
        return list(log_with)
    return [] if log_with is None else [log_with]


def _line(tracker: Any, content: Mapping[str, Any]) -> str:
    """Returns the line of ``trackers.log`` for something that a tracker received."""
    return json.dumps({"tracker": name_of(tracker)} | dict(content))


def _named(name: str, head: str) -> str:
    return f"{head}/{name}" if head else name


def _values(record: Record, head: str) -> dict[str, float]:
    return {_named(name, head): v for name, v in record.items() if name not in STEPS and not math.isnan(v)}


def _step(record: Record) -> int:
    return int(next(record[name] for name in STEPS if name in record))

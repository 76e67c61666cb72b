"""Sends the records of training to experiment trackers, through Accelerate's interface to them.

Accelerate has classes for TensorBoard, Weights & Biases, MLflow, Comet and others. A tracker of one's own is a subclass
of ``accelerate.tracking.GeneralTracker``.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from mlgcn_pyg.checks import check_choice, check_path
from mlgcn_pyg.errors import Argument, InputError, first_line, warn_of_input
from mlgcn_pyg.files.regular import open_file
from mlgcn_pyg.training.config import HeadSettings, ModelConfig
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.history import Record, history_line
from mlgcn_pyg.values import shown

PROJECT = "mlgcn_pyg"  # the project, or experiment, of trackers with a service
SENT = "trackers.log"  # not .jsonl, which is the history of a head
EXTRAS = {"tensorboard": "pip install 'mlgcn_pyg[tensorboard]'"}
METHODS = ("store_init_configuration", "log", "finish")
LARGEST = 1 << 26  # bytes of trackers.log that are read
STEPS = ("epoch", "iteration")  # the key of a record that counts


class Tracker(Protocol):
    """The methods of ``accelerate.tracking.GeneralTracker`` that are called."""

    name: str

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Stores the settings of the run."""

    def log(self, values: dict[str, float], step: int | None) -> None:
        """Stores values by name."""

    def finish(self) -> None:
        """Ends the run of the tracker."""


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
        self.chosen = [_checked(value, self.folder) for value in listed(log_with)]
        if len({_name(value) for value in self.chosen}) < len(self.chosen):
            found = ", ".join(map(_name, self.chosen))
            raise InputError("log_with", "trackers with different names", found)
        self.running: list[Tracker] | None = None
        self.settings: dict[str, Any] = {}  # of the fit in progress
        self.sent: set[str] = set()
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
        for tracker in list(self.running or ()):
            line = _line(tracker, {"settings": self.settings})
            if settings and line not in self.sent and self._call(tracker, "store_init_configuration", self.settings):
                self._record(line)

    def start(self) -> None:
        """Starts the trackers, unless they are running.

        Raises:
            InputError: if a tracker does not start.
        """
        if self.running is None:
            self.sent, self.running = self._read_sent(), []
            for value in self.chosen:
                self.running.append(_started(value, self.folder))
            self.describe(self.settings)

    def log(self, records: Iterable[Record], head: str = "") -> None:
        """Sends the records that a tracker has not received yet.

        Args:
            records: the records of a history so far.
            head: the name of a head, which precedes the names of values as in ``head/loss``; empty for a whole network.
        """
        for record in records if self.chosen else ():
            self.start()
            for tracker in list(self.running or ()):
                line = _line(tracker, {"head": head, "record": history_line(record)})
                if line not in self.sent and self._call(tracker, "log", _values(record, head), step=_step(record)):
                    self._record(line)

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

    def _read_sent(self) -> set[str]:
        if self.folder is None or not (self.folder / SENT).exists():
            return set()
        with open_file("folder", self.folder / SENT) as file:
            return set(file.read(LARGEST).decode("utf-8", "replace").splitlines())

    def _record(self, line: str) -> None:
        self.sent.add(line)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / SENT, "a", encoding="utf-8") as file:
                file.write(line + "\n")


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


def _checked(value: Any, folder: Path | None) -> Any:
    """Returns the name of an installed tracker, or an instance of a tracker."""
    if not isinstance(value, str):
        if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in METHODS):
            expected = "names of trackers, or instances of accelerate's GeneralTracker"
            raise InputError("log_with", expected, shown(value))
        return value
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    from accelerate.utils import LoggerType

    classes = {str(name): tracker for name, tracker in LOGGER_TYPE_TO_CLASS.items()}
    check_choice("log_with", value, classes)
    if value in LoggerType.list() and value not in map(str, get_available_trackers()):
        raise InputError("log_with", f"an installed {value}", "none", EXTRAS.get(value, f"pip install {value}"))
    if folder is None and classes[value].requires_logging_directory:
        raise InputError("log_with", f"a folder for the files of {value}", "none", ["pass ", Argument("folder")])
    return value


def _started(value: Any, folder: Path | None) -> Tracker:
    """Returns a tracker that records can be sent to."""
    try:
        tracker = _made(value, folder) if isinstance(value, str) else value
        if hasattr(tracker, "start"):  # older versions of Accelerate start in __init__
            tracker.start()
    except Exception as error:  # no login, no network, no right to write
        raise InputError("log_with", "a tracker that starts", f"{_name(value)} ({first_line(error)})") from error
    return tracker


def _made(name: str, folder: Path | None) -> Any:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    tracker = LOGGER_TYPE_TO_CLASS[name]
    return tracker(name, folder) if tracker.requires_logging_directory else tracker(PROJECT)


def _name(value: Any) -> str:
    return value if isinstance(value, str) else str(getattr(value, "name", type(value).__name__))


def _line(tracker: Tracker, content: Mapping[str, Any]) -> str:
    """Returns the line of ``trackers.log`` for something that a tracker received."""
    return json.dumps({"tracker": _name(tracker)} | dict(content))


def _named(name: str, head: str) -> str:
    return f"{head}/{name}" if head else name


def _values(record: Record, head: str) -> dict[str, float]:
    return {_named(name, head): v for name, v in record.items() if name not in STEPS and not math.isnan(v)}


def _step(record: Record) -> int:
    return int(next(record[name] for name in STEPS if name in record))

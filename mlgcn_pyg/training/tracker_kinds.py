"""Which trackers there are: those of Accelerate by their names, and instances of the caller's."""

from pathlib import Path
from typing import Any, Protocol

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import Argument, InputError, first_line
from mlgcn_pyg.values import shown

PROJECT = "mlgcn_pyg"  # the project, or experiment, of trackers with a service
EXTRAS = {"tensorboard": "pip install 'mlgcn_pyg[tensorboard]'"}
METHODS = ("store_init_configuration", "log", "finish")


class Tracker(Protocol):
    """The methods of ``accelerate.tracking.GeneralTracker`` that are called."""

    name: str

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Stores the settings of the run."""

    def log(self, values: dict[str, float], step: int | None) -> None:
        """Stores values by name."""

    def finish(self) -> None:
        """Ends the run of the tracker."""


def checked_tracker(value: Any, folder: Path | None) -> Any:
    """Returns ``value`` if it is the name of an installed tracker, or an instance of a tracker.

    Args:
        value: an element of ``log_with``.
        folder: the folder for the files of trackers, or None.

    Raises:
        InputError: if it is neither, or requires a folder.
    """
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


def started_tracker(value: Any, folder: Path | None) -> Tracker:
    """Returns a tracker that records can be sent to. One that is given by its name writes to ``folder/NAME``.

    Raises:
        InputError: if it does not start.
    """
    try:
        tracker = _made(value, folder) if isinstance(value, str) else value
        if hasattr(tracker, "start"):  # older versions of Accelerate start in __init__
            tracker.start()
    except Exception as error:  # no login, no network, no right to write
        raise InputError("log_with", "a tracker that starts", f"{name_of(value)} ({first_line(error)})") from error
    return tracker


def _made(name: str, folder: Path | None) -> Any:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    tracker = LOGGER_TYPE_TO_CLASS[name]
    return tracker(name, folder) if tracker.requires_logging_directory else tracker(PROJECT)


def name_of(value: Any) -> str:
    """Returns the name of a tracker, which is given by its name or as an instance."""
    return value if isinstance(value, str) else str(getattr(value, "name", type(value).__name__))

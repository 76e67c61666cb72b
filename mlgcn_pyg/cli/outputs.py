"""Checks of output paths, which run before any computation: endings, and files that would be replaced."""

import os
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from mlgcn_pyg.errors import Argument, Fix, InputError
from mlgcn_pyg.files.atomic import check_file_name
from mlgcn_pyg.files.pretrained import PRETRAINED

PLOTS = (".png", ".svg", ".pdf")
# the format of a file by its ending
EXPORTS = {".safetensors": "linear", ".onnx": "onnx", ".pt2": "torch", ".pt": "model"}
PREDICTIONS = {".txt": "table", ".jsonl": "jsonl", ".csv": "csv"}

Identity = tuple[int, int]  # device and number of a file, which all its names and links share


@dataclass(frozen=True)
class Output:
    """What an option for results names: a file, or a folder.

    Attributes:
        endings: the endings that the name of a file may have; empty for a folder.
        beside: endings that are added to the name for further files.
        files: patterns of the files in a folder that the command writes or removes.
    """

    endings: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def check_ending(self, option: str, path: Path) -> None:
        """Raises an InputError if the name of a file has a different ending."""
        if self.endings and path.suffix.lower() not in self.endings:
            raise InputError(option, f"a name that ends in {_one_of(self.endings)}", path)

    def replaceable(self, path: Path) -> list[Path]:
        """Returns the existing files that the command may replace."""
        if not self.endings:
            return [file for pattern in self.files for file in path.glob(pattern)]
        named = [path, *(path.with_name(path.name + ending) for ending in self.beside)]
        return [file for file in named if file.exists()]


# by command and parameter
OUTPUTS: dict[str, dict[str, Output]] = {
    "demo": {"out": Output(files=("*",))},
    "graph": {"out": Output((".pt",)), "plot": Output(PLOTS)},
    "embed": {"out": Output((".pt",))},
    "import-released": {"out": Output(files=("head.pt", "backbone.pth", "graph.pt"))},
    "extract": {"out": Output((".h5", ".hdf5"), beside=(".partial",))},
    "train-head": {
        "out": Output(
            files=("metrics.json", "*-seed*.pt", "*-seed*.jsonl", "recommended.pt", "report.html", "unfinished/*/*")
        )
    },
    "study": {
        "out": Output(files=("study.json", "study.csv", "study.md", "runs.csv", "setup.json", "*.png", "runs/*.npz"))
    },
    "train": {"out": Output(files=("state.pt", "history.jsonl", "last.pt", "best.pt"))},
    "evaluate": {"out": Output((".json",))},
    "report": {"out": Output((".html",))},
    "classifiers": {"out": Output(PLOTS)},
    "retrieve": {"out": Output(PLOTS)},
    "check-labels": {"out": Output((".csv",))},
    "thresholds": {"out": Output((".pt",))},
    "calibrate": {"out": Output((".pt",))},
    "predict": {"out": Output(tuple(PREDICTIONS))},
    "explain": {"out": Output(PLOTS)},
    "export": {"out": Output(tuple(EXPORTS))},
    "push": {"out": Output(files=PRETRAINED)},
    "split": {"out": Output()},  # the names of its files depend on the table; they are checked before they are written
}
_replaced: ContextVar[dict[str, dict[Identity, Path]]] = ContextVar("replaced")


def check_outputs(outputs: Mapping[str, Output], paths: Mapping[str, Path]) -> None:
    """Checks that the results of a command are different files, and keeps what they replace for :func:`check_inputs`.

    Args:
        outputs: the outputs of the command, by parameter.
        paths: their paths.

    Raises:
        InputError: if a file has the name of a folder or a device, or of another result.
    """
    replaced: dict[str, dict[Identity, Path]] = {}
    places: dict[object, str] = {}
    for name, path in paths.items():
        if outputs[name].endings:
            check_file_name(name, path)
        other = places.setdefault(identity_of(path) or os.path.realpath(path).casefold(), name)
        if other != name:
            raise InputError(name, f"a different file than --{other}", path)
        files = outputs[name].replaceable(path)
        replaced[name] = {identity: file for file in files if (identity := identity_of(file))}
    _replaced.set(replaced)


def check_inputs(paths: Iterable[str | Path], name: str) -> None:
    """Checks that no result of the running command would replace a file that it reads.

    Names, links, hard links, and spellings that the file system does not distinguish are the same file.

    Args:
        paths: files that the command reads.
        name: the parameter that they were given to.

    Raises:
        InputError: if a result would replace one of them.
    """
    found = _replaced.get({})
    if not any(found.values()):
        return
    for path in paths:
        identity = identity_of(path)
        for option, files in found.items():
            if identity in files:
                fix: Fix = ["choose a different name, since ", Argument(name), f" reads {path}"]
                raise InputError(option, "a different file than the input files", files[identity], fix)


def identity_of(path: str | Path) -> Identity | None:
    """Returns what all names of a file share; None if there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def chosen_format(format: str | None, out: Path | None, formats: Mapping[str, str], default: str = "") -> str:
    """Returns the format of a result: the given one, else the one of the ending, else ``default``.

    Args:
        format: one of the values of ``formats``, or None.
        out: the file, whose ending is one of ``formats``; None for standard output.
        formats: the format of each ending.
        default: the format of standard output.

    Raises:
        InputError: if the file has the ending of a different format.

    >>> chosen_format(None, Path("a.csv"), PREDICTIONS), chosen_format("csv", None, PREDICTIONS)
    ('csv', 'csv')
    """
    if out is None:
        return format or default
    named = formats[out.suffix.lower()]
    if format not in (None, named):
        ending = next(ending for ending, name in formats.items() if name == format)
        fix: Fix = ["change the name, or give ", Argument("format", named)]
        raise InputError("out", f"a name that ends in {ending} for --format {format}", out, fix)
    return named


def make_folder(argument: str, path: Path) -> None:
    """Creates the folder for results."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(argument, "a folder that can be written", f"{path} ({error.strerror})") from error


def _one_of(endings: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))

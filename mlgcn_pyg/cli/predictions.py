"""Predictions as lines of text: a table, JSON lines, or CSV."""

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len

from mlgcn_pyg.cli.json_output import to_json
from mlgcn_pyg.cli.outputs import make_folder
from mlgcn_pyg.files.atomic import atomic_path, behind_links

if TYPE_CHECKING:  # this loads torch
    from mlgcn_pyg.prediction import Prediction


def table_line(prediction: "Prediction", width: int = 0) -> str:
    """Returns a line for people, such as ``dog.jpg  dog 0.981, person 0.702``."""
    text = ", ".join(f"{name} {probability:.3f}" for name, probability in prediction.labels) or "–"
    if prediction.error is not None:
        text = f"error: {prediction.error}"
    image = printable(str(prediction.image))
    return f"{image}{' ' * (width - cell_len(image))}  {printable(text)}\n"


def jsonl_line(prediction: "Prediction") -> str:
    """Returns ``{"image": …, "labels": [{"label": …, "probability": …}, …]}``, or ``{"image": …, "error": …}``."""
    if prediction.error is not None:
        return to_json({"image": str(prediction.image), "error": prediction.error})
    labels = [{"label": name, "probability": _rounded(p)} for name, p in prediction.labels]
    return to_json({"image": str(prediction.image), "labels": labels})


def csv_lines(prediction: "Prediction") -> str:
    """Returns rows ``image,label,probability,error``: one per label, or one without a label if none is predicted."""
    rows: list[tuple[object, ...]] = [(prediction.image, name, _rounded(p), "") for name, p in prediction.labels]
    return _csv(rows or [(prediction.image, "", "", prediction.error or "")])


def line_writer(format: str, paths: Sequence[Path]) -> tuple[str, Callable[["Prediction"], str]]:
    """Returns the header line and a function that formats a prediction."""
    if format == "csv":
        return _csv([("image", "label", "probability", "error")]), csv_lines
    if format == "jsonl":
        return "", jsonl_line
    width = min(60, max((cell_len(printable(str(path))) for path in paths), default=0))
    return "", lambda prediction: table_line(prediction, width)


@contextmanager
def open_output(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a stream to a temporary file, which is renamed ``out`` if the block ends without an error.

    The temporary file, whose path is the name of the stream, is kept if the block is interrupted.
    """
    if out is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    make_folder("out", behind_links(out).parent)
    with (
        atomic_path(out, kept=(KeyboardInterrupt, SystemExit)) as partial,
        open(partial, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        yield stream


def _csv(rows: list[tuple[object, ...]]) -> str:
    return "".join(map(_csv_row, rows))


def _csv_row(row: tuple[object, ...]) -> str:
    text = io.StringIO()
    # before Python 3.13, "\r" is quoted only if it is part of the line terminator
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _rounded(probability: float) -> float:
    return float(f"{probability:.6g}")


def printable(name: str) -> str:
    """Escapes control characters in a file name, such as line breaks and terminal sequences."""
    return name if name.isprintable() else ascii(name)

"""Predictions as lines of text: a table, JSON lines, or CSV."""

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer
from rich.cells import cell_len

from mlgcn_pyg.cli.json_output import to_json
from mlgcn_pyg.cli.outputs import make_folder
from mlgcn_pyg.files import check_file_name, partial_path, publish
from mlgcn_pyg.locks import locked

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
    """Opens standard output, or ``<out>.partial``, which is renamed to ``out`` if the block raises no error."""
    if out is None:
        with _standard_output() as stream:
            yield stream
        return
    check_file_name("out", out)
    partial = partial_path(out)
    make_folder("out", partial.parent)
    with locked(partial):
        with open(partial, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream
        publish(partial, out)


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    """Opens standard output. Exits with code 1 if the reader of a pipe closes it."""
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit would fail again
        raise typer.Exit(1) from None


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

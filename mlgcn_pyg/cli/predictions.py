"""What was seen in a photograph, as lines of text: a table, JSON lines, or CSV."""

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

from mlgcn_pyg.cli import common
from mlgcn_pyg.cli.json_output import to_json
from mlgcn_pyg.files import check_file_name, locked, partial_path, publish

if TYPE_CHECKING:  # the command line shows its help without loading torch
    from mlgcn_pyg.prediction import Prediction


def table_line(prediction: "Prediction", width: int = 0) -> str:
    """``dog.jpg  dog 0.981, person 0.702``: for people, one line per image."""
    told = ", ".join(f"{name} {probability:.3f}" for name, probability in prediction.labels) or "–"
    if prediction.error is not None:
        told = f"error: {prediction.error}"
    image = printable(str(prediction.image))
    return f"{image}{' ' * (width - cell_len(image))}  {printable(told)}\n"


def json_line(prediction: "Prediction") -> str:
    """``{"image": …, "labels": [{"label": …, "probability": …}, …]}``, or ``{"image": …, "error": …}``."""
    if prediction.error is not None:
        return to_json({"image": str(prediction.image), "error": prediction.error})
    labels = [{"label": name, "probability": _rounded(p)} for name, p in prediction.labels]
    return to_json({"image": str(prediction.image), "labels": labels})


def csv_lines(prediction: "Prediction") -> str:
    """``image,label,probability,error``: one row per label, and a row without one for an image without labels."""
    rows = [(prediction.image, name, _rounded(p), "") for name, p in prediction.labels]
    return _csv(rows or [(prediction.image, "", "", prediction.error or "")])


def line_writer(format: str, paths: Sequence[Path]) -> tuple[str, Callable[["Prediction"], str]]:
    """The first line, and the function that writes a prediction."""
    if format == "csv":
        return _csv([("image", "label", "probability", "error")]), csv_lines
    if format == "jsonl":
        return "", json_line
    width = min(60, max((cell_len(printable(str(path))) for path in paths), default=0))
    return "", lambda prediction: table_line(prediction, width)


@contextmanager
def opened(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a stream to ``<out>.partial``, which becomes ``out`` if the block ends well."""
    if out is None:
        with _standard_output() as stream:
            yield stream
        return
    check_file_name("out", out)
    partial = partial_path(out)
    common.make_folder("out", partial.parent)
    with locked(partial):
        with open(partial, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream
        publish(partial, out)


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    """Whoever reads may stop reading."""
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush at exit
        raise typer.Exit(1) from None


def _csv(rows: list[tuple]) -> str:
    return "".join(map(_csv_row, rows))


def _csv_row(row: tuple) -> str:
    text = io.StringIO()
    # what is in the terminator is quoted in a name: before Python 3.13 nothing else would quote "\r"
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _rounded(probability: float) -> float:
    return float(f"{probability:.6g}")


def printable(name: str) -> str:
    """Names may hold line breaks, and what moves a terminal's cursor."""
    return name if name.isprintable() else ascii(name)

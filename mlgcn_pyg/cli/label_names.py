"""Reads label names from a text file."""

from pathlib import Path

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.labels import normal_label_names
from mlgcn_pyg.text import normal_form


def read_label_names(path: Path) -> tuple[str, ...]:
    """Returns the names in a text file, one per line. Empty lines are ignored."""
    try:
        lines = existing_file("names", path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("names", "a text file in UTF-8", f"{path} ({first_line(error)})") from error
    names = [line for line in lines if normal_form(line)]
    if not names:
        raise InputError("names", "label names, one per line", f"none in {path}")
    return normal_label_names(names, len(names))

"""Reads tables of edges, of hierarchies and the like from CSV files."""

import csv
from collections.abc import Sequence
from pathlib import Path

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.text import normal_form

Columns = dict[str, list[str]]
MOST_BYTES = 1 << 28  # several million edges


def read_columns(
    argument: str, path: str | Path, required: Sequence[str], optional: Sequence[str] = (), most_bytes: int = MOST_BYTES
) -> Columns:
    """Reads some columns of a CSV file in UTF-8, with or without a byte order mark. Blank lines are skipped.

    Args:
        argument: the argument that an error names.
        path: the file. Its first line has the names of the columns; upper case counts as lower case.
        required: columns that the file must have.
        optional: columns that it may have; others are ignored.
        most_bytes: a limit on the size of the file.

    Returns:
        The fields of each column, as text.

    Raises:
        InputError: if the file is missing, empty, too large or no text in UTF-8; if a column is missing or occurs
            twice; if a line has more or fewer fields than the first.
    """
    path = existing_file(argument, path)
    if (size := path.stat().st_size) > most_bytes:
        raise InputError(argument, f"a table of at most {most_bytes >> 20:,} MiB", f"{size >> 20:,} MiB ({path})")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, skipinitialspace=True, strict=True) if any(map(str.strip, row))]
    except UnicodeDecodeError as error:
        raise InputError(argument, "a table in UTF-8", f"{path} ({first_line(error)})", "save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        raise InputError(argument, "a readable CSV file", f"{path} ({first_line(error)})") from error
    return _columns(argument, path, rows, required, optional)


def _columns(
    argument: str, path: Path, rows: list[list[str]], required: Sequence[str], optional: Sequence[str]
) -> Columns:
    expected = f"a CSV file with the columns {', '.join(required)}"
    if not rows:
        raise InputError(argument, expected, f"an empty file ({path})")
    header = [normal_form(name).lower() for name in rows[0]]
    used = [name for name in (*required, *optional) if name in header]
    if missing := [name for name in required if name not in header]:
        fix = "separate the columns by commas" if len(header) == 1 and set(rows[0][0]) & set(";\t|") else ""
        raise InputError(argument, expected, f"no column {missing[0]} but {', '.join(rows[0])} ({path})", fix)
    if repeated := [name for name in used if header.count(name) > 1]:
        raise InputError(argument, "each column once", f"{repeated[0]} twice in {path}")
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            found = f"{len(row)} in row {number} of {path}"
            fix = "put names that contain a comma in double quotes" if len(row) > len(header) else ""
            raise InputError(argument, f"{len(header)} fields in every row, as in the first line", found, fix)
    return {name: [row[header.index(name)] for row in rows[1:]] for name in used}

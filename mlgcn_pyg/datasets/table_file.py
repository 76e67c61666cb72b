"""Reads CSV, TSV and Parquet tables without renaming columns, filling missing values or inferring types."""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn_pyg.datasets.parquet_file import read_parquet
from mlgcn_pyg.datasets.sizes import MAX_BYTES, check_bytes
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.text import described_forms, merged_forms, normal_form

MULTIPLE = (list, tuple, np.ndarray)  # types of list cells in Parquet


def read_table(path: str | Path, max_bytes: int = MAX_BYTES) -> pd.DataFrame:
    """Reads a table. Its rows are numbered from 0. The fields of CSV and TSV files are strings.

    Columns with neither a name nor content, as spreadsheets write them, are dropped.

    Args:
        path: a table that ends in ``.csv``, ``.tsv`` or ``.parquet``.
        max_bytes: a limit on the bytes of a text file, and on the size of a Parquet table in memory.

    Raises:
        InputError: if the file is missing, unreadable or too large, rows have different lengths, or column names are
            repeated.
    """
    path = existing_file("path", path)
    if path.suffix.lower() not in READERS:
        raise InputError("path", "a table that ends in " + ", ".join(READERS), str(path))
    try:
        table = READERS[path.suffix.lower()](path, max_bytes)
    except InputError:
        raise
    except ImportError as error:
        fix = 'pip install "mlgcn_pyg[parquet]"'
        raise InputError("path", "pyarrow to read Parquet", "none installed", fix) from error
    except UnicodeDecodeError as error:
        raise InputError("path", "a table in UTF-8", f"{path} ({first_line(error)})", fix="save it as UTF-8") from error
    except Exception as error:  # parsers raise many types of exceptions for damaged files
        raise InputError("path", "a readable table", f"{path} ({first_line(error)})") from error
    written = [str(name).strip() for name in table.columns]
    table.columns = pd.Index([normal_form(name) for name in written])
    used = [bool(name) or bool((table.iloc[:, k] != "").any()) for k, name in enumerate(table.columns)]
    table = table.loc[:, used]
    if table.columns.has_duplicates:
        repeated = table.columns[table.columns.duplicated()][0]
        forms = merged_forms(name for name in written if normal_form(name) == repeated)
        found = f"{described_forms(forms)} in {path}" if forms else f"{repeated!r} twice in {path}"
        raise InputError("path", "unique column names", found)
    return table


def _read_text(path: Path, max_bytes: int, separator: str) -> pd.DataFrame:
    """Reads every field unchanged. ``pandas.read_csv`` would rename repeated columns and pad short rows."""
    size = path.stat().st_size
    check_bytes("path", "a table", str(path), size, max_bytes)
    with open(path, encoding="utf-8-sig", newline="") as file, fields_up_to(size):
        rows = [row for row, _ in text_rows(file, separator)]
    if not rows:
        raise ValueError("empty")
    header, *rows = rows
    _check_separator(header, path, separator)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            found = f"{len(row)} in row {number} of {path}"
            raise InputError("path", f"{len(header)} fields in every row, as in the first line", found)
    return pd.DataFrame(rows, columns=header, dtype=object)


def _check_separator(header: list[str], path: Path, separator: str) -> None:
    """Raises an InputError if the columns of a table seem to be separated by another character."""
    found = [name for mark, name in NAMES_OF_SEPARATORS.items() if len(header) == 1 and mark in header[0]]
    if found:
        expected = NAMES_OF_SEPARATORS[separator]
        fix = f"save the table with {expected} between the columns"
        raise InputError("path", f"columns separated by {expected}", f"{found[0]} in the first line of {path}", fix)


def text_rows(file: Iterable[str], separator: str) -> Iterator[tuple[list[str], str]]:
    """Yields the fields of each row, first of the header, and the text that they are written as. Blank lines are none.

    >>> list(text_rows(["image,labels\\n", "\\n", 'a.jpg,"a\\n', 'b"\\n'], ","))
    [(['image', 'labels'], 'image,labels\\n'), (['a.jpg', 'a\\nb'], 'a.jpg,"a\\nb"\\n')]
    """
    text: list[str] = []

    def recorded() -> Iterator[str]:
        for line in file:
            text.append(line)
            yield line

    for row in csv.reader(recorded(), delimiter=separator, skipinitialspace=True, strict=True):
        if row and (len(row) > 1 or row[0].strip()):
            yield row, "".join(text)
        text.clear()


@contextmanager
def fields_up_to(size: int) -> Iterator[None]:
    """Sets the limit on the length of a field within the block; Python's is 128 KiB."""
    limit = csv.field_size_limit(min(max(size, 1), 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(limit)


NAMES_OF_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
SEPARATORS = {".csv": ",", ".tsv": "\t"}
READERS: dict[str, Callable[[Path, int], pd.DataFrame]] = {
    **{ending: partial(_read_text, separator=separator) for ending, separator in SEPARATORS.items()},
    ".parquet": read_parquet,
}


def texts(column: pd.Series, argument: str) -> pd.Series:
    """Returns the cells as stripped strings. Missing values become empty strings.

    A missing value makes pandas read integers as floats, so whole numbers are written without ``.0``.

    Args:
        column: a column of a table.
        argument: the name of the argument, for the error message.

    Raises:
        InputError: if a cell is a list or a dict.
    """
    cells = column.astype(object)
    for row, cell in zip(cells.index.tolist(), cells, strict=True):
        if isinstance(cell, (dict, *MULTIPLE)):
            kind = "record" if isinstance(cell, dict) else "list"
            found = f"a {kind} in column {column.name!r}, row {row + 1}"
            raise InputError(argument, "one text or number in every cell", found)
    cells = cells.where(cells.notna(), "")
    values = [str(int(cell)) if isinstance(cell, float) and cell.is_integer() else cell for cell in cells]
    return pd.Series(values, index=column.index, dtype=object).astype(str).str.strip()

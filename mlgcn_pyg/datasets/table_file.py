"""Tables as people save them, read so that nothing in them is renamed, filled in or taken for something else."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import existing_file

MANY = (list, tuple, np.ndarray)  # what Parquet's lists come as


def read_table(path: str | Path) -> pd.DataFrame:
    """The table with rows numbered from 0. A CSV is read as text, so that no label is taken for a number or a gap.

    Columns without a name and without content, as spreadsheets leave them, are left out. Raises InputError for a file
    that is missing or no table, for rows of different lengths and for two columns of one name.
    """
    path = existing_file("path", path)
    if path.suffix.lower() not in READERS:
        raise InputError("path", "a table that ends in " + ", ".join(READERS), str(path))
    try:
        table = READERS[path.suffix.lower()](path)
    except InputError:
        raise
    except ImportError as error:
        fix = 'pip install "mlgcn_pyg[parquet]"'
        raise InputError("path", "pyarrow to read Parquet", "none installed", fix) from error
    except UnicodeDecodeError as error:
        raise InputError("path", "a table in UTF-8", f"{path} ({first_line(error)})", fix="save it as UTF-8") from error
    except Exception as error:  # parsers of damaged files raise nearly anything
        raise InputError("path", "a readable table", f"{path} ({first_line(error)})") from error
    table.columns = [str(name).strip() for name in table.columns]
    table = table.loc[:, [bool(name) or bool((table.iloc[:, k] != "").any()) for k, name in enumerate(table.columns)]]
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise InputError("path", "columns of different names", f"{twice!r} twice in {path}")
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(path)
    return table.reset_index(drop=all(name is None for name in table.index.names))  # an index with a name is a column


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    """Every field as it is written. (pandas renames the second of two columns of one name, and fills up short rows.)"""
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
        rows = [row for row in lines if row and (len(row) > 1 or row[0].strip())]
    if not rows:
        raise ValueError("empty")
    header, *rows = rows
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            found = f"{len(row)} in row {number} of {path}"
            raise InputError("path", f"{len(header)} fields in every row, as in the first line", found)
    return pd.DataFrame(rows, columns=header, dtype=object)


READERS = {
    ".csv": lambda path: _read_text(path, ","),
    ".tsv": lambda path: _read_text(path, "\t"),
    ".parquet": _read_parquet,
}


def texts(column: pd.Series) -> pd.Series:
    """The cells as stripped text, gaps as empty text; whole numbers lose the ``.0`` that a gap among them gives all.

    Raises InputError where a cell is a list or a record.
    """
    cells = column.astype(object)
    for row, cell in cells.items():
        if isinstance(cell, (dict, *MANY)):
            found = f"a {'record' if isinstance(cell, dict) else 'list'} in row {row + 1}"
            raise InputError(f"column {column.name!r}", "one text or number in every cell", found)
    cells = cells.where(cells.notna(), "")
    cells = [str(int(cell)) if isinstance(cell, float) and cell.is_integer() else cell for cell in cells]
    return pd.Series(cells, index=column.index, dtype=object).astype(str).str.strip()

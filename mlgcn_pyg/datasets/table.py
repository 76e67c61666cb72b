"""The user's own data: a folder of photographs and a table of labels."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn_pyg.checks import bad_input, check_label_names, first_line
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.files import existing_file


class Table(LabeledImages):
    """Photographs listed in a CSV or Parquet file, one row per image.

    Args:
        path: the table (``.csv``, ``.tsv``, ``.parquet``).
        image_root: folder that the image column is relative to, and that no image may lie outside of, links followed;
            ``/`` where the table gives absolute paths on purpose.
        image_column: column of image files.
        labels_column: column of separated label names (``"cat;dog"``, empty for none) or, in Parquet, of lists. By
            default a column called ``labels``, if there is one; otherwise every other column is a label with values
            1, 0 or −1 (unknown).
        separator: between names in ``labels_column``.
        label_names: which labels, in which order; by default those found, sorted, or the label columns in their order.
        split: keep the rows with this value in the column ``split``.
        transform: PIL image → tensor.

    Raises:
        InputError: a missing or unreadable table, missing columns, empty or repeated images, files outside
            ``image_root``, values other than 1, 0, −1, or a label that is not in ``label_names``; rows are named by
            their number in the table, the first is 1.

    A table ``photos.csv``::

        image,labels
        beach.jpg,sea;person
        empty.jpg,
    """

    def __init__(
        self,
        path: str | Path,
        image_root: str | Path,
        *,
        image_column: str = "image",
        labels_column: str | None = None,
        separator: str = ";",
        label_names: Sequence[str] | None = None,
        split: str | None = None,
        transform: Callable | None = None,
    ):
        table = read_table(path)
        _require(table, image_column, "image_column")
        if labels_column is None and "labels" in table.columns:
            labels_column = "labels"
        if labels_column is None:
            columns = [c for c in table.columns if c not in (image_column, "split")]
            names = check_label_names(columns if label_names is None else label_names, len(label_names or columns))
            targets = _indicator_targets(table, names)
        else:
            _require(table, labels_column, "labels_column")
            found = _split_names(table[labels_column], separator)
            names = tuple(label_names) if label_names is not None else _names_found(found, separator)
            targets = _named_targets(found, check_label_names(names, len(names)))
        if not names:
            raise bad_input("path", "a table with at least one label", f"none in {path}")
        keep = _rows_of_split(table, split)
        images = _texts(table[image_column]).iloc[keep]
        super().__init__(_image_paths(images, Path(image_root)), targets[keep], names, list(images), transform)
        self.split = split


def read_table(path: str | Path) -> pd.DataFrame:
    """The table with rows numbered from 0. A CSV is read as text, so that no label is taken for a number or a gap."""
    path = existing_file("path", path)
    readers = {
        ".csv": lambda: _read_text(path, ","),
        ".tsv": lambda: _read_text(path, "\t"),
        ".parquet": lambda: pd.read_parquet(path).reset_index(drop=True),
    }
    if path.suffix.lower() not in readers:
        raise bad_input("path", "a table that ends in " + ", ".join(readers), str(path))
    try:
        table = readers[path.suffix.lower()]()
    except ImportError as error:
        fix = 'pip install "mlgcn_pyg[parquet]"'
        raise bad_input("path", "pyarrow to read Parquet", "none installed", fix) from error
    except Exception as error:  # parsers of damaged files raise nearly anything
        raise bad_input("path", "a readable table", f"{path} ({first_line(error)})") from error
    table = table.rename(columns=lambda name: str(name).strip())
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise bad_input("path", "columns of different names", f"{twice!r} twice in {path}")
    return table


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # more fields than columns: not to be cut off silently
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, index_col=False)


def _require(table: pd.DataFrame, column: str, argument: str) -> None:
    if column not in table.columns:
        raise bad_input(argument, "one of the columns " + ", ".join(map(str, table.columns)), repr(column))


def _rows_of_split(table: pd.DataFrame, split: str | None) -> np.ndarray:
    if split is None:
        return np.arange(len(table))
    _require(table, "split", "split")
    values = _texts(table["split"])
    keep = np.flatnonzero(values == split)
    if not len(keep):
        raise bad_input("split", "one of " + ", ".join(sorted(set(values))), repr(split))
    return keep


def _texts(column: pd.Series) -> pd.Series:
    """The cells as stripped text, gaps as empty text."""
    return column.astype(object).where(column.notna(), "").astype(str).str.strip()


def _image_paths(images: pd.Series, root: Path) -> list[Path]:
    if not root.is_dir():
        raise bad_input("image_root", "a folder that exists", str(root))
    paths, inside, rows = [], root.resolve(), {}
    for row, name in zip(images.index + 1, images, strict=True):  # rows of the table, not of the split
        if not name:
            raise bad_input("image_column", "a file in every row", f"none in row {row}")
        if "\0" in name:
            raise bad_input("image_column", "names of files", f"{name!r} in row {row}")
        path = (root / name).resolve()
        if not path.is_relative_to(inside):
            raise bad_input("image_column", f"files below {root}", repr(name))
        if path in rows:
            found = f"{name!r} in rows {rows[path]} and {row}"
            raise bad_input("image_column", "each image in one row", found, fix="join its labels in one row")
        rows[path] = row
        paths.append(path)
    return paths


def _split_names(column: pd.Series, separator: str) -> list[list[str]]:
    if not separator:
        raise bad_input("separator", "a character between label names", "none")
    lists = [list(cell) if isinstance(cell, list | tuple | np.ndarray) else None for cell in column]
    texts = _texts(column.where([names is None for names in lists], ""))
    cells = [text.split(separator) if names is None else names for names, text in zip(lists, texts, strict=True)]
    return [[str(name).strip() for name in cell if name is not None and str(name).strip()] for cell in cells]


def _names_found(found: list[list[str]], separator: str) -> tuple[str, ...]:
    names = tuple(sorted({name for row in found for name in row}))
    for name in names:
        if other := [mark for mark in ";,|" if mark in name and mark != separator]:
            raise bad_input(
                "separator", f"{separator!r} between label names", repr(name), fix=f"perhaps it is {other[0]!r}"
            )
    return names


def _named_targets(found: list[list[str]], names: tuple[str, ...]) -> np.ndarray:
    column = {name: k for k, name in enumerate(names)}
    targets = np.zeros((len(found), len(names)), dtype=np.int8)
    for row, labels in enumerate(found):
        for label in labels:
            if label not in column:
                raise bad_input("label_names", "every label of the table", f"no {label!r} (row {row + 1})")
            targets[row, column[label]] = 1
    return targets


def _indicator_targets(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    for name in names:
        _require(table, name, "label_names")
        values = pd.to_numeric(table[name], errors="coerce")
        if (strange := ~values.isin([1, 0, -1])).any():
            row = int(strange.to_numpy().argmax())
            raise bad_input(
                f"column {name!r}",
                "1, 0 or -1 in every row",
                f"{table[name].iloc[row]!r} in row {row + 1}",
                fix="write -1 where a label is unknown, or name the column of label names",
            )
    return table[list(names)].apply(pd.to_numeric).to_numpy().astype(np.int8).reshape(len(table), len(names))

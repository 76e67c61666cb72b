"""A data set of images in a folder with their labels in a table."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.datasets.cells import marks_of, names_of, printed_list
from mlgcn_pyg.datasets.disk_names import DiskNames
from mlgcn_pyg.datasets.label_text import normal_labels
from mlgcn_pyg.datasets.sizes import MAX_BYTES, Targets, zero_targets
from mlgcn_pyg.datasets.table_file import MULTIPLE, read_table, texts
from mlgcn_pyg.errors import Argument, Fix, InputError
from mlgcn_pyg.labels import normal_label_names
from mlgcn_pyg.text import normal_form

GAPS = ("nan", "none", "null", "na", "n/a", "<na>")  # how programs write that there is no value


class TableDataset(LabeledImages):
    """Images listed in a CSV or Parquet file with one row per image.

    Args:
        path: the table (``.csv``, ``.tsv``, ``.parquet``).
        image_root: the folder that image files are relative to. Files outside it are refused. Symbolic links in it are
            followed. Pass ``/`` to read a table of absolute paths.
        image_column: name of the column with image files.
        labels_column: name of the column with separated label names (``"cat;dog"``, empty for none), or with lists in
            Parquet or printed (``"['cat', 'dog']"``). Default: the column ``labels``, if it exists. Otherwise every
            other column is a label with values 1, 0 or −1 (unknown); ``True`` and ``False`` count as 1 and 0.
        separator: separates the names in ``labels_column``.
        label_names: the labels in their order. Default: the names in ``labels_column`` in alphabetical order, or the
            label columns in table order. All labels of the images must be among them. Columns with values that are not
            those of a label are ignored if ``label_names`` is given and does not contain them.
        split: keeps only the rows with this value in the column ``split``.
        transform: PIL image → tensor.
        max_bytes: a limit on the memory of the table and of its targets (N × C bytes).

    Raises:
        InputError: if the table is missing, unreadable or too large; if rows have different lengths; if a column is
            missing, has no name or occurs twice; if an image is empty, repeated or outside ``image_root``; if a value
            is not 1, 0 or −1; or if a label is not in ``label_names``. Row numbers in messages start at 1.

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
        transform: Callable[..., Any] | None = None,
        max_bytes: int = MAX_BYTES,
    ):
        table = read_table(path, check_positive("max_bytes", max_bytes))
        image_column = _column(table, image_column, "image_column")
        if labels_column is None and "labels" in table.columns:
            labels_column = "labels"
        if labels_column is None:
            names, targets = _read_indicators(table, [image_column, "split"], label_names, path, max_bytes)
        else:
            labels = table[_column(table, labels_column, "labels_column")]
            names, targets = _read_names(labels, separator, label_names, max_bytes)
        if not names:
            raise InputError("path", "a table with at least one label", f"none in {path}")
        keep = _rows_of_split(table, split)
        images = texts(table[image_column], "image_column").iloc[keep]
        super().__init__(_image_paths(images, Path(image_root)), targets[keep], names, list(images), transform)
        self.split = split


def _column(table: pd.DataFrame, name: str, argument: str) -> str:
    """Returns the normal form of a column's name, which tables have."""
    form = normal_form(name) if isinstance(name, str) else name
    if form not in table.columns:
        raise InputError(argument, "one of the columns " + ", ".join(map(str, table.columns)), repr(name))
    return form


def _rows_of_split(table: pd.DataFrame, split: str | None) -> npt.NDArray[np.int64]:
    if split is None:
        return np.arange(len(table))
    values = texts(table[_column(table, "split", "split")], "split")
    keep = np.flatnonzero(values == split)
    if not len(keep):
        raise InputError("split", "one of " + ", ".join(sorted(set(values))), repr(split))
    return keep


def _image_paths(images: pd.Series, root: Path) -> list[str]:
    if not root.is_dir():
        raise InputError("image_root", "a folder that exists", str(root))
    rows: dict[str, int] = {}
    disk = DiskNames()
    # absolute paths may contain a link to the root; both forms end with a separator
    real_root, given_root = (os.path.join(folder, "") for folder in (os.path.realpath(root), os.path.abspath(root)))
    for row, name in zip(images.index + 1, images, strict=True):  # rows of the table, not of the split
        if not name:
            raise InputError("image_column", "a file in every row", f"none in row {row}")
        if "\0" in name:
            raise InputError("image_column", "file names", f"{name!r} in row {row}")
        path = os.path.normpath(real_root + name if not os.path.isabs(name) else name)  # links in the root are followed
        if path.startswith(given_root):
            path = real_root + path[len(given_root) :]
        if not path.startswith(real_root):
            raise InputError("image_column", f"files below {root}", f"{name!r} in row {row}")
        path = str(disk.find_listed(path, name))
        if path in rows:
            found = f"{name!r} in rows {rows[path]} and {row}"
            raise InputError("image_column", "each image in one row", found, fix="merge its labels into one row")
        rows[path] = row
    return list(rows)


def _read_names(
    column: pd.Series, separator: str, label_names: Sequence[str] | None, max_bytes: int
) -> tuple[tuple[str, ...], Targets]:
    """Returns label names (C) and targets (N, C) from a column of label names."""
    written = _split_cells(column, separator)
    forms = normal_labels((name for row in written for name in row), warn=label_names is None)
    labels = [[forms[name] for name in row if forms[name]] for row in written]
    names = normal_label_names(_unique_names(labels, column, separator) if label_names is None else label_names)
    index = {name: k for k, name in enumerate(names)}
    targets = zero_targets("path", len(labels), len(names), max_bytes)
    for row, labels_of_row in enumerate(labels):
        for label in labels_of_row:
            if label not in index:
                raise _unknown_label(label, row)
            targets[row, index[label]] = 1
    return names, targets


def _unknown_label(label: str, row: int) -> InputError:
    fix = f"add the label {label!r}, or remove it from the table"
    return InputError("label_names", "every label of the table", f"no {label!r} (row {row + 1})", fix)


def _split_cells(column: pd.Series, separator: str) -> list[list[str]]:
    """Returns the label names of each row."""
    if not separator:
        raise InputError("separator", "a character between label names", "none")
    column = column.astype(object)
    is_list = column.map(lambda cell: isinstance(cell, MULTIPLE)).astype(bool)
    cells = texts(column.mask(is_list, ""), "labels_column")
    labels = [names_of(cell, separator) for cell in cells]
    listed = texts(column[is_list].explode(), "labels_column")
    for row, name in zip(listed.index.tolist(), listed, strict=True):
        labels[row] += [name]
    return labels


def _unique_names(labels: list[list[str]], column: pd.Series, separator: str) -> tuple[str, ...]:
    """Returns all names in alphabetical order.

    Raises an InputError if no cell contains the separator, but a cell contains a different common separator.
    """
    cells = [cell for cell in column if isinstance(cell, str) and printed_list(cell.strip()) is None]
    if not any(separator in cell for cell in cells):
        for cell in cells:
            if other := [mark for mark in ";,|" if mark in cell]:
                fix = f"the separator may be {other[0]!r}; if the names contain it, use one column per label"
                raise InputError("separator", f"{separator!r} between label names", repr(cell), fix)
    return tuple(sorted({name for row in labels for name in row}))


def _read_indicators(
    table: pd.DataFrame,
    other_columns: Sequence[str],
    label_names: Sequence[str] | None,
    path: str | Path,
    max_bytes: int,
) -> tuple[tuple[str, ...], Targets]:
    """Returns label names (C) and targets (N, C) from one column per label."""
    columns = [column for column in table.columns if column not in other_columns]
    if "" in columns:
        omit = "remove it; to_csv(index=False) of pandas omits the index"
        raise InputError("path", "a name for each column", f"a column without one in {path}", omit)
    names = normal_label_names(columns if label_names is None else label_names)
    others = set(columns)
    targets = zero_targets("path", len(table), len(names), max_bytes)
    for k, name in enumerate(names):
        column = table[_column(table, name, "label_names")]
        marks = marks_of(column)
        if np.isnan(marks).any():
            raise _invalid_mark(column, int(np.isnan(marks).argmax()))
        targets[:, k] = marks
        others.discard(column.name)
    for name in sorted(others):
        _check_no_label(table[name])
    return names, targets


def _invalid_mark(column: pd.Series, row: int) -> InputError:
    cell = str(column.iloc[row])
    fix: Fix = "write -1 for an unknown label"
    if any(c.isalpha() for c in cell) and cell.lower() not in GAPS:
        names = Argument("labels_column", column.name)
        fix = ["if the column holds label names, pass ", names, "; if it is no label, remove it"]
    found = f"{cell!r:.80} in column {column.name!r}, row {row + 1}"
    return InputError("path", "1, 0 or -1 in every label column", found, fix)


def _check_no_label(column: pd.Series) -> None:
    """Raises an InputError if a column that is not in ``label_names`` has a label's values and is 1 for an image."""
    marks = marks_of(column)
    is_gap = column.isna() | column.map(lambda cell: not str(cell).strip())
    if (marks == 1).any() and (is_gap | ~np.isnan(marks)).all():
        raise _unknown_label(str(column.name), int((marks == 1).argmax()))

"""A data set of images in a folder with their labels in a table."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlgcn_pyg.checks import check_label_names
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.datasets.table_file import MULTIPLE, read_table, texts
from mlgcn_pyg.errors import Argument, Fix, InputError


class TableDataset(LabeledImages):
    """Images listed in a CSV or Parquet file with one row per image.

    Args:
        path: the table (``.csv``, ``.tsv``, ``.parquet``).
        image_root: the folder that the image column is relative to. Names that lead out of it are refused, links in it
            are followed. Pass ``/`` to read a table of absolute paths.
        image_column: column of image files.
        labels_column: column of separated label names (``"cat;dog"``, empty for none) or, in Parquet, of lists. By
            default the column ``labels``, if it exists. Otherwise every other column is a label with values 1, 0 or
            −1 (unknown).
        separator: separates the names in ``labels_column``.
        label_names: which labels, in which order. By default the names in ``labels_column`` in alphabetical order, or
            the label columns in their order.
        split: keep the rows with this value in the column ``split``.
        transform: PIL image → tensor.

    Raises:
        InputError: if the table is missing or unreadable; if rows have different lengths; if a column is missing, has
            no name or occurs twice; if an image is empty, repeated or outside ``image_root``; if a value is not 1, 0
            or −1; or if a label is not in ``label_names``. Messages count the rows of the table from 1.

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
    ):
        table = read_table(path)
        _require(table, image_column, "image_column")
        if labels_column is None and "labels" in table.columns:
            labels_column = "labels"
        if labels_column is None:
            names, targets = _read_indicators(table, [image_column, "split"], label_names, path)
        else:
            _require(table, labels_column, "labels_column")
            names, targets = _read_names(table[labels_column], separator, label_names)
        if not names:
            raise InputError("path", "a table with at least one label", f"none in {path}")
        keep = _rows_of_split(table, split)
        images = texts(table[image_column], "image_column").iloc[keep]
        super().__init__(_image_paths(images, Path(image_root)), targets[keep], names, list(images), transform)
        self.split = split


Targets = npt.NDArray[np.int8]  # (N, C)


def _require(table: pd.DataFrame, column: str, argument: str) -> None:
    if column not in table.columns:
        raise InputError(argument, "one of the columns " + ", ".join(map(str, table.columns)), repr(column))


def _rows_of_split(table: pd.DataFrame, split: str | None) -> npt.NDArray[np.int64]:
    if split is None:
        return np.arange(len(table))
    _require(table, "split", "split")
    values = texts(table["split"], "split")
    keep = np.flatnonzero(values == split)
    if not len(keep):
        raise InputError("split", "one of " + ", ".join(sorted(set(values))), repr(split))
    return keep


def _image_paths(images: pd.Series, root: Path) -> list[str]:
    if not root.is_dir():
        raise InputError("image_root", "a folder that exists", str(root))
    rows: dict[str, int] = {}
    # absolute paths may name the root through a link; both forms end with a separator
    real_root, given_root = (os.path.join(folder, "") for folder in (os.path.realpath(root), os.path.abspath(root)))
    for row, name in zip(images.index + 1, images, strict=True):  # rows of the table, not of the split
        if not name:
            raise InputError("image_column", "a file in every row", f"none in row {row}")
        if "\0" in name:
            raise InputError("image_column", "names of files", f"{name!r} in row {row}")
        path = os.path.normpath(real_root + name if not os.path.isabs(name) else name)  # links in the root are followed
        if path.startswith(given_root):
            path = real_root + path[len(given_root) :]
        if not path.startswith(real_root):
            raise InputError("image_column", f"files below {root}", f"{name!r} in row {row}")
        if path in rows:
            found = f"{name!r} in rows {rows[path]} and {row}"
            raise InputError("image_column", "each image in one row", found, fix="join its labels in one row")
        rows[path] = row
    return list(rows)


def _read_names(
    column: pd.Series, separator: str, label_names: Sequence[str] | None
) -> tuple[tuple[str, ...], Targets]:
    """Label names (C) and targets (N, C) from a column of label names."""
    labels = _split_cells(column, separator)
    names = tuple(label_names) if label_names is not None else _unique_names(labels, column, separator)
    index = {name: k for k, name in enumerate(check_label_names(names, len(names)))}
    targets = np.zeros((len(labels), len(names)), dtype=np.int8)
    for row, labels_of_row in enumerate(labels):
        for label in labels_of_row:
            if label not in index:
                raise InputError("label_names", "every label of the table", f"no {label!r} (row {row + 1})")
            targets[row, index[label]] = 1
    return names, targets


def _split_cells(column: pd.Series, separator: str) -> list[list[str]]:
    """The label names of each row."""
    if not separator:
        raise InputError("separator", "a character between label names", "none")
    column = column.astype(object)
    is_list = column.map(lambda cell: isinstance(cell, MULTIPLE)).astype(bool)
    cells = texts(column.mask(is_list, ""), "labels_column")
    labels = [[name.strip() for name in cell.split(separator) if name.strip()] for cell in cells]
    listed = texts(column[is_list].explode(), "labels_column")
    for row, name in zip(listed.index.tolist(), listed, strict=True):
        labels[row] += [name] if name else []
    return labels


def _unique_names(labels: list[list[str]], column: pd.Series, separator: str) -> tuple[str, ...]:
    """All names in alphabetical order.

    If no cell contains the separator, but a cell contains a different common separator, an InputError suggests it.
    """
    cells = [cell for cell in column if isinstance(cell, str)]
    if not any(separator in cell for cell in cells):
        for cell in cells:
            if other := [mark for mark in ";,|" if mark in cell]:
                fix = f"perhaps it is {other[0]!r}; if these are single names, give each label a column"
                raise InputError("separator", f"{separator!r} between label names", repr(cell), fix)
    return tuple(sorted({name for row in labels for name in row}))


def _read_indicators(
    table: pd.DataFrame, other_columns: Sequence[str], label_names: Sequence[str] | None, path: str | Path
) -> tuple[tuple[str, ...], Targets]:
    """Label names (C) and targets (N, C) from one column per label."""
    columns = [column for column in table.columns if column not in other_columns]
    if "" in columns:
        omit = "remove it; to_csv(index=False) of pandas omits the index"
        raise InputError("path", "a name for each column", f"a column without one in {path}", omit)
    names = check_label_names(columns if label_names is None else label_names, len(label_names or columns))
    targets = np.zeros((len(table), len(names)), dtype=np.int8)
    for k, name in enumerate(names):
        _require(table, name, "label_names")
        values = pd.to_numeric(table[name], errors="coerce")
        if (invalid := ~values.isin([1, 0, -1])).any():
            row = int(invalid.to_numpy().argmax())
            found = f"{str(table[name].iloc[row])!r} in column {name!r}, row {row + 1}"
            label_column = Argument("labels_column")
            fix: Fix = ["write -1 for an unknown label, or pass the column of label names as ", label_column]
            raise InputError("path", "1, 0 or -1 in every label column", found, fix)
        targets[:, k] = values
    return names, targets

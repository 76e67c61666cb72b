"""The user's own data: a folder of photographs and a table of labels."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn_pyg.checks import check_label_names
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.datasets.table_file import MANY, read_table, texts
from mlgcn_pyg.errors import InputError


class Table(LabeledImages):
    """Photographs listed in a CSV or Parquet file, one row per image.

    Args:
        path: the table (``.csv``, ``.tsv``, ``.parquet``).
        image_root: folder that the image column is relative to, and that no name in it may lead out of; links in the
            folder are followed. ``/`` where the table gives absolute paths on purpose.
        image_column: column of image files.
        labels_column: column of separated label names (``"cat;dog"``, empty for none) or, in Parquet, of lists. By
            default a column called ``labels``, if there is one; otherwise every other column is a label with values
            1, 0 or −1 (unknown).
        separator: between names in ``labels_column``.
        label_names: which labels, in which order; by default those found, sorted, or the label columns in their order.
        split: keep the rows with this value in the column ``split``.
        transform: PIL image → tensor.

    Raises:
        InputError: a missing or unreadable table, rows of different lengths, columns that are missing or have no name
            or another's, empty or repeated images, files outside ``image_root``, values other than 1, 0, −1, or a
            label that is not in ``label_names``; rows are named by their number in the table, the first is 1.

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
            if "" in columns:
                fix = "remove it: an index that pandas wrote is left out by to_csv(index=False)"
                raise InputError("path", "a name over each column", f"none over one of {path}", fix)
            names = check_label_names(columns if label_names is None else label_names, len(label_names or columns))
            targets = _indicator_targets(table, names)
        else:
            _require(table, labels_column, "labels_column")
            column = table[labels_column]
            found = _split_names(column, separator)
            names = tuple(label_names) if label_names is not None else _names_found(found, column, separator)
            targets = _named_targets(found, check_label_names(names, len(names)))
        if not names:
            raise InputError("path", "a table with at least one label", f"none in {path}")
        keep = _rows_of_split(table, split)
        images = texts(table[image_column]).iloc[keep]
        super().__init__(_image_paths(images, Path(image_root)), targets[keep], names, list(images), transform)
        self.split = split


def _require(table: pd.DataFrame, column: str, argument: str) -> None:
    if column not in table.columns:
        raise InputError(argument, "one of the columns " + ", ".join(map(str, table.columns)), repr(column))


def _rows_of_split(table: pd.DataFrame, split: str | None) -> np.ndarray:
    if split is None:
        return np.arange(len(table))
    _require(table, "split", "split")
    values = texts(table["split"])
    keep = np.flatnonzero(values == split)
    if not len(keep):
        raise InputError("split", "one of " + ", ".join(sorted(set(values))), repr(split))
    return keep


def _image_paths(images: pd.Series, root: Path) -> list[str]:
    if not root.is_dir():
        raise InputError("image_root", "a folder that exists", str(root))
    rows = {}
    # absolute paths may go through the link that the root is; either ends with a separator
    below, given = (os.path.join(folder, "") for folder in (os.path.realpath(root), os.path.abspath(root)))
    for row, name in zip(images.index + 1, images, strict=True):  # rows of the table, not of the split
        if not name:
            raise InputError("image_column", "a file in every row", f"none in row {row}")
        if "\0" in name:
            raise InputError("image_column", "names of files", f"{name!r} in row {row}")
        path = os.path.normpath(below + name if not os.path.isabs(name) else name)  # links in it are its owner's
        if path.startswith(given):
            path = below + path[len(given) :]
        if not path.startswith(below):
            raise InputError("image_column", f"files below {root}", f"{name!r} in row {row}")
        if path in rows:
            found = f"{name!r} in rows {rows[path]} and {row}"
            raise InputError("image_column", "each image in one row", found, fix="join its labels in one row")
        rows[path] = row
    return list(rows)


def _split_names(column: pd.Series, separator: str) -> list[list[str]]:
    if not separator:
        raise InputError("separator", "a character between label names", "none")
    column = column.astype(object)
    is_list = column.map(lambda cell: isinstance(cell, MANY)).astype(bool)
    names = column.mask(is_list, "").pipe(texts).str.split(separator, regex=False)
    found = [[name.strip() for name in row if name.strip()] for row in names]
    for row, name in texts(column[is_list].explode()).items():
        found[row] += [name] if name else []
    return found


def _names_found(found: list[list[str]], column: pd.Series, separator: str) -> tuple[str, ...]:
    """All names, sorted. If no cell has the separator in it but some have another one, it is taken for a mistake."""
    cells = [cell for cell in column if isinstance(cell, str)]
    if not any(separator in cell for cell in cells):
        for cell in cells:
            if other := [mark for mark in ";,|" if mark in cell]:
                fix = f"perhaps it is {other[0]!r}; if these are single names, give each label a column"
                raise InputError("separator", f"{separator!r} between label names", repr(cell), fix)
    return tuple(sorted({name for row in found for name in row}))


def _named_targets(found: list[list[str]], names: tuple[str, ...]) -> np.ndarray:
    column = {name: k for k, name in enumerate(names)}
    targets = np.zeros((len(found), len(names)), dtype=np.int8)
    for row, labels in enumerate(found):
        for label in labels:
            if label not in column:
                raise InputError("label_names", "every label of the table", f"no {label!r} (row {row + 1})")
            targets[row, column[label]] = 1
    return targets


def _indicator_targets(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    targets = np.zeros((len(table), len(names)), dtype=np.int8)
    for k, name in enumerate(names):
        _require(table, name, "label_names")
        values = pd.to_numeric(table[name], errors="coerce")
        if (strange := ~values.isin([1, 0, -1])).any():
            row = int(strange.to_numpy().argmax())
            raise InputError(
                f"column {name!r}",
                "1, 0 or -1 in every row",
                f"{str(table[name].iloc[row])!r} in row {row + 1}",
                fix="write -1 where a label is unknown, or name the column of label names",
            )
        targets[:, k] = values
    return targets

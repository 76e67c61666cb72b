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
from mlgcn_pyg.datasets.disk_names import DiskNames
from mlgcn_pyg.datasets.sizes import MAX_BYTES
from mlgcn_pyg.datasets.table_file import read_table, texts
from mlgcn_pyg.datasets.table_labels import LabelCells, column_of, read_labels
from mlgcn_pyg.errors import InputError


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
        image_column = column_of(table, image_column, "image_column")
        cells = LabelCells(labels_column, separator, label_names, other_columns=(image_column, "split"))
        names, targets = read_labels(table, path, cells, max_bytes)
        keep = _rows_of_split(table, split)
        images = texts(table[image_column], "image_column").iloc[keep]
        super().__init__(_image_paths(images, Path(image_root)), targets[keep], names, list(images), transform)
        self.split = split


def _rows_of_split(table: pd.DataFrame, split: str | None) -> npt.NDArray[np.int64]:
    if split is None:
        return np.arange(len(table))
    values = texts(table[column_of(table, "split", "split")], "split")
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

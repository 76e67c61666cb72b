"""Stratified parts and folds of the images in a table. No image is opened."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlgcn_pyg.checks import check_number, check_positive
from mlgcn_pyg.datasets.sizes import MAX_BYTES, Targets
from mlgcn_pyg.datasets.table_file import read_table, texts
from mlgcn_pyg.datasets.table_labels import LabelCells, column_of, read_labels
from mlgcn_pyg.errors import Argument, Fix, InputError, renamed_arguments
from mlgcn_pyg.stratification import stratified_folds, stratified_split
from mlgcn_pyg.text import normal_form

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelTable:
    """The labels and the groups of N images in a table.

    Attributes:
        label_names: the C labels.
        targets: (N, C) with values 1, 0 and −1 (unknown).
        groups: the group of each image, None for an empty cell; None if no column has groups.
    """

    label_names: tuple[str, ...]
    targets: Targets
    groups: list[str | None] | None = None

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        image_column: str = "image",
        labels_column: str | None = None,
        separator: str = ";",
        group: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> "LabelTable":
        """Reads a table as :class:`~mlgcn_pyg.datasets.TableDataset` does.

        Args:
            path: a CSV, TSV or Parquet table with one row per image.
            image_column: name of the column with image files.
            labels_column: name of the column with label names. Default: as in ``TableDataset``.
            separator: separates the names in ``labels_column``.
            group: name of a column. Images with equal texts in it form a group; those with none are single.
            max_bytes: a limit on the memory of the table and of its targets.

        Raises:
            InputError: if the table is not valid, has no column of a given name, or has an image twice.
        """
        table = read_table(path, check_positive("max_bytes", max_bytes))
        others = [column_of(table, image_column, "image_column"), "split"]
        if group is not None:
            others.append(column_of(table, group, "group"))
        names, targets = read_labels(table, path, LabelCells(labels_column, separator, None, tuple(others)), max_bytes)
        _check_unique(table[others[0]])
        groups = None if group is None else [text or None for text in texts(table[others[-1]], "group")]
        return cls(names, targets, groups)

    def divide(
        self, val: float = 0.0, test: float = 0.0, folds: int | None = None, seed: int = 0
    ) -> dict[str, Indices]:
        """Returns the ascending indices of the images of each part, by name.

        Args:
            val: the fraction of images in the part ``val``; 0 for none.
            test: the fraction of images in the part ``test``; 0 for none.
            folds: number of folds. The images that are not in ``test`` are divided into ``fold1``, ``fold2``, …
                Default: they are in ``train`` and ``val``.
            seed: as in :func:`~mlgcn_pyg.datasets.stratified_split`.

        Raises:
            InputError: if the fractions do not leave any training images, or if a part would have no image.
        """
        shares = shares_of(val, test, folds)
        parts: dict[str, Indices] = {"train": np.arange(len(self.targets))}
        if len(shares) > 1:
            with renamed_arguments(sizes="val" if "val" in shares else "test"):
                divided = stratified_split(self.targets, [*shares.values()], groups=self.groups, seed=seed)
            parts = dict(zip(shares, divided, strict=True))
        if folds is None:
            return parts
        rest = parts.pop("train")
        groups = None if self.groups is None else [self.groups[image] for image in rest]
        with renamed_arguments(num_folds="folds"):
            divided = stratified_folds(self.targets[rest], folds, groups=groups, seed=seed)
        return {f"fold{k}": rest[fold] for k, fold in enumerate(divided, start=1)} | parts


def shares_of(val: float, test: float, folds: int | None) -> dict[str, float]:
    """Returns the fraction of the images of each part, in the order train, val, test. With folds, train is all of them.

    Raises:
        InputError: if no part is asked for, or if no training images are left.
    """
    given = {name: check_number(name, share, 0, 1) for name, share in (("val", val), ("test", test))}
    chosen = {name: share for name, share in given.items() if share}
    if not chosen and folds is None:
        fix: Fix = ["give ", Argument("val"), ", ", Argument("test"), " or ", Argument("folds")]
        raise InputError("val", "a fraction of the images", "none", fix)
    if folds is not None and "val" in chosen:
        raise InputError("val", "no fraction with folds", val, "each fold is for validation in turn")
    rest = 1 - sum(chosen.values())
    if rest < 1e-9:  # 1 - 0.7 - 0.3 is 5.6e-17
        found = " + ".join(f"{share:g}" for share in chosen.values())
        raise InputError(next(iter(chosen)), "fractions that sum to less than 1", found, "leave images for training")
    return {"train": rest} | chosen


def _check_unique(column: pd.Series) -> None:
    """Raises an InputError if an image is in two rows, which could be in different parts."""
    rows: dict[str, int] = {}
    for row, name in enumerate(texts(column, "image_column"), start=1):
        if not name:
            raise InputError("image_column", "a file in every row", f"none in row {row}")
        first = rows.setdefault(os.path.normpath(normal_form(name)), row)
        if first != row:
            found = f"{name!r} in rows {first} and {row}"
            raise InputError("image_column", "each image in one row", found, fix="merge its labels into one row")

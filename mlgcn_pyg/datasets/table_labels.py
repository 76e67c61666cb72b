"""The labels of a table: a column of label names, or one column of marks for each label."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn_pyg.datasets.cells import marks_of, names_of, printed_list
from mlgcn_pyg.datasets.label_text import normal_labels
from mlgcn_pyg.datasets.sizes import MAX_BYTES, Targets, zero_targets
from mlgcn_pyg.datasets.table_file import MULTIPLE, texts
from mlgcn_pyg.errors import Argument, Fix, InputError
from mlgcn_pyg.labels import normal_label_names
from mlgcn_pyg.text import normal_form

GAPS = ("nan", "none", "null", "na", "n/a", "<na>")  # how programs write that there is no value


@dataclass(frozen=True)
class LabelCells:
    """Where and how the labels are written in a table. The fields are those of :class:`TableDataset`.

    Attributes:
        labels_column: name of the column with label names. Default: ``labels``, if it exists; else columns of marks.
        separator: separates the names in ``labels_column``.
        label_names: the labels in their order, or None for those of the table.
        other_columns: columns that are no labels.
    """

    labels_column: str | None = None
    separator: str = ";"
    label_names: Sequence[str] | None = None
    other_columns: tuple[str, ...] = ()


def read_labels(
    table: pd.DataFrame, path: str | Path, cells: LabelCells, max_bytes: int = MAX_BYTES
) -> tuple[tuple[str, ...], Targets]:
    """Returns the label names (C) and the targets (N, C) of a table.

    Args:
        table: the table, as :func:`~mlgcn_pyg.datasets.table_file.read_table` returns it.
        path: its file, for error messages.
        cells: where the labels are.
        max_bytes: a limit on the memory of the targets.

    Raises:
        InputError: if a column or a label is missing, or if a value is not 1, 0 or −1.
    """
    column = "labels" if cells.labels_column is None and "labels" in table.columns else cells.labels_column
    if column is None:
        names, targets = _read_indicators(table, cells.other_columns, cells.label_names, path, max_bytes)
    else:
        labels = table[column_of(table, column, "labels_column")]
        names, targets = _read_names(labels, cells.separator, cells.label_names, max_bytes)
    if not names:
        raise InputError("path", "a table with at least one label", f"none in {path}")
    return names, targets


def column_of(table: pd.DataFrame, name: str, argument: str) -> str:
    """Returns the normal form of a column's name, which tables have.

    Raises:
        InputError: if the table has no such column; the message suggests the nearest name.
    """
    form = normal_form(name) if isinstance(name, str) else name
    if form not in table.columns:
        columns = [str(column) for column in table.columns]
        near = get_close_matches(str(form), columns, 1)
        fix = f"the nearest is {near[0]!r}" if near else ""
        raise InputError(argument, "one of the columns " + ", ".join(columns), repr(name), fix)
    return form


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
        column = table[column_of(table, name, "label_names")]
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

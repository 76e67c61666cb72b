"""Targets that hold the names of their labels: data frames, and lists of label names."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mlgcn_pyg.checks import check_tensor
from mlgcn_pyg.errors import InputError, warn_of_input
from mlgcn_pyg.labels import normal_label_names
from mlgcn_pyg.text import described_forms, merged_forms, normal_form
from mlgcn_pyg.values import shown


@dataclass(frozen=True)
class NamedTargets:
    """Targets with what is known about their labels.

    Attributes:
        targets: targets without names: a matrix, or lists of label ids.
        num_labels: C, if it is known.
        label_names: the names, if they are known.
    """

    targets: Any
    num_labels: int | None
    label_names: Sequence[str] | None


def named_targets(targets: Any, num_labels: int | None, label_names: Sequence[str] | None) -> NamedTargets:
    """Takes the label names out of targets that hold them; other targets are returned as they are.

    Args:
        targets: the targets, in any form that :meth:`LabelGraph.from_targets <mlgcn_pyg.LabelGraph.from_targets>`
            accepts.
        num_labels: C, if it is given.
        label_names: the names, if they are given.

    Raises:
        InputError: if a label is not in ``label_names``, or some entries are names and others are not.

    >>> named_targets([{"sea"}, {"boat", "sea"}], None, None)
    NamedTargets(targets=[[1], [0, 1]], num_labels=2, label_names=('boat', 'sea'))
    """
    if hasattr(targets, "columns") and hasattr(targets, "to_numpy"):  # pandas and polars
        columns = tuple(map(str, targets.columns)) if label_names is None else label_names
        return NamedTargets(check_tensor("targets", targets), num_labels, columns)
    if hasattr(targets, "shape") or isinstance(targets, str) or not isinstance(targets, Collection):
        return NamedTargets(targets, num_labels, label_names)
    rows = [sorted(row, key=str) if isinstance(row, set | frozenset) else row for row in targets]
    if (num_labels is not None and label_names is None) or not any(_has_names(row) for row in rows):
        return NamedTargets(rows if isinstance(targets, Sequence) else targets, num_labels, label_names)
    return _numbered(rows, num_labels, label_names)


def _has_names(row: object) -> bool:
    return isinstance(row, list | tuple) and any(isinstance(name, str) for name in row)


def _numbered(rows: Iterable[Any], num_labels: int | None, label_names: Sequence[str] | None) -> NamedTargets:
    """Returns lists of label names as lists of label ids."""
    rows = list(rows)
    for row in rows:
        if not isinstance(row, list | tuple) or not all(isinstance(name, str) for name in row):
            raise InputError("targets", "a list or set of label names for each image", shown(row))
    written = dict.fromkeys(name for row in rows for name in row)
    if invisible := [name for name in written if not normal_form(name)]:
        raise InputError("targets", "label names with a visible character", ascii(invisible[0]))
    if label_names is None:
        if merged := merged_forms(written):
            warn_of_input(f"label names that look the same count as one: {described_forms(merged)}")
        label_names = sorted({normal_form(name) for name in written})
    names = normal_label_names(label_names, num_labels)
    position = {name: c for c, name in enumerate(names)}
    if unknown := [name for name in written if normal_form(name) not in position]:
        raise InputError("targets", "labels in label_names", repr(unknown[0]))
    ids = {name: position[normal_form(name)] for name in written}
    return NamedTargets([sorted({ids[name] for name in row}) for row in rows], len(names), names)

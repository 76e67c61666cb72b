"""Super-categories of labels: from a CSV file, or those of COCO and VOC."""

import csv
from collections.abc import Sequence
from pathlib import Path

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.text import normal_form

COLUMNS = ("label", "group")

Groups = tuple[str | None, ...]


def groups_of(label_names: Sequence[str], path: Path | None) -> Groups | None:
    """Returns the group of each label; None for a label without one, and None if no label has one.

    Args:
        label_names: C names.
        path: a CSV file, see :func:`read_groups`; default: the super-categories of COCO or VOC.

    Raises:
        InputError: if the file is not valid, or has none of the labels.
    """
    if path is not None:
        table = read_groups(path)
        found: Groups = tuple(table.get(normal_form(name)) for name in label_names)
        if not any(found):
            raise InputError("groups", "a group for some of the labels", f"none for {label_names[0]!r} … in {path}")
        return found
    from mlgcn_pyg.datasets.super_categories import super_categories

    found = super_categories(label_names)
    return found if any(found) else None


def read_groups(path: Path) -> dict[str, str]:
    """Returns {label: group} of a CSV file in UTF-8 with the columns ``label`` and ``group``.

    Further columns are ignored. A label whose group is empty has none.

    Raises:
        InputError: if the file does not have this form, or a label twice.
    """
    try:
        with open(existing_file("groups", path), encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = reader.fieldnames or ()
            if not set(COLUMNS) <= set(names):
                raise InputError("groups", "CSV with the columns label and group", f"{', '.join(names)!r} in {path}")
            rows = [(normal_form(row["label"] or ""), normal_form(row["group"] or "")) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("groups", "CSV in UTF-8", f"{path} ({first_line(error)})") from error
    table: dict[str, str] = {}
    for label, group in rows:
        if label in table:
            raise InputError("groups", "each label once", f"{label!r} twice in {path}")
        table[label] = group
    return {label: group for label, group in table.items() if group}

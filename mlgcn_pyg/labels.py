"""Checks of label names, and of whether two parts of a run have the same labels."""

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral
from typing import Any

from mlgcn_pyg.checks import check_text
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.text import described_forms, merged_forms, normal_form
from mlgcn_pyg.values import shown


def check_label_names(names: Sequence[str] | None, num_labels: int | None = None) -> tuple[str, ...]:
    """Returns label names as a tuple of C unique strings.

    Args:
        names: the names. None means the numbers 0…C−1, which requires ``num_labels``.
        num_labels: the required number of names C. Default: any.

    Raises:
        InputError: if the number of names is not C, if a name is not a string, or if two names are equal.
    """
    if names is None and num_labels is not None:
        return tuple(str(i) for i in range(num_labels))
    if not isinstance(names, Iterable) or getattr(names, "shape", None) == ():
        raise InputError("label_names", "a sequence of strings", shown(names))
    names = tuple(names)
    if num_labels is not None and len(names) != num_labels:
        raise InputError("label_names", f"{num_labels} names, one per label", f"{len(names)}")
    for name in names:
        if not isinstance(name, str):
            raise InputError("label_names", "strings", f"{name!r} ({type(name).__name__})")
        check_text("label_names", name)
    if len(set(names)) != len(names):
        repeated = Counter(names).most_common(1)[0][0]
        raise InputError("label_names", "unique names", f"{repeated!r} twice")
    return names


def normal_label_names(names: Sequence[str] | None, num_labels: int | None = None) -> tuple[str, ...]:
    """Returns label names in their normal form (:func:`~mlgcn_pyg.text.normal_form`), as a tuple of C unique strings.

    Args:
        names: the names. None means the numbers 0…C−1, which requires ``num_labels``.
        num_labels: the required number of names C. Default: any.

    Raises:
        InputError: in the cases of :func:`check_label_names`; if names have the same normal form; if a name has only
            invisible characters.

    >>> normal_label_names(["traffic  light", " cat "])
    ('traffic light', 'cat')
    """
    names = check_label_names(names, num_labels)
    forms = tuple(normal_form(name) for name in names)
    if len(set(forms)) != len(forms):
        raise InputError("label_names", "names that look different", described_forms(merged_forms(names)))
    if "" in forms and names[forms.index("")]:
        raise InputError("label_names", "names with a visible character", ascii(names[forms.index("")]))
    return forms


def label_row(argument: str, label: Any, label_names: Sequence[str]) -> int:
    """Returns the row of a label, which is given by its name or its row.

    Args:
        argument: the name of the argument in the error message.
        label: a name, in any of its spellings with the same normal form, or a number in 0…C−1.
        label_names: the C names.

    Raises:
        InputError: if there is no such label; the message lists names with a similar spelling.

    >>> label_row("label", "dog", ["cat", "dog"])
    1
    """
    if isinstance(label, Integral) and not isinstance(label, bool):
        if 0 <= int(label) < len(label_names):
            return int(label)
        raise InputError(argument, f"a row in 0…{len(label_names) - 1}, or the name of a label", label)
    if not isinstance(label, str):
        raise InputError(argument, "the name of a label", shown(label))
    for name in (label, normal_form(label)):
        if name in label_names:
            return label_names.index(name)
    near = get_close_matches(label, label_names, 5) or label_names[:5]
    more = f" … ({len(label_names)} labels)" if near is not label_names and len(label_names) > len(near) else ""
    raise InputError(argument, "the name of a label", repr(label), f"such as {', '.join(map(repr, near))}{more}")


def label_rows(argument: str, labels: Any, label_names: Sequence[str]) -> list[int]:
    """Returns the rows of labels (:func:`label_row`), without duplicates.

    Raises:
        InputError: if there is no label, or an unknown one.

    >>> label_rows("labels", ["dog", 1, "cat"], ["cat", "dog"])
    [1, 0]
    """
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        raise InputError(argument, "a list of names of labels", shown(labels))
    if not labels:
        raise InputError(argument, "at least one label", "none")
    return list(dict.fromkeys(label_row(argument, label, label_names) for label in labels))


def check_same_labels(argument: str, names: Sequence[str], expected: Sequence[str], where: str) -> None:
    """Checks that two lists of labels are equal, in the same order.

    Args:
        argument: the name of the argument with the labels ``names``, for the error message.
        names: the labels of the argument.
        expected: the labels that it must have.
        where: the object that has the expected labels, such as ``"the graph"``, for the error message.

    Raises:
        InputError: if the labels differ; the message states how.
    """
    names, expected = list(names), list(expected)
    if names == expected:
        return
    # files of earlier versions hold names as they were written
    names, expected = [normal_form(name) for name in names], [normal_form(name) for name in expected]
    if names == expected:
        return
    if len(names) != len(expected):
        found = f"{len(names)} labels"
    elif sorted(names) == sorted(expected):
        found = "the same labels in a different order"
    else:
        k = next(k for k, (a, b) in enumerate(zip(names, expected, strict=True)) if a != b)
        found = f"{names[k]!r} instead of {expected[k]!r} as label {k}"
    raise InputError(argument, f"the {len(expected)} labels of {where}", found, fix="build both from the same data set")

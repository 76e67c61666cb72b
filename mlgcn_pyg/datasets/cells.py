"""Cells of a table: label names, which may be a printed list, and marks of presence."""

import ast
import json
import re
import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlgcn_pyg.errors import InputError

BRACKETS = ("[]", "()", "{}")
EMPTY = {"[]", "()", "{}", "set()"}
BOOLEANS = {"true": 1, "false": 0}
TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
# an item of a list that Python or NumPy printed, and what follows it; NumPy 2 writes np.str_('sea')
ITEM = re.compile(
    rf"(?:np\.str_\((?P<inner>{TEXT})\)|(?P<text>{TEXT})|(?P<bare>-?\d+(?:\.\d+)?|None|nan))(?P<gap>[\s,]*)", re.DOTALL
)


def names_of(cell: str, separator: str) -> list[str]:
    """Returns the label names in a cell: the items of a printed list, else the texts between separators.

    Args:
        cell: text, such as ``sea;person``, or a list as Python, NumPy or JSON prints it, such as ``['sea', 'person']``.
        separator: the text between names.

    Raises:
        InputError: (argument ``labels_column``) if the cell is in square brackets, holds several values, and is not a
            list of numbers and of names in quotation marks.

    >>> names_of("sea; person", ";"), names_of("['sea', 'tall ship']", ";"), names_of('["sea", 7]', ";")
    (['sea', 'person'], ['sea', 'tall ship'], ['sea', '7'])
    """
    listed = printed_list(cell)
    if listed is not None:
        return [name for name in listed if name.strip()]
    if cell.startswith("[") and cell.endswith("]") and any(mark in cell for mark in (separator, ",", "'", '"')):
        expected = "names in quotation marks in a printed list"
        raise InputError("labels_column", expected, f"{cell!r:.80}", f"or write names with {separator!r} between them")
    return [name.strip() for name in cell.split(separator) if name.strip()]


def printed_list(cell: str) -> list[str] | None:
    """Returns the items of a printed list as text, without gaps (None, NaN), or None if the text is not a list.

    In parentheses and braces, the items must be in quotation marks, because ``(left)`` may be a name.

    >>> printed_list("['sea' 'person']"), printed_list("[]"), printed_list("sea")
    (['sea', 'person'], [], None)
    """
    if cell in EMPTY:
        return []
    if cell[:1] + cell[-1:] not in BRACKETS:
        return None
    items = _json_items(cell) if cell[0] == "[" else None
    return _printed_items(cell) if items is None else items


def _json_items(cell: str) -> list[str] | None:
    try:
        items = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    if any(isinstance(item, (list, dict)) for item in items):
        return None
    gaps = (item is None or item != item for item in items)
    return [_as_text(item) for item, is_gap in zip(items, gaps, strict=True) if not is_gap]


def _as_text(item: object) -> str:
    return str(int(item)) if isinstance(item, float) and item.is_integer() else str(item)


def _printed_items(cell: str) -> list[str] | None:
    inner = cell[1:-1].strip()
    items: list[str] = []
    position = 0
    while position < len(inner):
        match = ITEM.match(inner, position)
        if match is None or (match["bare"] and cell[0] != "["):
            return None
        items += _value(match)
        position = match.end()
        if match["gap"].count(",") > 1 or (not match["gap"] and position < len(inner)):
            return None
    return items


def _value(match: re.Match[str]) -> list[str]:
    if bare := match["bare"]:
        return [] if bare in ("None", "nan") else [bare]
    text = match["inner"] or match["text"]
    if "\\" not in text:
        return [text[1:-1]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unknown escapes stay as they are
        try:
            return [ast.literal_eval(text)]
        except (ValueError, SyntaxError):  # an incomplete \x or \N
            return [text[1:-1]]


def marks_of(column: pd.Series) -> npt.NDArray[np.float64]:
    """Returns the cells of a label column as 1, 0 and −1, and NaN for any other cell.

    ``True`` and ``False`` count as 1 and 0, also as text in upper or lower case.

    >>> marks_of(pd.Series(["1", "True", "FALSE", "-1", "", "yes"])).tolist()
    [1.0, 1.0, 0.0, -1.0, nan, nan]
    """
    values = _numbers(column)
    if np.isnan(values).any():
        values = _numbers(column.astype(object).map(lambda cell: BOOLEANS.get(str(cell).strip().lower(), cell)))
    return np.where(np.isin(values, (1, 0, -1)), values, np.nan)


def _numbers(column: pd.Series) -> npt.NDArray[np.float64]:
    try:
        numbers = pd.to_numeric(column, errors="coerce")
    except TypeError:  # lists in some cells
        numbers = pd.to_numeric(column.map(str), errors="coerce")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)

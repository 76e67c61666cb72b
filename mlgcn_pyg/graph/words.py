"""Splits the names of labels into words."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlgcn_pyg.checks import check_text
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.text import normal_form

# label names of VOC that word-vector files do not contain, and the words to look up instead
ALIASES: dict[str, str] = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}

SEPARATORS = re.compile(r"[\s_\-/]+")


def label_words(name: str, aliases: Mapping[str, str] = ALIASES) -> list[str]:
    """Returns the words of a label's name, split at whitespace, ``_``, ``-`` and ``/``, in their normal form.

    Args:
        name: the label's name; it is converted to lower case, as in GloVe's vocabulary.
        aliases: maps a label name, as it is or in lower case, to words. They are split at blanks only, and their case
            is kept, so that a word may be a phrase such as ``New_York``, ``x-ray`` or ``/c/en/dog``.

    >>> label_words("Traffic_light"), label_words("pottedplant"), label_words("tv", {"tv": "TV-set"})
    (['traffic', 'light'], ['potted', 'plant'], ['TV-set'])
    """
    name = normal_form(name)
    words = aliases.get(name, aliases.get(name.lower()))
    if words is not None:
        return normal_form(words).split()
    return [word for word in SEPARATORS.split(normal_form(name.lower())) if word]


def words_of_labels(names: Sequence[str], aliases: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the words of each label (:func:`label_words`).

    Raises:
        InputError: if there is no name, or one without a word.

    >>> words_of_labels(["Traffic_light"], {})
    {'Traffic_light': ['traffic', 'light']}
    """
    if not names:
        raise InputError("label_names", "at least one name", "none")
    words = {name: label_words(name, aliases) for name in names}
    if empty := [name for name, parts in words.items() if not parts]:
        raise InputError("label_names", "names with at least one word", repr(empty[0]))
    return words


def normal_aliases(aliases: Mapping[str, str]) -> dict[str, str]:
    """Returns aliases with the names of the labels and their words in their normal form.

    Raises:
        InputError: if ``aliases`` is not a dict of strings, or contains a label in two forms with different words.

    >>> normal_aliases({"New\u00a0York": "New_York"})
    {'New York': 'New_York'}
    """
    if not isinstance(aliases, Mapping):
        raise InputError("aliases", "a dict from label names to words", type(aliases).__name__)
    normal: dict[str, str] = {}
    for name, words in aliases.items():
        form, words = normal_form(check_text("aliases", name)), normal_form(check_text("aliases", words))
        if normal.setdefault(form, words) != words:
            raise InputError("aliases", "each label once", f"{form!r} as {normal[form]!r} and {words!r}")
    return normal


def read_aliases(path: str | Path) -> dict[str, str]:
    """Reads a table of label names and their words.

    Args:
        path: a ``.json`` file with one object, ``{"tvmonitor": "tv monitor"}``; any other file is read as CSV in UTF-8
            with the columns ``label`` and ``words``.

    Returns:
        A dict from label names to words.

    Raises:
        InputError: if the file is missing or has neither form; if a label occurs twice; if a label or its words are
            empty.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "aliases.csv")
    >>> _ = file.write_text("label,words\\ntvmonitor,tv monitor\\n")
    >>> read_aliases(file)
    {'tvmonitor': 'tv monitor'}
    """
    path = existing_file("path", path)
    try:
        pairs = _json_pairs(path) if path.suffix.lower() == ".json" else _csv_pairs(path)
    except (ValueError, RecursionError, csv.Error) as error:  # errors of json and of text decoding are ValueErrors
        expected = 'a JSON object {"label": "words"} or CSV with the columns label and words'
        raise InputError("path", expected, f"{path} ({first_line(error)})") from error
    table: dict[str, str] = {}
    for label, words in pairs:
        name = normal_form(label)
        if not (isinstance(words, str) and name and normal_form(words)):
            raise InputError("path", "a label and its words", f"{label!r}: {words!r} in {path}")
        if name in table:
            raise InputError("path", "each label once", f"{name!r} twice in {path}")
        table[name] = normal_form(words)
    return table


def _json_pairs(path: Path) -> list[tuple[str, object]]:
    # with this hook, objects become lists of pairs, which keep a label that occurs twice
    text = path.read_text(encoding="utf-8-sig")
    pairs = json.loads(text, object_pairs_hook=list)
    if not text.lstrip().startswith("{"):
        raise ValueError("not a JSON object")
    return pairs


def _csv_pairs(path: Path) -> list[tuple[str, str | None]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or [name.strip().lower() for name in rows[0]] != ["label", "words"]:
        raise ValueError(f"first line {','.join(rows[0]) if rows else ''!r}")
    return [(row[0], row[1] if len(row) == 2 else None) for row in rows[1:] if row]

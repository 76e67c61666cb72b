"""The words that a label's name is made of."""

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import existing_file

# VOC's and COCO's label names that are no words of a word-vector file, and what they mean.
ALIASES: dict[str, str] = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}

SEPARATORS = re.compile(r"[\s_\-/]+")


def label_words(name: str, aliases: Mapping[str, str] = ALIASES) -> list[str]:
    """The words of a label name, split at spaces, ``_``, ``-`` and ``/``.

    A name is looked up in lower case, as GloVe's words are; an alias is taken as it is written.

    >>> label_words("Traffic_light"), label_words("pottedplant"), label_words("tv", {"tv": "TV"})
    (['traffic', 'light'], ['potted', 'plant'], ['TV'])
    """
    words = aliases.get(name, aliases.get(name.lower(), name.lower()))
    return [word for word in SEPARATORS.split(words) if word]


def read_aliases(path: str | Path) -> dict[str, str]:
    """A table of label names and their words, from a file.

    A ``.json`` file holds one object, ``{"tvmonitor": "tv monitor"}``; any other file is CSV in UTF-8 with the
    columns ``label`` and ``words``.

    Raises InputError for a file that is neither, a label listed twice, or an empty label or words.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "aliases.csv")
    >>> _ = file.write_text("label,words\\ntvmonitor,tv monitor\\n")
    >>> read_aliases(file)
    {'tvmonitor': 'tv monitor'}
    """
    path = existing_file("path", path)
    try:
        pairs = _json_pairs(path) if path.suffix.lower() == ".json" else _csv_pairs(path)
    except (ValueError, csv.Error) as error:  # json's and Unicode's errors are ValueErrors
        expected = 'a JSON object {"label": "words"} or CSV with the columns label and words'
        raise InputError("path", expected, f"{path} ({first_line(error)})") from error
    table = {}
    for label, words in pairs:
        if not (isinstance(words, str) and label.strip() and words.strip()):
            raise InputError("path", "a label and its words", f"{label!r}: {words!r} in {path}")
        if label.strip() in table:
            raise InputError("path", "each label once", f"{label.strip()!r} twice in {path}")
        table[label.strip()] = words.strip()
    return table


def _json_pairs(path: Path) -> list[tuple[str, object]]:
    # the hook sees an object's pairs before a label listed twice is lost; inner objects become lists, no words
    text = path.read_text(encoding="utf-8-sig")
    pairs = json.loads(text, object_pairs_hook=list)
    if not text.lstrip().startswith("{"):
        raise ValueError("no object")
    return pairs


def _csv_pairs(path: Path) -> list[tuple[str, str | None]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or [name.strip().lower() for name in rows[0]] != ["label", "words"]:
        raise ValueError(f"first line {','.join(rows[0]) if rows else ''!r}")
    return [(row[0], row[1] if len(row) == 2 else None) for row in rows[1:] if row]

"""A page in Markdown about a study: the verdict, the contenders, the comparisons, the figures and the settings."""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlgcn_pyg.errors import InputError, printable_line
from mlgcn_pyg.files.atomic import write_text
from mlgcn_pyg.report.text_tables import DASH, Column, TextTable, markdown_table

Values = Mapping[str, Any]
PARTS = ("setup", "contenders", "comparisons", "verdict")
SOURCES = {"images": "over images", "splits": "over splits", "joint": "over both"}
PRIMARY = (
    "These comparisons were named before the study. Differences are in mAP, in points, with 95 % intervals. "
    "The p values are corrected by Holm's method for the number of comparisons on the same training data."
)
EXPLORATORY = (
    "These comparisons were not named before the study, and their p values are not corrected for their number. A small "
    "p value is expected now and then if there is no difference."
)
GROUPS = (
    "The differences of the primary comparisons on parts of the labels and images. "
    "They are exploratory and not corrected for their number."
)


def study_page(
    study: Values,
    path: str | Path,
    *,
    title: str,
    figures: Mapping[str, str | Path] | None = None,
    tables: Sequence[TextTable] = (),
    commands: Sequence[str] = (),
) -> str:
    """Writes a page about a study, atomically, and returns its text.

    Args:
        study: the results, as in ``study.json``. Metrics are fractions; numbers that are undefined are None or NaN.

            * ``"verdict"``: sentences.
            * ``"contenders"``: ``{"contender", "condition", "mAP": {"value", "low", "high"}}`` with optional numbers
              ``"splits"``, ``"seconds"`` and ``"num_parameters"``.
            * ``"comparisons"``: ``{"a", "b", "primary", "effect", "adjusted_p", "finding"}`` with optional
              ``"condition"``, ``"groups"`` (name → effect), ``"gained"`` and ``"lost"`` (names of labels). An effect is
              ``{"value", "images": {"low", "high"}, "splits": {"low", "high"}, "p"}`` with an optional ``"joint"``
              like ``"images"``; ``"splits"`` may be None.
            * ``"setup"``: name of a setting → plain value.
        path: the file, such as ``study.md``.
        title: the title.
        figures: caption → file of a figure. The page refers to it relative to its own folder.
        tables: tables that are shown below the comparisons.
        commands: the commands that the study was computed with.

    Raises:
        InputError: if a part of ``study`` is missing.
    """
    missing = [part for part in PARTS if part not in study]
    if missing:
        raise InputError("study", f"the parts {', '.join(PARTS)}", f"no {', '.join(missing)}")
    primary = [found for found in study["comparisons"] if found["primary"]]
    others = [found for found in study["comparisons"] if not found["primary"]]
    sections = {
        "Contenders": [_contenders(study["contenders"])],
        "Primary comparisons": [PRIMARY, _comparisons(primary, "adjusted p"), *_labels(primary)] if primary else [],
        "Exploratory comparisons": [EXPLORATORY, _comparisons(others, "p"), *_labels(others)] if others else [],
        "Groups of labels and images": _groups(primary),
        "The paper beside it": [table.markdown() for table in tables],
        "Figures": [_figure(caption, file, Path(path)) for caption, file in (figures or {}).items()],
        "Commands": [_code(commands)] if commands else [],
        "Settings": [_settings(study["setup"])],
    }
    texts = [f"# {printable_line(title)}", *map(printable_line, study["verdict"])]
    for heading, parts in sections.items():
        texts += [f"## {heading}", *parts] if parts else []
    text = "\n\n".join(texts) + "\n"
    write_text(path, text)
    return text


def _contenders(contenders: Iterable[Values]) -> str:
    """Returns the table of the contenders, one row per condition."""
    contenders = list(contenders)
    names = [Column("contender", is_number=False), Column("training data", is_number=False)]
    columns = [*names, Column("mAP (%)"), Column("95 % interval")]
    optional = {"splits": "splits", "seconds": "seconds per fit", "num_parameters": "parameters"}
    shown = {key: name for key, name in optional.items() if any(key in row for row in contenders)}
    columns += [Column(name) for name in shown.values()]
    rows = []
    for row in contenders:
        mAP = row["mAP"]
        numbers = [_number(row.get(key), ",.1f" if key == "seconds" else ",.0f") for key in shown]
        rows.append([row["contender"], row["condition"], _percent(mAP["value"]), _limits(mAP, _percent), *numbers])
    return markdown_table(columns, rows)


def _comparisons(comparisons: Sequence[Values], p_name: str) -> str:
    """Returns a table of comparisons."""
    kinds = [kind for kind in SOURCES if any(found["effect"].get(kind) for found in comparisons)]
    columns = [Column("comparison", is_number=False), Column("difference")]
    columns += [*(Column(SOURCES[kind]) for kind in kinds), Column(p_name), Column("finding", is_number=False)]
    rows = [
        [name, *_effect(found["effect"], kinds), _p_value(found["adjusted_p"]), found["finding"]]
        for name, found in zip(_names(comparisons), comparisons, strict=True)
    ]
    return markdown_table(columns, rows)


def _labels(comparisons: Sequence[Values]) -> list[str]:
    """Returns the labels that gained and lost, as one list."""
    lines = []
    for name, found in zip(_names(comparisons), comparisons, strict=True):
        parts = [
            f"{words} for {', '.join(map(printable_line, found[key]))}"
            for key, words in (("gained", "higher"), ("lost", "lower"))
            if found.get(key)
        ]
        lines += [f"* AP in {name}: {'; '.join(parts)}"] if parts else []
    return ["\n".join(lines)] if lines else []


def _groups(comparisons: Sequence[Values]) -> list[str]:
    """Returns the effects on parts of the labels and images, as a table with the sentence above it."""
    named = [
        (name, group, effect)
        for name, found in zip(_names(comparisons), comparisons, strict=True)
        for group, effect in (found.get("groups") or {}).items()
    ]
    if not named:
        return []
    kinds = [kind for kind in SOURCES if any(effect.get(kind) for _, _, effect in named)]
    columns = [Column("comparison", is_number=False), Column("group", is_number=False), Column("difference")]
    columns += [Column(SOURCES[kind]) for kind in kinds]
    return [GROUPS, markdown_table(columns, [[name, group, *_effect(effect, kinds)] for name, group, effect in named])]


def _names(comparisons: Sequence[Values]) -> list[str]:
    """Returns what is compared with what, and the training data if they differ."""
    several = len({found.get("condition") for found in comparisons}) > 1
    return [
        printable_line(f"{found['a']} − {found['b']}" + (f" ({found.get('condition')})" if several else ""))
        for found in comparisons
    ]


def _effect(effect: Values, kinds: Sequence[str]) -> list[str]:
    return [_points(effect["value"]), *(_limits(effect.get(kind), _points) for kind in kinds)]


def _figure(caption: str, file: str | Path, page: Path) -> str:
    relative = os.path.relpath(file, page.parent).replace(os.sep, "/")
    caption = printable_line(caption).replace("[", "\\[").replace("]", "\\]")
    return f"![{caption}]({quote(relative)})\n\n*{caption}*"


def _code(commands: Sequence[str]) -> str:
    return "\n".join(["```", *map(printable_line, commands), "```"])


def _settings(setup: Values) -> str:
    columns = [Column("setting", is_number=False), Column("value", is_number=False)]
    values = ((name, value if isinstance(value, str) else json.dumps(value)) for name, value in setup.items())
    return markdown_table(columns, [[name, DASH if value == "null" else value] for name, value in values])


def _percent(fraction: float | None) -> str:
    return _number(None if fraction is None else 100 * fraction, "z.1f")


def _points(difference: float | None) -> str:
    return _number(None if difference is None else 100 * difference, "+z.2f").replace("-", "−")


def _limits(limits: Values | None, show: Callable[[float | None], str]) -> str:
    if limits is None or DASH in (show(limits["low"]), show(limits["high"])):
        return DASH
    return f"[{show(limits['low'])}, {show(limits['high'])}]"


def _p_value(p: float | None) -> str:
    return "< 0.001" if p is not None and p < 0.001 else _number(p, ".3f")


def _number(value: float | None, style: str) -> str:
    return DASH if value is None or math.isnan(value) else format(value, style)

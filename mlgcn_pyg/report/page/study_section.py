"""The section with the results of a study: its verdict, contenders, comparisons and figures."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from mlgcn_pyg.evaluation import Interval
from mlgcn_pyg.html import NONE, Html, element
from mlgcn_pyg.report.page.content import PageContent, StudyContent
from mlgcn_pyg.report.page.dots import dots, scale_of
from mlgcn_pyg.report.page.parts import Cell, Heading, data_table, section, with_interval

Values = Mapping[str, Any]
NAN = float("nan")


def study(content: PageContent) -> Html:
    """Returns the section; empty without a study."""
    found = content.study
    if found is None:
        return Html("")
    sentences = [element("p", line) for line in found.verdict]
    figures = [_figure(caption, picture) for caption, picture in found.figures.items()]
    plots = [
        element(
            "figure", element("div", data_points=place, class_="plot tall needs-script"), element("figcaption", caption)
        )
        for place, caption in enumerate(found.points)
    ]
    return section("study", "Study", *sentences, *study_tables(found), *figures, *plots)


def study_tables(found: StudyContent) -> list[Html]:
    """Returns the tables of the contenders and of the comparisons.

    Raises:
        Exception: of many types, if a row is not as in ``study.json``.
    """
    return [_contenders(found.contenders), _compared(found.comparisons)]


def _contenders(rows: Sequence[Values]) -> Html:
    if not rows:
        return Html("")
    optional = {
        "splits": ("splits", ",.0f"),
        "seconds": ("seconds per fit", ",.1f"),
        "num_parameters": ("parameters", ",.0f"),
    }
    shown = [key for key in optional if any(row.get(key) is not None for row in rows)]
    found = [_interval(row["mAP"]) for row in rows]
    scale = scale_of(found)
    headings = [
        Heading("contender", False),
        Heading("training data", False),
        Heading("mAP"),
        Heading("", False, sortable=False),
    ]
    headings += [Heading(optional[key][0]) for key in shown]
    lines = []
    for row, interval in zip(rows, found, strict=True):
        numbers = [_number(row.get(key), optional[key][1]) for key in shown]
        cells = [Cell(with_interval(interval), interval.value), dots([interval], scale)]
        lines.append([row["contender"], row.get("condition", ""), *cells, *numbers])
    ends = " and ".join(f"{100 * end:.0f}" for end in scale)
    caption = f"mAP of each contender in per cent with its 95 % interval; the lines are drawn between {ends} per cent."
    return data_table(caption, headings, lines, sortable=True)


def _compared(rows: Sequence[Values]) -> Html:
    if not rows:
        return Html("")
    headings = [Heading("comparison", False), Heading("kind", False), Heading("difference"), Heading("p")]
    headings += [Heading("finding", False, sortable=False)]
    lines = []
    for row in rows:
        effect = row["effect"]
        limits = effect.get("joint") or effect.get("images") or effect.get("splits") or {}
        interval = _interval({"value": effect["value"], **{end: limits.get(end) for end in ("low", "high")}})
        name = f"{row['a']} − {row['b']}" + (f" ({row['condition']})" if row.get("condition") else "")
        p = row.get("adjusted_p")
        kind = "primary" if row.get("primary") else "exploratory"
        cells = [Cell(with_interval(interval, "+"), interval.value), Cell(_p_value(p), p)]
        lines.append([name, kind, *cells, row.get("finding", "")])
    caption = (
        "Differences in mAP, in points, with 95 % intervals. Primary comparisons were named before the study; their p "
        "values are corrected for their number."
    )
    return data_table(caption, headings, lines, sortable=True)


def _figure(caption: str, picture: bytes) -> Html:
    data = f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
    return element("figure", element("img", src=data, alt=caption, class_="paper"), element("figcaption", caption))


def _interval(values: Values) -> Interval:
    return Interval(*(NAN if values.get(end) is None else float(values[end]) for end in ("value", "low", "high")))


def _number(value: float | None, style: str) -> Cell:
    return Cell(NONE if value is None else format(value, style), value)


def _p_value(p: float | None) -> str:
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"

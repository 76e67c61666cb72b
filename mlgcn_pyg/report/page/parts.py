"""What the sections of a page consist of: sections, tables that can be sorted, and numbers with their intervals."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlgcn_pyg.evaluation import Interval
from mlgcn_pyg.html import NONE, Html, element, escaped, joined

COLOURS = 6  # of heads, in report.css; more heads repeat them
FIRST = 25  # rows of a long table that are shown at first
PRINTED = 200  # rows of a long table that are printed
LONG = 60  # letters of a name that is also shown when pointed at


@dataclass(frozen=True)
class Heading:
    """The heading of a column.

    Attributes:
        name: the text.
        number: whether the column has numbers, which are aligned at the right and sorted from high to low first.
        sorted: ``"descending"`` or ``"ascending"`` if the rows are in this order at first.
        sortable: whether readers can sort by this column.
    """

    name: object
    number: bool = True
    sorted: str = "none"
    sortable: bool = True


@dataclass(frozen=True)
class Cell:
    """A cell: its content, and the number that it is sorted by. None and NaN come last in either order."""

    content: object
    order: float | None = None


def section(name: str, title: str, *content: object) -> Html:
    """Returns a section of the page with its heading; an empty text without content."""
    if not any(content):
        return Html("")
    return element(
        "section", element("h2", title, id=f"{name}-title"), *content, id=name, aria_labelledby=f"{name}-title"
    )


def note(*content: object) -> Html:
    """Returns a sentence that explains a table or a figure."""
    return element("p", *content, class_="note")


def data_table(
    caption: str,
    headings: Sequence[Heading],
    rows: Iterable[Sequence[object]],
    *,
    name: str = "",
    sortable: bool = False,
) -> Html:
    """Returns a table below its caption. It scrolls sideways where it is too wide.

    Args:
        caption: what the table shows.
        headings: one heading per column; the first column has the headings of the rows.
        rows: the cells of each row, :class:`Cell` or content.
        name: the id of the table, for its filter; default: none.
        sortable: whether readers can sort it. Without scripts, it stays in the order of ``rows``.
    """
    body = [_row(headings, row) for row in rows]
    titles = joined(_heading(heading, sortable) for heading in headings)
    long = len(body) > FIRST
    head = element("caption", caption, class_="hidden"), element("thead", element("tr", titles))
    found = element(
        "table", *head, element("tbody", *body),
        id=name or None, data_sortable="" if sortable else None, data_first=FIRST if long else None,
        data_printed="" if len(body) <= PRINTED else None,
    )  # fmt: skip
    shown = element("p", caption, class_="note caption", aria_hidden="true")  # stays in place when the table scrolls
    region = {"role": "region", "tabindex": 0, "aria_label": caption.split(". ")[0]}
    return joined([shown, element("div", found, class_="wide", **region)])


def swatch(head: int) -> Html:
    """Returns a small mark in the colour of a head, beside its name."""
    return element("span", class_=f"swatch head{head % COLOURS}", aria_hidden="true")


def head_name(head: int, name: str) -> Html:
    """Returns the name of a head with the mark in its colour."""
    return element("span", Html(f"{swatch(head)} {escaped(name)}"), class_="named")


def percent(fraction: float | None, sign: str = "") -> str:
    """Returns a fraction in per cent with one decimal; a dash for None and NaN.

    >>> percent(0.744), percent(-0.012, "+"), percent(float("nan"))
    ('74.4', '−1.2', '–')
    """
    if fraction is None or math.isnan(fraction):
        return NONE
    return f"{100 * fraction:{sign}z.1f}".replace("-", "−")


def probability(value: float | None) -> str:
    """Returns P with two decimals, such that only 0 and 1 themselves are shown as 0 and 1.

    >>> probability(0.5), probability(1.0), probability(0.9999), probability(0.001), probability(None)
    ('0.50', '1', '> 0.99', '< 0.01', '–')
    """
    if value is None or math.isnan(value):
        return NONE
    if value in (0, 1):
        return str(int(value))
    return "> 0.99" if value >= 0.995 else "< 0.01" if value < 0.005 else f"{value:.2f}"


def with_interval(interval: Interval, sign: str = "") -> Html:
    """Returns a number in per cent, followed by its interval in small type where it is known."""
    shown = escaped(percent(interval.value, sign))
    if math.isnan(interval.low) or math.isnan(interval.high):
        return shown
    between = " to " if sign else "–"
    limits = f"{percent(interval.low, sign)}{between}{percent(interval.high, sign)}"
    return Html(f"{shown} {element('span', limits, class_='interval')}")


def images(count: int) -> str:
    """Returns a number of images in words.

    >>> images(1), images(5000)
    ('1 image', '5,000 images')
    """
    return f"{count:,} image" + ("" if count == 1 else "s")


def label(name: object) -> Html:
    """Returns the name of a label, which keeps the direction of its own script. Tables cut off very long names."""
    return element("bdi", name, title=name if len(str(name)) > LONG else None)


def _heading(heading: Heading, sortable: bool) -> Html:
    kind = "number" if heading.number else None
    if not (sortable and heading.sortable):
        return element("th", heading.name, scope="col", class_=kind)
    button = element("button", heading.name, type="button")
    return element("th", button, scope="col", class_=kind, aria_sort=heading.sorted)


def _row(headings: Sequence[Heading], row: Sequence[object]) -> Html:
    cells = []
    for column, (heading, value) in enumerate(zip(headings, row, strict=True)):
        cell = value if isinstance(value, Cell) else Cell(value)
        order = None if cell.order is None or math.isnan(cell.order) else f"{cell.order:.9g}"
        kind = "number" if heading.number else None
        if column:
            cells.append(element("td", cell.content, class_=kind, data_order=order))
        else:
            cells.append(element("th", cell.content, scope="row", data_order=order))
    return element("tr", *cells)

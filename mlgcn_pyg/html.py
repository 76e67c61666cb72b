"""HTML for notebooks and report pages: escaped text, elements and tables."""

import html
import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real

from mlgcn_pyg.errors import printable_line

NONE = "–"  # of a cell without a value
VOID = {"img", "input"}  # elements that have no end


class Html(str):
    """Text that is HTML already. All other text is escaped where it becomes HTML."""

    __slots__ = ()


def escaped(text: object) -> Html:
    """Returns text as HTML, on one line, without control characters and without lone surrogates.

    Args:
        text: any object, of which ``str()`` is taken; :class:`Html` is returned unchanged.

    >>> escaped("<script>&'\\x1b"), escaped(Html("<b>a</b>"))
    ('&lt;script&gt;&amp;&#x27;\\\\x1b', '<b>a</b>')
    """
    return text if isinstance(text, Html) else Html(html.escape(printable_line(text)))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Returns parts, each escaped, with ``between`` (escaped) between them.

    >>> joined([Html("<b>a</b>"), "<i>"], " ")
    '<b>a</b> &lt;i&gt;'
    """
    return Html(html.escape(between).join(map(escaped, parts)))


def element(tag: str, *content: object, **attributes: object) -> Html:
    """Returns an HTML element with escaped content.

    Args:
        tag: the name of the element.
        content: what it contains; :class:`Html` is inserted unchanged.
        attributes: its attributes; ``class_`` stands for ``class``, and ``_`` for ``-``. None leaves an attribute out.

    >>> element("td", "a < b", class_="name", data_row=3, title=None)
    '<td class="name" data-row="3">a &lt; b</td>'
    """
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    opened = "".join(f' {name}="{escaped(str(value))}"' for name, value in named.items())
    return Html(f"<{tag}{opened}>" if tag in VOID else f"<{tag}{opened}>{joined(content)}</{tag}>")


def table(
    header: Sequence[object], rows: Iterable[Sequence[object]], *, caption: object = "", decimals: int = 3
) -> Html:
    """Returns a table. Cells with numbers are right-aligned; all other cells are text of any script and direction.

    Args:
        header: the names of the columns.
        rows: the cells of each row: text, numbers, :class:`Html`, or None for a cell without a value.
        caption: the title above the table; default: none.
        decimals: the decimals of numbers that are not integers.

    >>> table(["label", "P"], [["<b>", 0.51]], decimals=1)
    '<table><thead><tr><th scope="col">label</th><th scope="col">P</th></tr></thead><tbody><tr><td
    dir="auto" style="text-align:left">&lt;b&gt;</td><td style="text-align:right">0.5</td></tr></tbody></table>'
    """
    titles = joined(element("th", title, scope="col") for title in header)
    body = joined(element("tr", joined(_cell(cell, decimals) for cell in row)) for row in rows)
    title = [element("caption", caption, style="text-align:left")] if caption else []
    return element("table", *title, element("thead", element("tr", titles)), element("tbody", body))


def number(value: float | None, decimals: int = 3) -> str:
    """Formats a number with a fixed number of decimals; integers have none, and None and NaN are dashes.

    >>> number(0.5), number(12), number(None), number(-0.25, 1)
    ('0.500', '12', '–', '−0.2')
    """
    if value is None or math.isnan(value):
        return NONE
    text = str(value) if isinstance(value, Integral) else f"{float(value):.{decimals}f}"
    return text.replace("-", "−")


def _cell(cell: object, decimals: int) -> Html:
    if cell is None or (isinstance(cell, Real) and not isinstance(cell, bool)):
        value = int(cell) if isinstance(cell, Integral) else None if cell is None else float(cell)
        return element("td", number(value, decimals), style="text-align:right")
    return element("td", cell, dir="auto", style="text-align:left")

"""Values with their intervals as dots on a common scale, as small SVG pictures within the rows of a table."""

import math
from collections.abc import Sequence

from mlgcn_pyg.evaluation import Interval
from mlgcn_pyg.html import Html, element
from mlgcn_pyg.report.page.parts import COLOURS

WIDTH = 150
STEP = 7  # pixels between heads
EDGE = 5  # pixels left and right of the scale, so that dots at its ends are complete


def dots(found: Sequence[Interval], scale: tuple[float, float], first: int = 0) -> Html:
    """Returns one dot and one line per head, from top to bottom. The numbers beside them say the same in text.

    Args:
        found: an interval per head; NaN draws nothing.
        scale: the values at the left and right end.
        first: the number of the first head, for its colour.
    """
    height = STEP * len(found) + 9
    marks = [_grid(height, at) for at in (0.0, 0.5, 1.0)]
    for place, interval in enumerate(found):
        if not math.isnan(interval.value):
            y = STEP * place + (height - STEP * (len(found) - 1)) / 2
            marks.append(_mark(interval, scale, y, first + place))
    size = {"viewBox": f"0 0 {WIDTH} {height:g}", "width": WIDTH, "height": f"{height:g}"}
    return element("svg", *marks, **size, class_="dots", aria_hidden="true")


def scale_of(found: Sequence[Interval]) -> tuple[float, float]:
    """Returns the ends of a scale for intervals, in whole per cent.

    >>> scale_of([Interval(0.634, 0.621, 0.648)])
    (0.62, 0.65)
    """
    ends = [end for interval in found for end in (interval.low, interval.value, interval.high) if not math.isnan(end)]
    if not ends:
        return 0.0, 1.0
    low, high = math.floor(100 * min(ends)), math.ceil(100 * max(ends))
    return max(low, 0) / 100, min(max(high, low + 1), 100) / 100


def _mark(interval: Interval, scale: tuple[float, float], y: float, head: int) -> Html:
    low, value, high = (_place(end, scale) for end in (interval.low, interval.value, interval.high))
    line = Html("")
    if not math.isnan(low) and not math.isnan(high):
        line = element("line", x1=f"{low:.1f}", x2=f"{high:.1f}", y1=f"{y:g}", y2=f"{y:g}")
    return element("g", line, element("circle", cx=f"{value:.1f}", cy=f"{y:g}", r=3), class_=f"head{head % COLOURS}")


def _grid(height: float, at: float) -> Html:
    x = f"{EDGE + at * (WIDTH - 2 * EDGE):g}"
    return element("line", x1=x, x2=x, y1=0, y2=f"{height:g}", class_="grid")


def _place(value: float, scale: tuple[float, float]) -> float:
    low, high = scale
    share = (value - low) / (high - low)
    return EDGE + min(max(share, 0.0), 1.0) * (WIDTH - 2 * EDGE) if not math.isnan(value) else math.nan

"""The table of metrics with their intervals, and sentences about the labels that gained and lost."""

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from mlgcn_pyg.evaluation import Interval, MetricDifferences, MetricIntervals

MOST = 8  # labels that a sentence names


def interval_table(
    intervals: Mapping[str, MetricIntervals], differences: Mapping[str, MetricDifferences], level: float
) -> Table:
    """Returns a table of mAP and OF1 in per cent, with one row per head.

    Args:
        intervals: head → its metrics.
        differences: head → its differences to the first head; heads without an entry get empty cells.
        level: the level of the intervals, for the title.
    """
    title = f"{100 * level:g} % bootstrap intervals over the images"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, title_justify="left")
    table.add_column("head", no_wrap=True)
    compared = ("mAP − first", "OF1 − first") if differences else ()
    for name in ("mAP", "OF1", *compared):
        table.add_column(name, justify="right", no_wrap=True)
    for head, metrics in intervals.items():
        cells = [with_limits(metrics.mAP), with_limits(metrics.OF1)]
        if head in differences:
            cells += [with_limits(change, "+") for change in (differences[head].mAP, differences[head].OF1)]
        table.add_row(head, *cells)
    table.caption = "in per cent"
    if differences:
        table.caption += f"; differences to {next(iter(intervals))} are paired over the images"
    table.caption_justify = "left"
    return table


def with_limits(interval: Interval, sign: str = "") -> str:
    """Formats an interval in per cent with one decimal.

    Args:
        interval: the interval, as fractions.
        sign: ``"+"`` shows the sign of positive numbers.

    >>> with_limits(Interval(0.744, 0.701, 0.788)), with_limits(Interval(0.012, -0.003, 0.027), "+")
    ('74.4 [70.1, 78.8]', '+1.2 [-0.3, +2.7]')
    >>> with_limits(Interval(0.0, -0.0004, 0.0004))  # no -0.0
    '0.0 [0.0, 0.0]'
    """
    value, low, high = (
        "–" if math.isnan(number) else f"{100 * number:{sign}z.1f}"
        for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def changed_labels(differences: MetricDifferences, label_names: Sequence[str], head: str, other: str) -> str:
    """Returns a sentence that names the labels whose AP differs between two heads; empty if there are none.

    >>> equal = MetricDifferences(mAP=None, OF1=None, AP=(), gained=(0, 1), lost=())
    >>> changed_labels(equal, ["cat", "dog"], "mlgcn", "linear")
    'AP of mlgcn against linear: higher for cat, dog'
    """
    parts = [("higher", differences.gained), ("lower", differences.lost)]
    named = [f"{word} for {_listed([label_names[c] for c in labels])}" for word, labels in parts if labels]
    return f"AP of {head} against {other}: {'; '.join(named)}" if named else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more

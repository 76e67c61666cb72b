"""Axes in the style of the figures of a study: colours, bands of intervals, and names beside the lines."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlgcn_pyg.errors import printable_line
from mlgcn_pyg.evaluation import Interval
from mlgcn_pyg.report.figures import INK, QUIET, check_libraries, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which people with any colour vision can tell apart, without their yellow
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#22303c")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")
GRID, NOTE = "#e6eaed", "#5b6a76"
NAME_SIZE = 9  # points


def study_axes(path: str | Path | None, ax: "Axes | None", width: float = 6.4, height: float = 4.0) -> "Axes":
    """Returns the given axes, or those of a new figure, after checking the ending of ``path``."""
    check_libraries(path)
    axes = new_figure(width, height).subplots() if ax is None else ax
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=INK, labelsize=NAME_SIZE, length=3)
    axes.set_axisbelow(True)
    return axes


def look(k: int) -> dict[str, Any]:
    """Returns the colour, marker and dashes of the k-th line; no two of 28 lines look the same."""
    return {
        "color": COLOURS[k % len(COLOURS)],
        "marker": MARKERS[k % len(MARKERS)],
        "linestyle": DASHES[k // len(COLOURS) % len(DASHES)],
    }


def draw_curve(axes: "Axes", points: Mapping[float, Interval], k: int, shade: float = 0.15) -> None:
    """Draws means in per cent as the k-th line, and their intervals as a band with the opacity ``shade``.

    A mean that is not defined is left out of the line.
    """
    defined = {x: point for x, point in points.items() if np.isfinite(point.value)}
    places = list(defined)
    style = look(k)
    axes.plot(places, percents(point.value for point in defined.values()), **style, markersize=5, zorder=3)
    low, high = (percents(getattr(point, end) for point in defined.values()) for end in ("low", "high"))
    axes.fill_between(places, low, high, color=style["color"], alpha=shade, linewidth=0, zorder=2)


def percents(fractions: Iterable[float]) -> np.ndarray:
    """Returns fractions in per cent, as an array."""
    return 100 * np.array(list(fractions), dtype=float)


def name_lines(axes: "Axes", ends: Mapping[str, tuple[float, float]], colours: Sequence[str]) -> None:
    """Writes the name of each line to the right of the axes, moved apart where names would overlap.

    Args:
        axes: the axes, with their final limits.
        ends: name → the last point of its line.
        colours: the colours of the names.
    """
    figure, (bottom, top) = axes.figure, axes.get_ylim()
    figure.draw_without_rendering()  # type: ignore[union-attr]  # no SubFigure; the layout decides where names fit
    points = 72 * axes.get_window_extent().height / figure.dpi
    gap = 1.4 * NAME_SIZE / points * (top - bottom)
    order = sorted(ends, key=lambda name: ends[name][1])
    heights = spread([ends[name][1] for name in order], gap)
    colour = dict(zip(ends, colours, strict=True))
    leader = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5)}
    for name, height in zip(order, heights, strict=True):
        axes.annotate(
            printable_line(name),
            ends[name],
            xytext=(1.04, height),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=NAME_SIZE,
            color=colour[name],
            parse_math=False,
            annotation_clip=False,
            arrowprops=leader | {"color": colour[name]},
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Returns ascending heights that are at least ``gap`` apart, with the smallest sum of squared moves.

    >>> spread([0.0, 0.0, 5.0], 1.0)
    [-0.5, 0.5, 5.0]
    """
    blocks: list[list[float]] = []  # the wishes of a block for the height of its first member
    for k, height in enumerate(heights):
        blocks.append([height - k * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    levels = [float(np.mean(block)) for block in blocks for _ in block]
    return [level + k * gap for k, level in enumerate(levels)]


def style_percents(axes: "Axes", metric: str = "mAP") -> None:
    """Labels the vertical axis with a metric in per cent, and draws horizontal grid lines."""
    axes.set_ylabel(f"{metric} (%)", color=INK, fontsize=NAME_SIZE + 1)
    axes.grid(axis="y", color=GRID)


def title(axes: "Axes", text: str, below: str, *, above: float = 8) -> None:
    """Writes a title at the left, with a smaller line below it that is ``above`` points above the axes."""
    axes.set_title(text, loc="left", fontsize=11, color=INK, pad=above + 14)
    note(axes, below, (0, 1), (0, above))


def note(axes: "Axes", text: str, place: tuple[float, float], offset: tuple[float, float], **style: Any) -> None:
    """Writes small grey text, ``offset`` points from a place in fractions of the axes."""
    defaults: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "fontsize": 8,
        "color": NOTE,
    }
    axes.annotate(text, place, offset, **defaults | {"ha": "left", "va": "bottom"} | style)

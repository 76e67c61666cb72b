"""Plots of the label graph and of average precision per label. They require the optional extra ``plot``.

Both functions draw on the given axes, or on a new figure. They do not use ``pyplot``: the caller's backend and figures
are not changed. In a notebook, ``plot_label_graph(graph).figure`` shows the figure.
"""

import copy
import math
import textwrap
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlgcn_pyg.errors import InputError, printable_line
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.edges import selected_edges
from mlgcn_pyg.report.figures import ACCENT, INK, QUIET, check_libraries, new_figure, save_figure
from mlgcn_pyg.report.fonts import fonts_for
from mlgcn_pyg.report.graph_plot import Drawing, arranged, draw
from mlgcn_pyg.report.hubs import IMPLIED, IMPLIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEGEND_LINE = 14  # points
COLOURS = (ACCENT, "#e08a2e", "#5a9e6f", "#a0559a")


def plot_label_graph(
    graph: LabelGraph, path: str | Path | None = None, title: str | None = None, *, ax: "Axes | None" = None
) -> "Axes":
    """Draws the edges i → j of a label graph.

    The higher the lower bound of the 95 % confidence interval of P(L_j|L_i), the darker and wider the edge. Without
    label counts, P is drawn instead. The area of a node grows with the number of images that have the label. Labels
    without edges are listed below the graph.

    Edges of hubs are coloured dots beside the names of labels: full for label → hub, empty for hub → label. A hub has
    at least 12 edges, and 3 times as many as the mean. Of more than 4,000 edges, the most certain are drawn. The size
    of a new figure depends on the graph.

    Args:
        graph: the graph.
        path: a file (.png, .svg or .pdf) to which the figure is also written, atomically; default: no file.
        title: the title; default: the number of edges, τ, and a legend.
        ax: axes to draw on; default: those of a new figure.

    Returns:
        The axes with the graph.

    Raises:
        InputError: if matplotlib or networkx is not installed, or ``path`` has a different ending.
    """
    check_libraries(path)
    with fonts_for([*graph.label_names, title or ""]):
        return _plot_label_graph(graph, path, title, ax)


def _plot_label_graph(graph: LabelGraph, path: str | Path | None, title: str | None, ax: "Axes | None") -> "Axes":
    graph = _likely(graph)
    drawing = arranged(graph)
    with_edges = set(drawing.labels)
    isolated = [printable_line(name) for k, name in enumerate(graph.label_names) if k not in with_edges]
    rows = textwrap.wrap(", ".join(isolated), int(max(12 * drawing.width, 100)))
    if ax is None:
        ax, below = _new_axes(drawing, len(rows))
        position, scale = (0.0, 1.0), 1.0
    else:
        below, position, scale = ax, (0.0, -0.02), _scale(ax, drawing)
    if drawing.labels:
        draw(drawing, ax, scale)
    pad = 6 + LEGEND_LINE * len(drawing.hubs)
    ax.set_title(title or _title(graph, drawing), fontsize=10, color=INK, loc="left", pad=pad, parse_math=False)
    _draw_legend(graph, drawing, ax)
    if isolated:
        text = f"{len(isolated)} labels without edges:\n" + "\n".join(rows)
        style: dict[str, Any] = {"va": "top", "fontsize": 8, "color": QUIET, "parse_math": False}
        below.text(*position, text, transform=below.transAxes, **style)
    for axes in {ax, below}:
        axes.axis("off")
    save_figure(ax, path)
    return ax


def _likely(graph: LabelGraph) -> LabelGraph:
    """Returns a copy with the edges of the threshold τ only: weighting ``"kernel"`` relates almost all labels."""
    likely, graph = selected_edges(graph), copy.copy(graph)
    graph.edge_index, graph.edge_prob = graph.edge_index[:, likely], graph.edge_prob[likely]
    return graph


def _title(graph: LabelGraph, drawing: Drawing) -> str:
    """Returns the number of edges, τ, and a legend."""
    num_edges = graph.edge_index.size(1)
    some = f"the {num_edges - drawing.num_hidden:,} most certain of " if drawing.num_hidden else ""
    text = f"{some}{num_edges:,} edges i → j with P(j | i) ≥ {graph.tau:g}; darker: higher, more certain P"
    return text + ("; larger nodes: more images" if bool(graph.label_counts.any()) else "")


def _draw_legend(graph: LabelGraph, drawing: Drawing, axes: "Axes") -> None:
    """Explains the dots of each hub in a line of its colour between the title and the network."""
    for row, hub in enumerate(reversed(drawing.hubs)):
        name = printable_line(graph.label_names[drawing.labels[hub.node]])
        parts = [f"{IMPLIES} → {name}: {_edges(len(hub.implied_by))}"] if hub.implied_by else []
        parts += [f"{name} → {IMPLIED}: {_edges(len(hub.implies))}"] if hub.implies else []
        axes.annotate(
            ",  ".join(parts),
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 4 + LEGEND_LINE * row),
            textcoords="offset points",
            fontsize=9,
            color=hub.colour,
            parse_math=False,
        )


def _edges(number: int) -> str:
    return f"{number} edge" if number == 1 else f"{number} edges"


def _new_axes(drawing: Drawing, num_rows: int) -> "tuple[Axes, Axes]":
    """Returns axes for the graph, and axes below them for the labels without edges."""
    heights = (drawing.height + 0.2 if drawing.labels else 0.1, 0.3 + 0.17 * num_rows if num_rows else 0.1)
    figure = new_figure(max(7.5, drawing.width + 0.4), sum(heights) + 0.2 * (2 + len(drawing.hubs)))
    top, bottom = figure.subplots(2, 1, height_ratios=heights)
    return top, bottom


def _scale(axes: "Axes", drawing: Drawing) -> float:
    """Returns how much smaller text and circles are drawn on given axes, so that they do not overlap."""
    box = axes.get_window_extent().transformed(axes.figure.dpi_scale_trans.inverted())
    return min(1.0, max(0.4, min(box.width / max(drawing.width, 0.1), box.height / max(drawing.height, 0.1))))


def plot_per_class_ap(
    average_precision: Mapping[str, Mapping[str, float | None]],
    path: str | Path | None = None,
    *,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draws the average precision of each label, for one or more heads.

    Args:
        average_precision: head → label → AP in [0, 1]; None for a label without positives, for which no mark is drawn.
            All heads must have the same labels. The labels are sorted by the AP of the first head.
        path: a file (.png, .svg or .pdf) to which the figure is also written, atomically; default: no file.
        ax: axes to draw on; default: those of a new figure.

    Returns:
        The axes.

    Raises:
        InputError: if matplotlib or networkx is not installed, there is no head, or ``path`` has a different ending.
    """
    check_libraries(path)
    if not average_precision:
        raise InputError("average_precision", "at least one head", "none")
    with fonts_for(label for of_label in average_precision.values() for label in of_label):
        return _plot_per_class_ap(average_precision, path, ax)


def _plot_per_class_ap(
    average_precision: Mapping[str, Mapping[str, float | None]], path: str | Path | None, ax: "Axes | None"
) -> "Axes":
    values = {
        head: {label: math.nan if ap is None else ap for label, ap in of_label.items()}
        for head, of_label in average_precision.items()
    }
    first = next(iter(values.values()))
    labels = sorted(first, key=lambda label: -1.0 if math.isnan(first[label]) else first[label])
    if ax is None:
        ax = new_figure(7, 1.2 + 0.24 * len(labels)).subplots()
    for row, label in enumerate(labels):
        ends = [of_label[label] for of_label in values.values() if not math.isnan(of_label[label])]
        if ends:
            ax.plot([min(ends), max(ends)], [row, row], color="#d5dbe0", linewidth=3, zorder=1)
    rows = range(len(labels))
    for (head, of_label), colour in zip(values.items(), cycle(COLOURS)):
        ax.scatter([of_label[label] for label in labels], rows, s=34, color=colour, label=head, zorder=2)
    _style_rows(ax, [textwrap.fill(printable_line(label), 40) for label in labels], len(values))
    save_figure(ax, path)
    return ax


def _style_rows(axes: "Axes", labels: list[str], num_heads: int) -> None:
    axes.set_yticks(range(len(labels)), labels, fontsize=8, color=INK, parse_math=False)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.8, len(labels) - 0.2)
    axes.set_xlabel("average precision", color=INK)
    axes.grid(axis="x", color="#e6eaed")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    # above the axes, away from the marks
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0, ncols=num_heads)

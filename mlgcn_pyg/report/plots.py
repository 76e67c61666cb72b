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
from mlgcn_pyg.graph.edges import certain_probabilities, selected_edges
from mlgcn_pyg.report.figures import ACCENT, INK, QUIET, check_libraries, new_figure, save_figure
from mlgcn_pyg.report.fonts import fonts_for
from mlgcn_pyg.report.layout import component_layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from networkx import DiGraph

COLOURS = (ACCENT, "#e08a2e", "#5a9e6f", "#a0559a")


def plot_label_graph(
    graph: LabelGraph, path: str | Path | None = None, title: str | None = None, *, ax: "Axes | None" = None
) -> "Axes":
    """Draws the edges i → j of a label graph.

    The higher the lower bound of the 95 % confidence interval of P(L_j|L_i), the darker and wider the edge. Without
    label counts, P is drawn instead. The area of a node grows with the number of images that have the label. Labels
    without edges are listed below the graph.

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
    import networkx as nx

    graph = _likely(graph)
    network: DiGraph = nx.DiGraph()
    network.add_edges_from(zip(*graph.edge_index.tolist(), strict=True))
    isolated = [printable_line(graph.label_names[k]) for k in range(graph.num_labels) if k not in network]
    rows = textwrap.wrap(", ".join(isolated), 100)
    if ax is None:
        ax, below = _new_axes(network.number_of_nodes(), len(rows))
        position = (0.0, 1.0)
    else:
        below, position = ax, (0.0, -0.02)
    if network:
        _draw_network(network, graph, ax)
    edges = f"{network.number_of_edges()} edges i → j with P(j | i) ≥ {graph.tau:g}; darker: higher, more certain P"
    ax.set_title(title or f"{edges}; larger nodes: more images", fontsize=10, color=INK, loc="left")
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


def _new_axes(num_nodes: int, num_rows: int) -> "tuple[Axes, Axes]":
    """Returns axes for the graph, and axes below them for the labels without edges."""
    heights = (6 + 0.09 * num_nodes if num_nodes else 0.1, 0.5 + 0.2 * num_rows)
    figure = new_figure(1.25 * max(6, heights[0]), sum(heights))
    top, bottom = figure.subplots(2, 1, height_ratios=heights)
    return top, bottom


def _draw_network(network: "DiGraph", graph: LabelGraph, axes: "Axes") -> None:
    import networkx as nx
    from matplotlib import colormaps

    positions = component_layout(network)
    counts = graph.label_counts.double()
    share = (counts / counts.max().clamp(min=1)).tolist()
    sizes = [120 + 1200 * share[k] for k in network]
    nx.draw_networkx_nodes(network, positions, ax=axes, node_size=sizes, node_color="#cfe3f1", edgecolors=ACCENT)
    pairs = zip(*graph.edge_index.tolist(), strict=True)
    prob, shade = dict(zip(pairs, certain_probabilities(graph).tolist(), strict=True)), colormaps["Blues"]
    nx.draw_networkx_edges(
        network,
        positions,
        ax=axes,
        node_size=sizes,
        arrowsize=9,
        connectionstyle="arc3,rad=0.08",
        edge_color=[shade(0.35 + 0.65 * prob[edge]) for edge in network.edges],
        width=[0.5 + 2 * prob[edge] for edge in network.edges],
    )
    for k, size in zip(network, sizes, strict=True):
        _name_node(axes, positions[k], size**0.5, printable_line(graph.label_names[k]))


def _name_node(axes: "Axes", position: tuple[float, float], diameter: float, name: str) -> None:
    """Writes a label's name into its node, or below the node if it does not fit.

    Below a node, fewer arrow heads overlap the name.

    Args:
        axes: the axes.
        position: the centre of the node.
        diameter: the diameter of the node in points.
        name: the name of the label.
    """
    fits = 5 * len(name) <= diameter
    axes.annotate(
        textwrap.fill(name, 24),
        position,
        xytext=(0, 0 if fits else -diameter / 2 - 1),
        textcoords="offset points",
        ha="center",
        va="center" if fits else "top",
        fontsize=8,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0 if fits else 0.6, "pad": 0.6},
        parse_math=False,
    )


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

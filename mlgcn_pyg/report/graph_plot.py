"""Draws the label graph: nodes, names, arrows, and the dots of hubs."""

import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.errors import printable_line
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.edges import certain_probabilities
from mlgcn_pyg.report.figures import ACCENT, INK
from mlgcn_pyg.report.hubs import Hub, take_hubs
from mlgcn_pyg.report.layout import packed_layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from networkx import DiGraph

FEW_EDGES = 400  # curved arrows, each of which takes milliseconds; more edges are straight and drawn at once
MOST_EDGES = 4000  # that are drawn
MANY = 200  # nodes
LINE = 24  # characters of a name in a line
FILL = "#cfe3f1"
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Drawing:
    """The parts of a label graph that are drawn as a network.

    Attributes:
        labels: the labels with edges, as numbers of the graph.
        names: their names, in lines.
        diameters: of their circles, in points.
        font: the size of names in points.
        edges: (E, 2) the arrows between positions in ``labels``.
        strength: (E,) how certain they are, in [0, 1].
        hubs: the hubs, whose nodes are positions in ``labels``.
        centres: (n, 2) the centres of the circles in inches.
        above: (n,) whether a name is above its circle instead of below.
        width: of the network in inches.
        height: of the network in inches.
        num_hidden: the number of edges that are not drawn.
    """

    labels: list[int]
    names: list[str]
    diameters: Points
    font: float
    edges: NDArray[np.int64]
    strength: Points
    hubs: list[Hub]
    centres: Points
    above: NDArray[np.bool_]
    width: float
    height: float
    num_hidden: int


def arranged(graph: LabelGraph) -> Drawing:
    """Returns the drawing of a graph. Of very many edges, the most certain are drawn."""
    strength = certain_probabilities(graph).detach().cpu().double().numpy()
    chosen = np.sort(np.argsort(-strength, kind="stable")[:MOST_EDGES])
    labels, ends = np.unique(graph.edge_index.cpu().numpy()[:, chosen].T, return_inverse=True)
    edges = ends.reshape(-1, 2).astype(np.int64)
    network = _network(len(labels), edges)
    hubs = take_hubs(network)
    shown = np.array([network.has_edge(*edge) for edge in edges.tolist()], dtype=bool)
    font = float(np.clip(8 * (150 / max(len(labels), 1)) ** 0.5, 5, 8))
    names = [textwrap.fill(printable_line(graph.label_names[label]), LINE) for label in labels]
    diameters = _diameters(graph, labels) * font / 8
    sizes, drop = _boxes(names, diameters, font, hubs)
    centres, width, height = packed_layout(network, sizes, 1.15 * font / 8)
    above = _names_above(centres, edges[shown])
    centres[:, 1] += np.where(above, -drop, drop)  # a circle is at one end of its box
    return Drawing(
        labels=labels.tolist(),
        names=names,
        diameters=diameters,
        font=font,
        edges=edges[shown],
        strength=strength[chosen][shown],
        hubs=hubs,
        centres=centres,
        above=above,
        width=width,
        height=height,
        num_hidden=graph.edge_index.size(1) - len(chosen),
    )


def _network(num_nodes: int, edges: NDArray[np.int64]) -> "DiGraph":
    import networkx as nx

    network: DiGraph = nx.DiGraph()
    network.add_nodes_from(range(num_nodes))
    network.add_edges_from(edges.tolist())
    return network


def _diameters(graph: LabelGraph, labels: NDArray[np.int64]) -> Points:
    """Returns the diameters of the circles in points; their areas grow with the numbers of images."""
    counts = graph.label_counts.cpu().double().numpy()
    return (120 + 1200 * counts[labels] / max(counts.max(initial=0), 1)) ** 0.5


def _names_above(centres: Points, edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns for which nodes (n,) most edges lead down, so that fewer cross a name above the circle."""
    rise = centres[edges[:, 1], 1] - centres[edges[:, 0], 1]
    total = np.zeros(len(centres))
    np.add.at(total, edges[:, 0], np.sign(rise) * (np.abs(rise) > 0.2))
    np.add.at(total, edges[:, 1], -np.sign(rise) * (np.abs(rise) > 0.2))
    return total < 0


def _boxes(names: Sequence[str], diameters: Points, font: float, hubs: Sequence[Hub]) -> tuple[Points, Points]:
    """Returns width and height (n, 2) of nodes' boxes in inches, and how far a circle is from its box's centre."""
    lines = [name.split("\n") for name in names]
    dots = np.array([sum(bool(hub.dot(k)) for hub in hubs) for k in range(len(names))])
    text = np.array([max(map(_columns, of_name)) for of_name in lines]) * 0.62 * font
    below = np.array(
        [0 if _fits(name, d, font) else len(n) for name, d, n in zip(names, diameters, lines, strict=True)]
    )
    height = below * 1.25 * font
    width = np.maximum(np.where(below, text, 0), diameters + 2 * dots * font)
    return np.stack([width + 5, diameters + height + 5], axis=1) / 72, height / 2 / 72


def _columns(text: str) -> int:
    """Returns the width of a text in letters; Chinese, Japanese and Korean characters are two wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _fits(name: str, diameter: float, font: float) -> bool:
    """Whether a name is written into its circle."""
    return 0.62 * font * _columns(name) <= diameter and "\n" not in name


def draw(drawing: Drawing, axes: "Axes", scale: float = 1.0) -> None:
    """Draws nodes, arrows, names and dots.

    Args:
        drawing: what to draw.
        axes: the axes.
        scale: the factor by which the axes are smaller than the drawing.
    """
    colour = {hub.node: hub.colour for hub in drawing.hubs}
    sizes = (drawing.diameters * scale) ** 2
    x, y = drawing.centres.T
    axes.set_xlim(-0.1, drawing.width + 0.1)
    axes.set_ylim(-0.1, drawing.height + 0.1)
    if len(drawing.edges) <= FEW_EDGES:
        _curved_arrows(drawing, axes, sizes, scale)
    else:
        _straight_arrows(drawing, axes)
    nodes = range(len(drawing.labels))
    faces = [colour.get(k, FILL) for k in nodes]
    axes.scatter(x, y, s=sizes, c=faces, edgecolors=ACCENT, linewidths=scale, zorder=2)
    for k in nodes:
        _name(drawing, axes, k, scale)
        _dots(drawing, axes, k, scale)
    if len(nodes) > MANY:  # measuring texts for the layout takes longer than drawing them, and the limits contain them
        for text in axes.texts:
            text.set_in_layout(False)


def _shades(strength: Points) -> Any:
    from matplotlib import colormaps

    return colormaps["Blues"](0.35 + 0.65 * strength)


def _curved_arrows(drawing: Drawing, axes: "Axes", sizes: Points, scale: float) -> None:
    """Draws each arrow as a patch that ends at the circles."""
    from matplotlib.patches import FancyArrowPatch

    radius = sizes**0.5 / 2 + 1
    shades = _shades(drawing.strength)
    for (i, j), shade, strength in zip(drawing.edges.tolist(), shades, drawing.strength.tolist(), strict=True):
        arrow = FancyArrowPatch(
            drawing.centres[i],
            drawing.centres[j],
            shrinkA=radius[i],
            shrinkB=radius[j],
            arrowstyle="-|>",
            mutation_scale=9 * scale,
            connectionstyle="arc3,rad=0.08",
            color=shade,
            linewidth=(0.5 + 2 * strength) * scale,
            zorder=1,
        )
        axes.add_patch(arrow)


def _straight_arrows(drawing: Drawing, axes: "Axes") -> None:
    """Draws all arrows as one collection, the weakest first."""
    order = np.argsort(drawing.strength, kind="stable")
    start, end = (drawing.centres[drawing.edges[order, side]] for side in (0, 1))
    way = end - start
    length = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
    gap = drawing.diameters[drawing.edges[order, 1]] / 2 / 72
    way *= np.maximum(1 - gap / length, 0.1)[:, None]
    shades = _shades(drawing.strength[order])
    shades[:, 3] = np.clip(900 / len(order), 0.15, 0.8)
    style: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "dots"}
    heads: dict[str, Any] = {"headwidth": 5, "headlength": 6, "headaxislength": 5.5, "minlength": 0}
    axes.quiver(*start.T, *way.T, color=shades, width=1.1, zorder=1, **style, **heads)


def _name(drawing: Drawing, axes: "Axes", k: int, scale: float) -> None:
    """Writes a label's name into its circle, or below or above it if it does not fit."""
    fits = _fits(drawing.names[k], drawing.diameters[k], drawing.font)
    hub = any(hub.node == k for hub in drawing.hubs)
    side = 0 if fits else 1 if drawing.above[k] else -1
    axes.annotate(
        drawing.names[k],
        drawing.centres[k],
        xytext=(0, side * (drawing.diameters[k] / 2 + 1) * scale),
        textcoords="offset points",
        ha="center",
        va=("top", "center", "bottom")[side + 1],
        fontsize=drawing.font * scale,
        color="white" if hub and fits else INK,
        weight="bold" if hub else "normal",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0 if fits else 0.6, "pad": 0.6},
        parse_math=False,
        zorder=3,
    )


def _dots(drawing: Drawing, axes: "Axes", k: int, scale: float) -> None:
    """Draws the dots of the hubs that a label has edges with, to the right of its circle and below arrow heads."""
    right = drawing.diameters[k] / 2 + 1
    for hub in drawing.hubs:
        if dot := hub.dot(k):
            axes.annotate(
                dot,
                drawing.centres[k],
                xytext=(right * scale, 0),
                textcoords="offset points",
                ha="left",
                va="center_baseline",
                fontsize=drawing.font * scale,
                color=hub.colour,
                zorder=0.9,
            )
            right += 0.85 * drawing.font

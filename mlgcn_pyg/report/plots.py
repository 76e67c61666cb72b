"""Pictures: the label graph, and average precision per label. Needs matplotlib and networkx (extra ``plot``)."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from mlgcn_pyg.errors import InputError, printable_line
from mlgcn_pyg.files import atomic_path
from mlgcn_pyg.graph import LabelGraph

INK, QUIET, ACCENT = "#22303c", "#9aa7b1", "#2a7fb8"
COLOURS = ("#2a7fb8", "#e08a2e", "#5a9e6f", "#a0559a")


def plot_label_graph(graph: LabelGraph, path: str | Path, title: str | None = None) -> None:
    """Draws the edges i → j, dark and wide where P(L_j|L_i) is high; larger nodes are in more images.

    Labels without any edge stand in a block of their own below. Raises InputError without the extra ``plot``.
    """
    plt, nx = _libraries()
    network = nx.DiGraph()
    network.add_edges_from(zip(*graph.edge_index.tolist(), strict=True))
    isolated = [printable_line(graph.label_names[k]) for k in range(graph.num_labels) if k not in network]
    rows = textwrap.wrap(", ".join(isolated), 100)
    heights = (6 + 0.09 * network.number_of_nodes() if network else 0.1, 0.5 + 0.2 * len(rows))
    width = 1.25 * max(6, heights[0])
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(width, sum(heights)), height_ratios=heights, layout="constrained"
    )
    if network:
        _draw_network(plt, nx, network, graph, top)
    told = f"{network.number_of_edges()} edges i → j where P(j | i) ≥ {graph.tau:g}, the darker the higher"
    top.set_title(title or f"{told}; node area: images with the label", fontsize=10, color=INK, loc="left")
    if isolated:
        text = f"{len(isolated)} labels without edges:\n" + "\n".join(rows)
        bottom.text(0, 1, text, va="top", fontsize=8, color=QUIET, parse_math=False)
    for axes in (top, bottom):
        axes.axis("off")
    _save(plt, figure, path)


def _draw_network(plt, nx, network, graph: LabelGraph, axes) -> None:
    place = _layout(nx, network)
    counts = graph.label_counts.double()
    share = (counts / counts.max().clamp(min=1)).tolist()
    sizes = [120 + 1200 * share[k] for k in network]
    nx.draw_networkx_nodes(network, place, ax=axes, node_size=sizes, node_color="#cfe3f1", edgecolors=ACCENT)
    pairs = zip(*graph.edge_index.tolist(), strict=True)
    prob, shade = dict(zip(pairs, graph.edge_prob.tolist(), strict=True)), plt.get_cmap("Blues")
    nx.draw_networkx_edges(
        network,
        place,
        ax=axes,
        node_size=sizes,
        arrowsize=9,
        connectionstyle="arc3,rad=0.08",
        edge_color=[shade(0.35 + 0.65 * prob[edge]) for edge in network.edges],
        width=[0.5 + 2 * prob[edge] for edge in network.edges],
    )
    for k, size in zip(network, sizes, strict=True):
        _name_node(axes, place[k], size**0.5, printable_line(graph.label_names[k]))


def _name_node(axes, place, diameter: float, name: str) -> None:
    """A name in its node (diameter in points) where there is room, else below it, where it hides few arrow heads."""
    fits = 5 * len(name) <= diameter
    axes.annotate(
        textwrap.fill(name, 24),
        place,
        xytext=(0, 0 if fits else -diameter / 2 - 1),
        textcoords="offset points",
        ha="center",
        va="center" if fits else "top",
        fontsize=8,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0 if fits else 0.6, "pad": 0.6},
        parse_math=False,
    )


def plot_per_class_ap(average_precision: Mapping[str, Mapping[str, float | None]], path: str | Path) -> None:
    """Draws AP per label for each head, ``{head: {label: AP}}``; labels sorted by the first head's AP.

    A label without a positive (None) has no mark. Raises InputError without the extra ``plot``.
    """
    plt, _ = _libraries()
    heads = list(average_precision)
    first = average_precision[heads[0]]
    labels = sorted(first, key=lambda name: -1.0 if first[name] is None else first[name])
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.24 * len(labels)), layout="constrained")
    rows = range(len(labels))
    for row, label in enumerate(labels):
        ends = [average_precision[head][label] for head in heads if average_precision[head][label] is not None]
        if ends:
            axes.plot([min(ends), max(ends)], [row, row], color="#d5dbe0", linewidth=3, zorder=1)
    for head, colour in zip(heads, COLOURS, strict=False):
        axes.scatter(
            [average_precision[head][label] for label in labels], rows, s=34, color=colour, label=head, zorder=2
        )
    shown = [textwrap.fill(printable_line(label), 40) for label in labels]
    axes.set_yticks(rows, shown, fontsize=8, color=INK, parse_math=False)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.8, len(labels) - 0.2)
    axes.set_xlabel("average precision", color=INK)
    axes.grid(axis="x", color="#e6eaed")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    # above the marks, wherever they are
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0, ncols=len(heads))
    _save(plt, figure, path)


def _layout(nx, network) -> dict:
    """Components laid out by graph distance: the largest first, the others stacked in columns to its right."""
    place, left, right, top, floor = {}, 0.0, 0.0, 0.0, 0.0
    for nodes in sorted(nx.weakly_connected_components(network), key=len, reverse=True):
        scale = len(nodes) ** 0.5
        if not place:
            top, floor = scale, -scale
        y = top - scale
        if y - scale < floor and place and top < -floor:  # the column is full
            left, y = right, -floor - scale
        place |= nx.kamada_kawai_layout(network.subgraph(nodes).to_undirected(), scale=scale, center=(left + scale, y))
        right = max(right, left + 2 * scale + 1)
        if floor == -scale and len(place) == len(nodes):
            left, top = right, scale
        else:
            top = y - scale - 0.5
    return place


def _libraries():
    try:
        import matplotlib
        import networkx

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise InputError(
            "plot", "matplotlib and networkx", f"no {error.name}", 'pip install "mlgcn_pyg[plot]"'
        ) from error
    return plt, networkx


def _save(plt, figure, path: str | Path) -> None:
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=140, format="png", bbox_inches="tight")  # long names, too
    plt.close(figure)

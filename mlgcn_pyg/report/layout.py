"""Positions of the nodes of a label graph in a plot."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from networkx import DiGraph

Positions = dict[int, tuple[float, float]]


def component_layout(network: "DiGraph") -> Positions:
    """Returns the positions of all nodes, with each connected component in a separate area.

    Each component is laid out by graph distance (Kamada and Kawai). The largest component is on the left. The others
    are stacked in columns to the right.
    """
    import networkx as nx

    positions: Positions = {}
    left = right = top = bottom = 0.0
    for nodes in sorted(nx.weakly_connected_components(network), key=len, reverse=True):
        scale = len(nodes) ** 0.5
        if not positions:
            top, bottom = scale, -scale
        y = top - scale
        if y - scale < bottom and positions and top < -bottom:  # the column is full
            left, y = right, -bottom - scale
        component = network.subgraph(nodes).to_undirected()
        positions |= nx.kamada_kawai_layout(component, scale=scale, center=(left + scale, y))
        right = max(right, left + 2 * scale + 1)
        if bottom == -scale and len(positions) == len(nodes):
            left, top = right, scale
        else:
            top = y - scale - 0.5
    return positions

"""Positions of the nodes of a label graph in a plot."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from networkx import DiGraph

Positions = dict[int, tuple[float, float]]


def component_layout(network: "DiGraph") -> Positions:
    """Returns the positions of the nodes, component by component.

    Each connected component is laid out by graph distance (Kamada and Kawai). The largest is on the left; the others
    are stacked in columns to its right.
    """
    import networkx as nx

    positions: Positions = {}
    left = right = top = floor = 0.0
    for nodes in sorted(nx.weakly_connected_components(network), key=len, reverse=True):
        scale = len(nodes) ** 0.5
        if not positions:
            top, floor = scale, -scale
        y = top - scale
        if y - scale < floor and positions and top < -floor:  # the column is full
            left, y = right, -floor - scale
        component = network.subgraph(nodes).to_undirected()
        positions |= nx.kamada_kawai_layout(component, scale=scale, center=(left + scale, y))
        right = max(right, left + 2 * scale + 1)
        if floor == -scale and len(positions) == len(nodes):
            left, top = right, scale
        else:
            top = y - scale - 0.5
    return positions

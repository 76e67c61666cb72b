"""Hubs of a label graph, whose edges a plot shows as coloured dots instead of arrows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from networkx import DiGraph

COLOURS = ("#c8553d", "#7a5195", "#e08a2e", "#2f8f6b", "#b5838d", "#5c6f82")
IMPLIES, IMPLIED = "●", "○"
LEAST, FACTOR = 12, 3  # edges of a hub, at least, and times the mean of all labels


@dataclass(frozen=True)
class Hub:
    """A label with many edges.

    Attributes:
        node: its number.
        colour: the colour of its dots.
        implied_by: the labels i of edges i → hub.
        implies: the labels j of edges hub → j.
    """

    node: int
    colour: str
    implied_by: frozenset[int]
    implies: frozenset[int]

    def dot(self, node: int) -> str:
        """Returns the dot of a label: full if it implies the hub, empty if only the hub implies it; or no text.

        >>> hub = Hub(0, "red", frozenset([1, 2]), frozenset([2, 3]))
        >>> [hub.dot(k) for k in range(4)]
        ['', '●', '●', '○']
        """
        return IMPLIES if node in self.implied_by else IMPLIED if node in self.implies else ""


def take_hubs(network: "DiGraph") -> list[Hub]:
    """Removes the edges of hubs from a graph, and returns the hubs, that with the most edges first.

    A hub has at least 12 edges, and 3 times as many as the mean of all labels with edges. There are at most 6.

    Args:
        network: the graph, which is changed.
    """
    hubs: list[Hub] = []
    for colour in COLOURS:
        degrees = dict(network.degree)
        used = sum(degree > 0 for degree in degrees.values())
        node = max(degrees, key=lambda k: degrees[k], default=None)
        if node is None or degrees[node] < max(LEAST, FACTOR * sum(degrees.values()) / max(used, 1)):
            break
        hubs.append(Hub(node, colour, frozenset(network.predecessors(node)), frozenset(network.successors(node))))
        network.remove_edges_from([*network.in_edges(node), *network.out_edges(node)])
    return hubs

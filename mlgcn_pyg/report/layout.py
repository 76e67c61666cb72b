"""Positions of the nodes of a label graph in a plot, in inches.

Each node has a box, which contains its circle and its name. The boxes of a connected component are moved apart until
none overlap. The components are packed into a rectangle.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from networkx import DiGraph, Graph

Points = NDArray[np.float64]
LARGE = 120  # nodes; Kamada and Kawai's layout takes seconds for more
LOOSE = 1.3  # height of a row in columns, relative to that of the box
ASPECT = 1.3  # width / height of the plot
ROUNDS = 300  # of moving boxes apart


def packed_layout(network: "DiGraph", sizes: Points, spacing: float) -> tuple[Points, float, float]:
    """Returns the centres of the boxes of all nodes 0…n−1, with each connected component in an area of its own.

    Args:
        network: the graph.
        sizes: (n, 2) width and height of the boxes.
        spacing: the length of a typical edge, and at least as much the side of a typical box.

    Returns:
        The centres (n, 2), with the origin at the lower left, and width and height of the area. The largest components
        are at the top left.
    """
    import networkx as nx

    components = [sorted(nodes) for nodes in nx.weakly_connected_components(network)]
    parts, areas = [], []
    for nodes in components:
        points = _component(network, nodes, sizes[nodes], spacing)
        low, high = (points - sizes[nodes] / 2).min(axis=0), (points + sizes[nodes] / 2).max(axis=0)
        parts.append(points - low)
        areas.append(high - low)
    corners, width, height = packed(np.array(areas).reshape(-1, 2), ASPECT)
    centres = np.zeros((network.number_of_nodes(), 2))
    for nodes, points, corner in zip(components, parts, corners, strict=True):
        centres[nodes] = points + corner
    centres[:, 1] = height - centres[:, 1]
    return centres, width, height


def _component(network: "DiGraph", nodes: list[int], sizes: Points, spacing: float) -> Points:
    """Returns the centres (n, 2) of the boxes of one component."""
    import networkx as nx

    if len(nodes) == 1:
        return np.zeros((1, 2))
    component = network.subgraph(nodes).to_undirected()
    if len(nodes) > LARGE:
        return in_columns(_spectral(component, nodes), sizes)
    found = nx.kamada_kawai_layout(component)
    points = _horizontal(np.array([found[k] for k in nodes], dtype=np.float64))
    row = {k: number for number, k in enumerate(nodes)}
    ends = np.array([[row[i], row[j]] for i, j in component.edges])
    lengths = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)
    return separated(points * spacing / max(float(np.median(lengths)), 1e-9), sizes)


def _spectral(component: "Graph", nodes: list[int]) -> Points:
    """Returns the two eigenvectors of the Laplacian with the lowest eigenvalues above 0 (n, 2), the same each time.

    From K. Hall, *An r-dimensional quadratic placement algorithm*, 1970.
    """
    import networkx as nx
    from scipy.sparse.linalg import eigsh

    laplacian = nx.laplacian_matrix(component, nodelist=nodes, weight=None).astype(np.float64).tocsc()
    start = np.linspace(1, 2, len(nodes))
    values, vectors = eigsh(laplacian, k=3, sigma=-0.01, v0=start)
    points = vectors[:, np.argsort(values)[1:]]
    largest = points[np.abs(points).argmax(axis=0), [0, 1]]
    return np.round(points * np.sign(largest), 9)


def in_columns(points: Points, sizes: Points) -> Points:
    """Places boxes in columns from left to right, and from bottom to top in each, in the order of their points.

    The spectral layout of a large graph leaves most nodes in a few places. In columns, they use all of the area, and
    neighbours are still near each other.

    Args:
        points: (n, 2).
        sizes: (n, 2) width and height of the boxes.

    >>> points = np.array([[0.0, 0.0], [5.0, 1.0], [0.1, 9.0], [7.0, -1.0]])
    >>> in_columns(points, np.ones((4, 2))).round(2).tolist()
    [[0.5, 0.65], [1.5, 0.65], [0.5, 1.95], [2.5, 0.65]]
    """
    wide, high = np.quantile(sizes, 0.9, axis=0)
    columns = max(1, round(float((ASPECT * len(points) * LOOSE * high / wide) ** 0.5)))
    centres, left = np.zeros_like(points), 0.0
    for column in np.array_split(np.argsort(points[:, 0], kind="stable"), columns):
        column = column[np.argsort(points[column, 1], kind="stable")]
        heights = LOOSE * sizes[column, 1]
        width = float(sizes[column, 0].max())
        centres[column, 0] = left + width / 2
        centres[column, 1] = heights.cumsum() - heights / 2
        left += width
    return centres


def _horizontal(points: Points) -> Points:
    """Turns points so that they spread most in the horizontal direction, since names are wide."""
    points = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    return points @ (axes.T if len(axes) == 2 else np.eye(2))


def separated(points: Points, sizes: Points, rounds: int = ROUNDS) -> Points:
    """Moves boxes apart until none overlap, or for a number of rounds.

    In each round, two boxes that overlap are moved by half of the overlap each, in the direction in which it is less.

    Args:
        points: (n, 2) centres.
        sizes: (n, 2) width and height.
        rounds: the largest number of rounds.

    >>> separated(np.array([[0.0, 0.0], [0.5, 0.0]]), np.ones((2, 2))).round(2).tolist()
    [[-0.25, 0.0], [0.75, 0.0]]
    """
    from scipy.spatial import KDTree

    points, largest = points.copy(), sizes.max(axis=0)
    for _ in range(rounds):
        near = KDTree(points / largest).query_pairs(1, p=np.inf, output_type="ndarray")
        first, second = near[np.lexsort(near.T)].T
        apart = points[first] - points[second]
        overlap = (sizes[first] + sizes[second]) / 2 - np.abs(apart)
        both = (overlap > 1e-6).all(axis=1)
        if not both.any():
            break
        first, second, apart, overlap = first[both], second[both], apart[both], overlap[both]
        row, axis = np.arange(len(first)), overlap.argmin(axis=1)
        step = np.where(apart[row, axis] >= 0, 0.5, -0.5) * overlap[row, axis]
        np.add.at(points, (first, axis), step)
        np.add.at(points, (second, axis), -step)
    return points


def packed(areas: Points, aspect: float) -> tuple[Points, float, float]:
    """Places rectangles without overlap in an area of about the given aspect.

    The tallest comes first. Each is placed in the free space with the lowest, then leftmost corner that it fits into
    (a guillotine heuristic; J. Jylänki, A Thousand Ways to Pack the Bin, 2010).

    Args:
        areas: (n, 2) width and height of the rectangles.
        aspect: width / height of the result.

    Returns:
        The lower left corners (n, 2), and width and height of the result.

    >>> packed(np.array([[1.0, 1.0], [2.0, 2.0], [1.0, 1.0]]), 1.5)
    (array([[2., 0.], [0., 0.], [2., 1.]]), 3.0, 2.0)
    """
    if not len(areas):
        return areas, 0.0, 0.0
    wide = max(float(areas[:, 0].max()), (aspect * 1.15 * float(areas.prod(axis=1).sum())) ** 0.5)
    free = [(0.0, 0.0, wide, np.inf)]  # bottom, left, width, height
    corners = np.zeros_like(areas)
    for k in np.lexsort((np.arange(len(areas)), -areas[:, 0], -areas[:, 1])):
        width, height = areas[k]
        free.sort()
        spot = next(spot for spot in free if spot[2] >= width - 1e-9 and spot[3] >= height - 1e-9)
        free.remove(spot)
        bottom, left, most_width, most_height = spot
        corners[k] = left, bottom
        beside = (bottom, left + width, most_width - width, height)
        above = (bottom + height, left, most_width, most_height - height)
        free += [rest for rest in (beside, above) if rest[2] > 1e-9 and rest[3] > 1e-9]
    right, top = (corners + areas).max(axis=0).tolist()
    return corners, right, top

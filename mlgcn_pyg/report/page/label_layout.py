r"""Places of labels such that labels with likely edges are near each other, for up to some thousand labels.

Each component is placed by minimising the stress

.. math:: \sum_{i<j} d_{ij}^{-2} (\lVert x_i - x_j \rVert - d_{ij})^2,

where d are the lengths of the shortest paths, by majorisation: E. R. Gansner, Y. Koren and S. North, *Graph drawing by
stress majorization*, 2004. It has no random start: the same graph has the same places.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, shortest_path

STEPS = 100
BUSIER = 0.25  # exponent of the number of edges: the labels around a hub get room
GAP = 1.2  # between components, in lengths of an edge
WEAKER = 3.0  # the additional length of an edge whose P is 0 instead of τ
WIDER = 1.6  # width of the picture divided by its height
NAME = (0.17, 0.07)  # width and height of the area of a label with its name
FILLED = 0.45  # the largest share of the picture that these areas cover; with more labels, they are smaller

Places = NDArray[np.float64]


def label_places(num_labels: int, source: NDArray, target: NDArray, prob: NDArray, tau: float) -> Places:
    """Returns places (C, 2) in [0, WIDER] × [0, 1].

    Args:
        num_labels: C, labels that all have an edge.
        source: (E,) i of each edge i → j.
        target: (E,) j of each edge.
        prob: (E,) P(L_j|L_i).
        tau: edges with a lower P are longer, so that they have little effect.
    """
    if not num_labels:
        return np.zeros((0, 2))
    lengths = edge_lengths(num_labels, source, target, prob, tau)
    count, member = connected_components(lengths, directed=False)
    groups = sorted((np.flatnonzero(member == k) for k in range(count)), key=len, reverse=True)
    distances = shortest_path(lengths, directed=False)
    places = _packed([(group, stress_places(distances[np.ix_(group, group)])) for group in groups])
    return _fitted(moved_apart(_fitted(places)))


def edge_lengths(num_labels: int, source: NDArray, target: NDArray, prob: NDArray, tau: float) -> csr_array:
    """Returns the lengths (C, C) of the edges, in both directions; those of labels with many edges are longer.

    >>> edge_lengths(2, np.array([0]), np.array([1]), np.array([0.5]), tau=0.5).toarray()
    array([[0., 1.],
           [1., 0.]])
    """
    likely = prob >= tau
    ends = np.concatenate([source[likely], target[likely]])
    degree = np.maximum(np.bincount(ends, minlength=num_labels), 1)
    length = (degree[source] * degree[target]) ** BUSIER
    length += np.where(likely, 0.0, WEAKER * (1.25 - prob / max(tau, 1e-9)))
    pairs = np.concatenate([source, target]), np.concatenate([target, source])
    order = np.argsort(-np.concatenate([length, length]), kind="stable")  # the shorter of i → j and j → i is used
    dense = np.zeros((num_labels, num_labels))
    dense[pairs[0][order], pairs[1][order]] = np.concatenate([length, length])[order]
    return csr_array(dense)


def stress_places(distances: NDArray[np.float64]) -> Places:
    """Returns places (n, 2) with about these distances (n, n), the longer side along the first axis.

    >>> places = stress_places(np.array([[0.0, 1, 2], [1, 0, 1], [2, 1, 0]]))
    >>> np.abs(places[:, 0]).round(2).tolist()
    [1.0, 0.0, 1.0]
    """
    n = len(distances)
    if n == 1:
        return np.zeros((1, 2))
    weights = (distances + np.eye(n)) ** -2.0
    np.fill_diagonal(weights, 0)
    laplacian = np.diag(weights.sum(1)) - weights
    factor = cho_factor(laplacian + np.full((n, n), weights.mean() or 1.0))  # centred places are in its range
    places = _classical(distances)
    for _ in range(STEPS):
        found = np.sqrt(np.maximum(_squared(places), 1e-12))
        ratio = weights * distances / found
        np.fill_diagonal(ratio, 0)
        places = cho_solve(factor, ratio.sum(1)[:, None] * places - ratio @ places)
        places -= places.mean(0)
    axes = np.linalg.svd(places, full_matrices=False)[2]
    turned: Places = places @ axes.T
    return turned


def moved_apart(places: Places, steps: int = 60) -> Places:
    """Moves labels such that names cover each other less, in the direction in which they overlap less.

    Args:
        places: (C, 2) in [0, WIDER] × [0, 1].
        steps: the largest number of moves of each label.
    """
    places, n = places.copy(), len(places)
    area = np.array(NAME)
    area *= min(1.0, (FILLED * WIDER / (n * area.prod())) ** 0.5)
    order = np.sign(np.arange(n)[:, None] - np.arange(n))  # decides for labels at the same place
    for _ in range(steps):
        apart = places[:, None] - places[None]
        overlap = 1 - np.abs(apart) / area
        touching = (overlap > 0).all(2) & (order != 0)
        if not touching.any():
            break
        upright = overlap[:, :, 1] < overlap[:, :, 0]
        for axis, chosen in ((0, ~upright), (1, upright)):
            side = np.where(apart[:, :, axis] == 0, order, np.sign(apart[:, :, axis]))
            places[:, axis] += 0.25 * area[axis] * np.where(touching & chosen, overlap[:, :, axis] * side, 0).sum(1)
    return places


def _classical(distances: NDArray[np.float64]) -> Places:
    """Returns the places of classical scaling, moved a little so that no two are equal."""
    n = len(distances)
    squared = distances**2
    gram = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean())
    values, vectors = np.linalg.eigh(gram)
    places = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    angle = np.arange(n) * 2.399963  # the golden angle: neighbouring labels move in different directions
    moved: Places = places + 0.05 * np.column_stack([np.cos(angle), np.sin(angle)])
    return moved


def _squared(places: Places) -> NDArray[np.float64]:
    norms = (places**2).sum(1)
    squared: NDArray[np.float64] = norms[:, None] + norms - 2 * places @ places.T
    return squared


def _packed(drawn: list[tuple[NDArray[np.int64], Places]]) -> Places:
    """Places components in rows, the largest first."""
    places = np.zeros((sum(len(group) for group, _ in drawn), 2))
    boxes = [(group, local - local.min(0), np.ptp(local, axis=0)) for group, local in drawn]
    area = sum(float((size + GAP).prod()) for _, _, size in boxes)
    width = max([(area * WIDER) ** 0.5, *(float(size[0]) for _, _, size in boxes)])
    left = top = height = 0.0
    for group, local, size in boxes:
        if left and left + size[0] > width:
            left, top, height = 0.0, top + height + GAP, 0.0
        places[group] = local + [left, top]
        left, height = left + size[0] + GAP, max(height, float(size[1]))
    return places


def _fitted(places: Places) -> Places:
    """Scales places into [0, WIDER] × [0, 1], centred; at most 1.5 times as much in one direction as in the other."""
    low, size = places.min(0), np.maximum(np.ptp(places, axis=0), 1e-9)
    scale = np.array([WIDER, 1.0]) / size
    scale = np.minimum(scale, 1.5 * scale.min())
    fitted: Places = (places - low - size / 2) * scale + [WIDER / 2, 0.5]
    return fitted

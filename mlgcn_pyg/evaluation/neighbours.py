r"""Neighbourhoods of classifiers, with numbers (Fig. 8 shows a t-SNE picture of them).

:func:`neighbour_purity` answers whether labels of one super-category have similar classifiers, and
:func:`rank_correlation` whether labels with similar classifiers also have similar embeddings, or occur together. Both
compare the value with those of random permutations of the labels. For the correlation this is the test of N. Mantel,
`The Detection of Disease Clustering and a Generalized Regression Approach
<https://aacrjournals.org/cancerres/article/27/2_Part_1/209/476508>`_, 1967.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlgcn_pyg.checks import check_count, check_positive, check_tensor
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation.nearest import as_rows, nearest, unit_rows
from mlgcn_pyg.seeding import derived_seed

PERMUTATIONS = 9999


@dataclass(frozen=True)
class Agreement:
    """A statistic of labels, and how it compares with random permutations of the labels.

    Attributes:
        value: the statistic; NaN if it is not defined.
        expected: its mean over the permutations.
        p: the share of the permutations, including the given order, that are at least as extreme.
        num_labels: the number of labels that count.
    """

    value: float
    expected: float
    p: float
    num_labels: int


def neighbour_purity(
    vectors: Any, groups: Sequence[str | None], *, k: int = 5, permutations: int = PERMUTATIONS, seed: int = 0
) -> Agreement:
    """Returns the mean share of the k nearest vectors, by cosine, that are of the same group.

    A vector without a group is left out. A vector that is alone in its group has no neighbour of its own kind and does
    not count, but it is a neighbour of others. The share is not defined if all vectors are equal. The p value is
    one-sided: large shares are extreme.

    Args:
        vectors: (C, D), such as the classifiers of labels.
        groups: C names, such as super-categories; None for a label without one.
        k: the number of neighbours, below the number of vectors that have a group.
        permutations: the number of random permutations.
        seed: their seed.

    Raises:
        InputError: if an argument is not valid; the error names it.

    >>> vectors = [[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.0, 1.0], [0.1, 0.9], [0.2, 0.8]]
    >>> purity = neighbour_purity(vectors, ["a", "a", "a", "b", "b", "b"], k=2)
    >>> purity.value, round(purity.expected, 2), round(purity.p, 2)
    (1.0, 0.4, 0.1)
    """
    vectors = check_tensor("vectors", vectors, "vectors (C, D)").detach().cpu()
    if vectors.dim() != 2:
        raise InputError("vectors", "shape (C, D)", f"shape {tuple(vectors.shape)}")
    if len(groups) != len(vectors):
        raise InputError("groups", f"{len(vectors)} names, one per vector", len(groups))
    known = [row for row, group in enumerate(groups) if group is not None]
    vectors = as_rows("vectors", vectors[known], k)
    _, codes = np.unique([str(groups[row]) for row in known], return_inverse=True)
    neighbours = nearest(vectors, torch.arange(len(known)), k, "vectors").numpy()
    counts = np.bincount(codes)[codes] > 1  # those that are not alone
    if not counts.any() or bool((vectors == vectors[0]).all()):
        return Agreement(float("nan"), float("nan"), float("nan"), 0)

    def same(order: NDArray[np.int64]) -> float:
        group, share = codes[order], counts[order]
        return float((group[neighbours] == group[:, None]).sum(axis=1)[share].sum())

    value, drawn = same(np.arange(len(codes))), _permuted(same, len(codes), permutations, seed)
    scale = 1 / (k * int(counts.sum()))
    p = (1 + int((drawn >= value).sum())) / (1 + len(drawn))
    return Agreement(value * scale, float(drawn.mean()) * scale, p, int(counts.sum()))


def rank_correlation(vectors: Any, relations: Any, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Agreement:
    r"""Returns Spearman's ρ between the cosines of vectors and another relation of the labels, over all pairs i ≠ j.

    The labels of ``relations`` are permuted, rows and columns together. The p value is two-sided: large \|ρ\| are
    extreme.

    Args:
        vectors: (C, D), such as the classifiers of labels.
        relations: (C, C), such as :func:`cosines` of label embeddings, or the probabilities P(L_j | L_i), which need
            not be symmetric; the diagonal is ignored.
        permutations: the number of random permutations.
        seed: their seed.

    Raises:
        InputError: if an argument is not valid; the error names it.

    >>> vectors = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]
    >>> round(rank_correlation(vectors, [[1, 0.8, 0.1], [0.8, 1, 0.3], [0.1, 0.3, 1]]).value, 6)
    1.0
    """
    similar = cosines(vectors)
    num_labels = len(similar)
    other = check_tensor("relations", relations, "a matrix (C, C)").detach().cpu().double().numpy()
    if other.shape != similar.shape:
        raise InputError("relations", f"shape {similar.shape}, one row and column per label", f"shape {other.shape}")
    pairs = ~np.eye(num_labels, dtype=bool)
    if not np.isfinite(other[pairs]).all():
        raise InputError("relations", "finite numbers", "NaN or Inf")
    a, b = _standard_ranks(similar, pairs), _standard_ranks(other, pairs)

    def correlation(order: NDArray[np.int64]) -> float:
        return float((a * b[np.ix_(order, order)]).sum())

    value, drawn = correlation(np.arange(num_labels)), _permuted(correlation, num_labels, permutations, seed)
    if np.isnan(value):
        return Agreement(value, value, value, num_labels)
    rounding = 1e-12  # sums in another order
    p = (1 + int((np.abs(drawn) >= abs(value) - rounding).sum())) / (1 + len(drawn))
    return Agreement(value, float(drawn.mean()), p, num_labels)


def cosines(vectors: Any) -> NDArray[np.float64]:
    """Returns the cosines (C, C) of vectors (C, D), computed from float32 vectors; 0 for a vector of zeros.

    Raises:
        InputError: if there are fewer than two vectors, or they are not finite.
    """
    rows = check_tensor("vectors", vectors, "vectors (C, D)").detach().cpu()
    if rows.dim() != 2 or len(rows) < 2:
        raise InputError("vectors", "at least two vectors, shape (C, D)", f"shape {tuple(rows.shape)}")
    unit = unit_rows("vectors", rows, torch.arange(len(rows))).double()
    return (unit @ unit.t()).numpy()


def _permuted(
    statistic: Callable[[NDArray[np.int64]], float], size: int, permutations: int, seed: int
) -> NDArray[np.float64]:
    """Returns the statistic of random permutations (R,)."""
    return np.array([statistic(order) for order in _orders(size, check_positive("permutations", permutations), seed)])


def _orders(size: int, permutations: int, seed: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(derived_seed("permutation test", check_count("seed", seed)))
    for _ in range(permutations):
        yield generator.permutation(size)


def _standard_ranks(matrix: NDArray[np.float64], pairs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns the ranks of the entries of ``pairs``, with mean 0 and length 1; NaN if all are equal; 0 elsewhere."""
    from scipy.stats import rankdata

    ranks = np.zeros(matrix.shape)
    values = rankdata(matrix[pairs])
    values -= values.mean()
    length = np.linalg.norm(values)
    ranks[pairs] = values / length if length > 0 else np.nan
    return ranks

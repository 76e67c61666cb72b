"""Which pairs of labels become edges, decided row block by row block, so that memory stays bounded."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_count, check_number, check_positive

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Z = 1.959963984540054  # the two-sided 95 % point of the normal distribution


@dataclass(frozen=True)
class EdgeRule:
    """Edges i → j are the pairs with P_ij ≥ tau, seen together at least ``min_count`` times, at most ``top_k`` per i.

    Args:
        tau: τ in (0, 1].
        probability: ``"ratio"``: P_ij = M_ij / n (Eq. 6), or ``"wilson"``: the lower end of its 95 % confidence
            interval, which a label seen twice does not reach by chance.
        min_count: smallest M_ij.
        top_k: keep the k most probable j of every i (all if None); equal ones in label order.
    """

    tau: float = 0.4
    probability: str = "ratio"
    min_count: int = 1
    top_k: int | None = None

    def __post_init__(self) -> None:
        # stored as plain Python numbers, whatever numbers were given
        object.__setattr__(self, "tau", check_number("tau", self.tau, 0, 1, open_low=True))
        check_choice("probability", self.probability, PROBABILITIES)
        object.__setattr__(self, "min_count", check_count("min_count", self.min_count))
        if self.top_k is not None:
            object.__setattr__(self, "top_k", check_positive("top_k", self.top_k))

    def select(self, row: np.ndarray, column: np.ndarray, together: np.ndarray, known: np.ndarray) -> tuple:
        """(row, column, probability) of the pairs that are edges, by row and then column.

        ``row`` must be sorted. ``together`` is M_ij, ``known`` the images with i present and j known.
        """
        keep = (row != column) & (together >= max(self.min_count, 1))
        # P ≤ M/N whatever the kind, so that most pairs go before any bound is computed
        keep &= together >= self.tau * known * (1 - 1e-12)
        row, column, together, known = row[keep], column[keep], together[keep], known[keep]
        prob = PROBABILITIES[self.probability](together.astype(np.float64), known.astype(np.float64))
        keep = prob >= self.tau
        row, column, prob = row[keep], column[keep], prob[keep]
        if self.top_k is not None and len(row):
            order = np.lexsort((column, -prob, row))
            first = np.searchsorted(row, row, side="left")  # where each row begins; the order keeps rows in place
            order = order[np.arange(len(row)) - first < self.top_k]
            row, column, prob = row[order], column[order], prob[order]
        order = np.lexsort((column, row))
        return row[order], column[order], prob[order]


def ratio(together: np.ndarray, known: np.ndarray) -> np.ndarray:
    """P = M / n in float64: 7 of 10 is ≥ 0.7, as in exact arithmetic."""
    return together / known


def wilson(together: np.ndarray, known: np.ndarray) -> np.ndarray:
    r"""The lower end of Wilson's 95 % interval for M successes in n trials.

    .. math:: \frac{\hat{p} + z^2/2n - z \sqrt{\hat{p}(1-\hat{p})/n + z^2/4n^2}}{1 + z^2/n}

    (E. B. Wilson, *Probable inference, the law of succession, and statistical inference*, 1927.)

    >>> wilson(np.array([2.0, 200.0]), np.array([2.0, 200.0])).round(3).tolist()
    [0.342, 0.981]
    """
    p, n = together / known, known
    centre = p + Z * Z / (2 * n)
    spread = Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return (centre - spread) / (1 + Z * Z / n)


PROBABILITIES = {"ratio": ratio, "wilson": wilson}


def mine_edges(
    present: "csr_array", unknown: "csr_array", rule: EdgeRule, max_entries: int = 1 << 26
) -> tuple[Tensor, Tensor]:
    """``edge_index`` (2, E) and P (E,) float64 of the pairs of labels in ``present`` that ``rule`` takes.

    Rows of the pair counts are made in blocks, filtered at once and forgotten; blocks run on as many threads as there
    are cores.

    Args:
        present, unknown: (N, C) sparse, ones where a label is present, or unknown.
        rule: what becomes an edge.
        max_entries: pair counts that may exist at a time, over all threads (about 45 bytes each).
    """
    by_label = present.T.tocsr()
    label_counts = np.diff(by_label.indptr)
    threads = os.cpu_count() or 1
    lengths = np.diff(present.indptr).astype(np.int64), np.diff(unknown.indptr).astype(np.int64)
    blocks = list(_blocks(by_label, lengths, max(1, max_entries // threads), threads))

    def mine(block: slice) -> tuple:
        rows = by_label[block]
        pairs = (rows @ present).tocoo()
        row, column = pairs.coords
        known = label_counts[block.start + row]
        if unknown.nnz:
            known = known - (rows @ unknown).tocsr()[row, column]
        return rule.select(row.astype(np.int64) + block.start, column.astype(np.int64), pairs.data, known)

    if len(blocks) == 1:
        parts = [mine(blocks[0])]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(mine, blocks))
    return join_edges(parts)


def join_edges(parts: list[tuple]) -> tuple[Tensor, Tensor]:
    """Selected (row, column, probability) parts, in order, as ``edge_index`` and P."""
    row, column, prob = (np.concatenate(values) for values in zip(*parts, strict=True))
    return torch.from_numpy(np.stack([row, column])), torch.from_numpy(prob)


def _blocks(
    by_label: "csr_array", lengths: tuple[np.ndarray, np.ndarray], max_entries: int, threads: int
) -> Iterator[slice]:
    """Consecutive rows with at most ``max_entries`` pair counts (or one row, however long), no thread left idle."""
    num_labels = by_label.shape[0]
    # the additions that a row takes: one for every present, or unknown, label in every image with i; its entries are
    # no more than these, nor than C
    works = [by_label @ length for length in lengths]
    work = works[0] + works[1]
    share = max(int(work.sum()) // threads, 1)
    work_before = np.concatenate([[0], work.cumsum()])
    entries = np.minimum(works[0], num_labels) + np.minimum(works[1], num_labels)
    entries_before = np.concatenate([[0], entries.cumsum()])
    start = 0
    while start < num_labels:
        by_work = np.searchsorted(work_before, work_before[start] + share, side="left")
        by_entries = np.searchsorted(entries_before, entries_before[start] + max_entries, side="right") - 1
        stop = min(max(int(min(by_work, by_entries)), start + 1), num_labels)
        yield slice(start, stop)
        start = stop

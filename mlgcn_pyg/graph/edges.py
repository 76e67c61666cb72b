"""Selects which pairs of labels become edges, block by block, so that memory stays bounded."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_count, check_number, check_positive
from mlgcn_pyg.graph.fields import GraphFields

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Z = 1.959963984540054  # the two-sided 95 % point of the normal distribution
MAX_ENTRIES = 1 << 26  # pair counts in memory at a time, at about 45 bytes each: 3 GB

EdgeList = tuple[np.ndarray, np.ndarray, np.ndarray]  # i, j, P(L_j | L_i)


@dataclass(frozen=True)
class EdgeRule:
    """Decides which pairs of labels become edges i → j.

    An edge requires P_ij ≥ τ and M_ij ≥ ``min_count``. Each label i has at most ``top_k`` outgoing edges.

    Args:
        tau (float): τ in (0, 1].
        probability (str): ``"ratio"`` for P_ij = M_ij / n (Eq. 6), where n images have i present and j known.
            ``"wilson"`` for the lower bound of its 95 % confidence interval, which avoids edges that a rare label has
            by chance.
        min_count (int): the smallest M_ij of an edge.
        top_k (int or None): the largest number of edges of each i. The most probable are kept, ties in the order of the
            labels; None keeps all.

    Raises:
        InputError: if an argument is not valid; the error names it.

    >>> EdgeRule(tau=1).tau
    1.0
    """

    tau: float = 0.4
    probability: str = "ratio"
    min_count: int = 1
    top_k: int | None = None

    def __post_init__(self) -> None:
        # stored as Python numbers, whatever the type of the arguments
        object.__setattr__(self, "tau", check_number("tau", self.tau, 0, 1, open_low=True))
        check_choice("probability", self.probability, PROBABILITIES)
        object.__setattr__(self, "min_count", check_count("min_count", self.min_count))
        if self.top_k is not None:
            object.__setattr__(self, "top_k", check_positive("top_k", self.top_k))

    def select(self, row: np.ndarray, column: np.ndarray, together: np.ndarray, known: np.ndarray) -> EdgeList:
        """Selects the edges among pairs of labels.

        Args:
            row: i of each pair, sorted.
            column: j of each pair.
            together: M_ij, the number of images with i and j present.
            known: n, the number of images with i present and j known.

        Returns:
            i, j and P_ij of the edges, sorted by i and then by j.
        """
        keep = (row != column) & (together >= max(self.min_count, 1))
        # both estimates are at most M / n, so most pairs are dropped before the more expensive estimate is computed
        keep &= together >= self.tau * known * (1 - 1e-12)
        row, column, together, known = row[keep], column[keep], together[keep], known[keep]
        prob = PROBABILITIES[self.probability](together.astype(np.float64), known.astype(np.float64))
        keep = prob >= self.tau
        row, column, prob = row[keep], column[keep], prob[keep]
        if self.top_k is not None and len(row):
            order = np.lexsort((column, -prob, row))
            first = np.searchsorted(row, row, side="left")  # the position at which each pair's row begins
            order = order[np.arange(len(row)) - first < self.top_k]
            row, column, prob = row[order], column[order], prob[order]
        order = np.lexsort((column, row))
        return row[order], column[order], prob[order]


def ratio(together: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns P = M / n in float64, in which 7/10 ≥ 0.7 holds."""
    return together / known


def wilson(together: np.ndarray, known: np.ndarray) -> np.ndarray:
    r"""Returns the lower bound of Wilson's 95 % confidence interval for M successes in n trials.

    .. math:: \frac{\hat{P} + z^2/2n - z \sqrt{\hat{P}(1-\hat{P})/n + z^2/4n^2}}{1 + z^2/n},
        \qquad \hat{P} = M / n

    From E. B. Wilson, *Probable inference, the law of succession, and statistical inference*, 1927.

    Args:
        together: M.
        known: n ≥ M.

    >>> wilson(np.array([2.0, 200.0]), np.array([2.0, 200.0])).round(3).tolist()
    [0.342, 0.981]
    """
    ratio, n = together / known, known
    centre = ratio + Z * Z / (2 * n)
    spread = Z * np.sqrt(ratio * (1 - ratio) / n + Z * Z / (4 * n * n))
    return (centre - spread) / (1 + Z * Z / n)


PROBABILITIES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"ratio": ratio, "wilson": wilson}


def certain_probabilities(graph: GraphFields) -> Tensor:
    """Returns (E,) the lower bounds of the 95 % confidence intervals of P(L_j | L_i), given N_i.

    They are ``edge_prob`` itself for ``probability="wilson"`` and for a graph without label counts.

    Args:
        graph: a label graph.

    >>> from mlgcn_pyg import LabelGraph
    >>> certain_probabilities(LabelGraph.from_targets([[1, 1]])).round(decimals=3)  # one image is little evidence
    tensor([0.2070, 0.2070], dtype=torch.float64)
    """
    known = graph.label_counts[graph.edge_index[0]].cpu().double().numpy()
    if graph.probability == "wilson" or not np.all(known > 0):
        return graph.edge_prob
    return torch.from_numpy(wilson(graph.edge_prob.cpu().double().numpy() * known, known))


def mine_edges(
    present: "csr_array", unknown: "csr_array", rule: EdgeRule, max_entries: int = MAX_ENTRIES
) -> tuple[Tensor, Tensor]:
    """Selects the edges among all pairs of labels that occur together.

    The rows of the pair counts are computed in blocks, on as many threads as there are cores, and dropped as soon as
    their edges are selected.

    Args:
        present: (N, C) sparse, 1 where a label is present.
        unknown: (N, C) sparse, 1 where a label is unknown.
        rule: which pairs become edges.
        max_entries: the largest number of pair counts in memory at a time, over all threads.

    Returns:
        ``edge_index`` (2, E) and P (E,) float64.
    """
    by_label = present.T.tocsr()
    label_counts = np.diff(by_label.indptr)
    threads = os.cpu_count() or 1
    lengths = np.diff(present.indptr).astype(np.int64), np.diff(unknown.indptr).astype(np.int64)
    blocks = list(_blocks(by_label, lengths, max(1, max_entries // threads), threads))

    def mine(block: slice) -> EdgeList:
        rows = by_label[block]
        pairs = (rows @ present).tocoo()
        row, column = pairs.coords
        known = label_counts[block.start + row]
        if unknown.nnz and len(row):  # SciPy 1.13 returns a matrix for an empty selection
            known = known - (rows @ unknown).tocsr()[row, column]
        return rule.select(row.astype(np.int64) + block.start, column.astype(np.int64), pairs.data, known)

    if len(blocks) == 1:
        parts = [mine(blocks[0])]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(mine, blocks))
    return join_edges(parts)


def join_edges(parts: Sequence[EdgeList]) -> tuple[Tensor, Tensor]:
    """Returns ``edge_index`` (2, E) and P (E,) of edges that were selected in parts."""
    row, column, prob = (np.concatenate(values) for values in zip(*parts, strict=True))
    return torch.from_numpy(np.stack([row, column])), torch.from_numpy(prob)


def _blocks(
    by_label: "csr_array", lengths: tuple[np.ndarray, np.ndarray], max_entries: int, threads: int
) -> Iterator[slice]:
    """Yields consecutive rows with at most ``max_entries`` pair counts, or a single row that has more.

    The blocks are small enough for every thread to get one.
    """
    num_labels = by_label.shape[0]
    # The work for row i is one addition for every present or unknown label in every image that has i. The row has at
    # most that many entries, and at most C.
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

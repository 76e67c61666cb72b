"""Selects the edges of a label graph block by block, so that memory stays bounded."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.graph.edges import EdgeList, EdgeRule

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_ENTRIES = 1 << 26  # pair counts in memory at a time, at about 45 bytes each: 3 GB


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

    Raises:
        InputError: if all pairs are edges and there are too many labels.
    """
    rule.check_labels(present.shape[1])
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
    return join_edges(parts, rule, len(label_counts))


def join_edges(parts: Sequence[EdgeList], rule: EdgeRule, num_labels: int) -> tuple[Tensor, Tensor]:
    """Returns ``edge_index`` (2, E) and P (E,) of edges that were selected in parts.

    Args:
        parts: the edges among the pairs that occur together, from :meth:`EdgeRule.select`.
        rule: the rule that selected them. With τ = 0, it also selects pairs that never occur together.
        num_labels: C.
    """
    row, column, prob = (np.concatenate(values) for values in zip(*parts, strict=True))
    if rule.is_complete:
        row, column, prob = _complete((row, column, prob), num_labels, rule.top_k)
    return torch.from_numpy(np.stack([row, column])), torch.from_numpy(prob)


def _complete(edges: EdgeList, num_labels: int, top_k: int | None) -> EdgeList:
    """Adds the other pairs i ≠ j with P = 0, for each i the first labels j until it has ``top_k`` edges."""
    row, column, likely = edges
    prob = np.zeros((num_labels, num_labels))
    prob[row, column] = likely
    keep = ~np.eye(num_labels, dtype=bool)
    if top_k is not None and top_k < num_labels:
        order = np.argsort(np.where(keep, -prob, np.inf), axis=1, kind="stable")  # i itself comes last
        np.put_along_axis(keep, order[:, top_k:], False, axis=1)
    row, column = np.nonzero(keep)
    return row, column, prob[row, column]


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

"""Counting which labels occur together, sparsely and in any number of pieces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.edges import EdgeRule, join_edges, mine_edges
from mlgcn_pyg.graph.targets import from_label_ids, present_and_unknown

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class CooccurrenceCounter:
    r"""Counts labels and pairs of labels over batches of targets (Sec. 3.3, Eq. 6).

    .. math::
        N_i = \#\{i\ \text{present}\}, \quad M_{ij} = \#\{i, j\ \text{present}\}, \quad
        P_{ij} = M_{ij} / \#\{i\ \text{present}, j\ \text{known}\}

    A target of −1 (unknown, difficult) is no evidence either way: it leaves numerator and denominator.
    What is kept are the ids of the labels seen, a few bytes each; pairs are counted when they are asked for. Counts of
    different images add up, so counters that saw different images, in other processes, can be merged.

    Args:
        num_labels: C ≥ 1.

    Attributes:
        num_images: images seen.
        label_counts: (C,) int64, N_i.

    >>> counter = CooccurrenceCounter(3).update([[1, 1, 0], [1, 0, 0], [1, -1, 1]])
    >>> counter.label_counts.tolist()
    [3, 1, 1]
    >>> counter.probabilities().toarray().round(2).tolist()  # label 1 is known in two of label 0's three images
    [[0.0, 0.5, 0.33], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, num_labels: int):
        self.num_labels = check_positive("num_labels", num_labels)
        self.num_images = 0
        self.label_counts = torch.zeros(self.num_labels, dtype=torch.int64)
        self._present: list[csr_array] = []
        self._unknown: list[csr_array] = []

    def update(self, targets) -> "CooccurrenceCounter":
        """Adds the images of ``targets`` (B, C) in {-1, 0, 1}, dense or SciPy sparse; B may be 0.

        Raises InputError for anything else.
        """
        return self._add(*present_and_unknown(targets, self.num_labels))

    def update_ids(self, rows: Sequence[Sequence[int]]) -> "CooccurrenceCounter":
        """Adds images given as lists of the ids of their labels; all other labels are absent."""
        from scipy.sparse import csr_array

        present = from_label_ids(rows, self.num_labels)
        return self._add(present, csr_array(present.shape, dtype=np.int32))

    def _add(self, present: "csr_array", unknown: "csr_array") -> "CooccurrenceCounter":
        self.num_images += present.shape[0]
        self.label_counts += torch.from_numpy(np.bincount(present.indices, minlength=self.num_labels))
        self._present.append(present)
        self._unknown.append(unknown)
        return self

    def merge(self, other: "CooccurrenceCounter") -> "CooccurrenceCounter":
        """Adds what another counter over the same labels has seen."""
        if other.num_labels != self.num_labels:
            raise InputError("other", f"a counter over {self.num_labels} labels", f"one over {other.num_labels}")
        return self._add(other._all_present(), other._all_unknown())

    def _all_present(self) -> "csr_array":
        self._present = [_stacked(self._present, self.num_labels)]
        return self._present[0]

    def _all_unknown(self) -> "csr_array":
        self._unknown = [_stacked(self._unknown, self.num_labels)]
        return self._unknown[0]

    @property
    def pair_counts(self) -> "csr_array":
        """(C, C) sparse int64, M_ij with an empty diagonal; all pairs at once (see :meth:`edges` for many labels)."""
        present = self._all_present()
        return _without_diagonal(present.T.tocsr() @ present).astype(np.int64)

    @property
    def unknown_counts(self) -> "csr_array":
        """(C, C) sparse int64, images with i present and j unknown."""
        return (self._all_present().T.tocsr() @ self._all_unknown()).astype(np.int64)

    def probabilities(self) -> "csr_array":
        """P (C, C) in float64, sparse: P_ij = P(L_j | L_i); rows of labels never seen are empty."""
        from scipy.sparse import csr_array

        pairs = self.pair_counts.tocoo()
        rows, columns = pairs.coords
        known = self.label_counts.numpy()[rows]
        if (unknown := self.unknown_counts).nnz:
            known = known - unknown[rows, columns]
        return csr_array((pairs.data / known.astype(np.float64), (rows, columns)), shape=pairs.shape)

    def edges(self, rule: EdgeRule | None = None, max_entries: int = 1 << 26) -> tuple[Tensor, Tensor]:
        """``edge_index`` (2, E) and P (E,) of the pairs that ``rule`` takes, in bounded memory.

        ``max_entries`` is how many pair counts may exist at a time (about 45 bytes each).
        """
        present, unknown = self._all_present(), self._all_unknown()
        return mine_edges(present, unknown, rule or EdgeRule(), check_positive("max_entries", max_entries))


def edges_of_counts(label_counts: Tensor, pair_counts, rule: EdgeRule) -> tuple[Tensor, Tensor]:
    """``edge_index`` (2, E) and P (E,) from ready counts, dense or sparse (C, C), refused where no images gave them.

    The diagonal may be zero or hold N_i; it is dropped. Raises InputError for another shape, negative or fractional
    counts, an asymmetric matrix, or M_ij > N_i (a probability above 1).
    """
    pairs = checked_pair_counts(label_counts, pair_counts).tocoo()
    row, column = (k.astype(np.int64) for k in pairs.coords)
    order = np.argsort(row, kind="stable")
    row, column, together = row[order], column[order], pairs.data[order]
    return join_edges([rule.select(row, column, together, label_counts.numpy()[row])])


def checked_pair_counts(label_counts: Tensor, pair_counts) -> "csr_array":
    """Pair counts (C, C) without their diagonal, if some set of images could have given them."""
    from scipy.sparse import csr_array, issparse

    if isinstance(pair_counts, Tensor):
        pair_counts = _from_torch(pair_counts.cpu())
    num_labels = len(label_counts)
    given = csr_array(pair_counts if issparse(pair_counts) else np.asarray(pair_counts))
    if given.shape != (num_labels, num_labels):
        raise InputError("pair_counts", f"shape ({num_labels}, {num_labels})", f"shape {given.shape}")
    values = given.data
    if not np.all(np.isfinite(values)) or np.any(values < 0) or np.any(values != np.floor(values)):
        raise InputError("pair_counts", "whole numbers ≥ 0", "negative, fractional or non-finite entries")
    pairs = _without_diagonal(given.astype(np.int64))
    if (pairs != pairs.T).nnz:
        i, j = (int(k[0]) for k in (pairs != pairs.T).nonzero())
        raise InputError("pair_counts", "a symmetric matrix", f"M[{i},{j}] = {pairs[i, j]}, M[{j},{i}] = {pairs[j, i]}")
    coo = pairs.tocoo()
    i, j = coo.coords
    beyond = np.flatnonzero(coo.data > label_counts.numpy()[i])
    if len(beyond):
        k = beyond[0]
        raise InputError(
            "pair_counts",
            "at most as many images with both labels as with one (P ≤ 1)",
            f"M[{i[k]},{j[k]}] = {coo.data[k]} but label {i[k]} is in {int(label_counts[i[k]])} images",
            fix="count pairs and labels over the same images, each image once",
        )
    return pairs


def _from_torch(matrix: Tensor):
    if matrix.layout == torch.strided:
        return matrix.numpy()
    from scipy.sparse import coo_array

    entries = matrix.to_sparse_coo().coalesce()
    return coo_array((entries.values().numpy(), tuple(entries.indices().numpy())), shape=tuple(matrix.shape))


def _without_diagonal(matrix) -> "csr_array":
    from scipy.sparse import csr_array

    coo = matrix.tocoo()
    row, column = coo.coords
    keep = (row != column) & (coo.data != 0)
    return csr_array((coo.data[keep], (row[keep], column[keep])), shape=coo.shape)


def _stacked(parts: list, num_labels: int) -> "csr_array":
    from scipy.sparse import csr_array, vstack

    if not parts:
        return csr_array((0, num_labels), dtype=np.int32)
    return parts[0] if len(parts) == 1 else csr_array(vstack(parts, format="csr"))

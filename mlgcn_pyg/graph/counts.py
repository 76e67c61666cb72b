"""Counting which labels occur together, sparsely and in any number of pieces."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import bad_input, check_positive, check_targets

if TYPE_CHECKING:  # SciPy is loaded where it is used: importing the package stays light
    from scipy.sparse import csr_array


class CooccurrenceCounter:
    r"""Counts labels and pairs of labels over batches of targets (Sec. 3.3, Eq. 6).

    .. math::
        N_i = \#\{i\ \text{present}\}, \quad M_{ij} = \#\{i, j\ \text{present}\}, \quad
        P_{ij} = M_{ij} / \#\{i\ \text{present}, j\ \text{known}\}

    A target of −1 (unknown, difficult) is no evidence either way: it leaves numerator and denominator.
    Counts of different images add up, so counters that saw different images can be merged.

    Args:
        num_labels: C ≥ 1.

    Attributes:
        num_images: images seen.
        label_counts: (C,) int64, N_i.
        pair_counts: (C, C) sparse int64, M_ij with an empty diagonal.
        unknown_counts: (C, C) sparse int64, images with i present and j unknown.

    >>> counter = CooccurrenceCounter(3).update([[1, 1, 0], [1, 0, 0], [1, -1, 1]])
    >>> counter.label_counts.tolist()
    [3, 1, 1]
    >>> counter.probabilities().toarray().round(2).tolist()  # label 1 is known in two of label 0's three images
    [[0.0, 0.5, 0.33], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, num_labels: int):
        from scipy.sparse import csr_array

        self.num_labels = check_positive("num_labels", num_labels)
        self.num_images = 0
        self.label_counts = torch.zeros(num_labels, dtype=torch.int64)
        self.pair_counts = csr_array((num_labels, num_labels), dtype=np.int64)
        self.unknown_counts = csr_array((num_labels, num_labels), dtype=np.int64)

    def update(self, targets) -> "CooccurrenceCounter":
        """Adds the images of ``targets`` (B, C) in {-1, 0, 1}; B may be 0. Raises InputError for anything else."""
        from scipy.sparse import csr_array

        targets = check_targets("targets", targets, self.num_labels).cpu().numpy()
        present = csr_array(targets == 1, dtype=np.int64)
        self.num_images += len(targets)
        self.label_counts += torch.from_numpy(present.sum(axis=0))
        self.pair_counts = self.pair_counts + _without_diagonal(present.T @ present)
        unknown = csr_array(targets == -1, dtype=np.int64)
        if unknown.nnz:
            self.unknown_counts = self.unknown_counts + (present.T @ unknown).tocsr()
        return self

    def merge(self, other: "CooccurrenceCounter") -> "CooccurrenceCounter":
        """Adds the counts of another counter over the same labels."""
        if other.num_labels != self.num_labels:
            raise bad_input("other", f"a counter over {self.num_labels} labels", f"one over {other.num_labels}")
        self.num_images += other.num_images
        self.label_counts += other.label_counts
        self.pair_counts = self.pair_counts + other.pair_counts
        self.unknown_counts = self.unknown_counts + other.unknown_counts
        return self

    def probabilities(self) -> "csr_array":
        """P (C, C) in float64, sparse: P_ij = P(L_j | L_i); rows of labels never seen are empty."""
        return conditional_probabilities(self.label_counts, self.pair_counts, self.unknown_counts)


def conditional_probabilities(
    label_counts: Tensor, pair_counts: "csr_array", unknown_counts: "csr_array"
) -> "csr_array":
    """P_ij = M_ij / (N_i − U_ij) in float64 at the non-zero pairs: 7 of 10 is ≥ 0.7, as in exact arithmetic."""
    from scipy.sparse import csr_array

    pairs = pair_counts.tocoo()
    rows, columns = pairs.coords
    known = label_counts.numpy()[rows]
    if unknown_counts.nnz:
        known = known - unknown_counts.tocsr()[rows, columns]
    return csr_array((pairs.data / known.astype(np.float64), (rows, columns)), shape=pairs.shape)


def checked_pair_counts(label_counts: Tensor, pair_counts) -> "csr_array":
    """Pair counts from a dense or sparse (C, C) matrix, refused where no set of images could have given them.

    The diagonal may be zero or hold N_i; it is dropped. Raises InputError for another shape, negative or fractional
    counts, an asymmetric matrix, or M_ij > N_i (a probability above 1).
    """
    from scipy.sparse import csr_array, issparse

    if isinstance(pair_counts, Tensor):
        pair_counts = pair_counts.cpu().to_dense().numpy()
    num_labels = len(label_counts)
    given = csr_array(pair_counts if issparse(pair_counts) else np.asarray(pair_counts))
    if given.shape != (num_labels, num_labels):
        raise bad_input("pair_counts", f"shape ({num_labels}, {num_labels})", f"shape {given.shape}")
    values = given.data
    if not np.all(np.isfinite(values)) or np.any(values < 0) or np.any(values != np.floor(values)):
        raise bad_input("pair_counts", "whole numbers ≥ 0", "negative, fractional or non-finite entries")
    pairs = _without_diagonal(given.astype(np.int64))
    if (pairs != pairs.T).nnz:
        i, j = (int(k[0]) for k in (pairs != pairs.T).nonzero())
        raise bad_input("pair_counts", "a symmetric matrix", f"M[{i},{j}] = {pairs[i, j]}, M[{j},{i}] = {pairs[j, i]}")
    coo = pairs.tocoo()
    i, j = coo.coords
    beyond = np.flatnonzero(coo.data > label_counts.numpy()[i])
    if len(beyond):
        k = beyond[0]
        raise bad_input(
            "pair_counts",
            "at most as many images with both labels as with one (P ≤ 1)",
            f"M[{i[k]},{j[k]}] = {coo.data[k]} but label {i[k]} is in {int(label_counts[i[k]])} images",
            fix="count pairs and labels over the same images, each image once",
        )
    return pairs


def _without_diagonal(matrix) -> "csr_array":
    from scipy.sparse import csr_array

    coo = matrix.tocoo()
    row, column = coo.coords
    keep = (row != column) & (coo.data != 0)
    return csr_array((coo.data[keep], (row[keep], column[keep])), shape=coo.shape)

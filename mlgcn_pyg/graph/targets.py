"""Targets of any form as sparse rows of label ids."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from mlgcn_pyg.checks import check_targets
from mlgcn_pyg.errors import InputError

if TYPE_CHECKING:  # SciPy is loaded where it is used: importing the package stays light
    from scipy.sparse import csr_array


def present_and_unknown(targets, num_labels: int) -> "tuple[csr_array, csr_array]":
    """Which labels are present (1) and which unknown (−1), each as a sparse (N, C) matrix of ones.

    ``targets`` is dense (tensor, array, nested lists) or a SciPy sparse matrix, with values in {-1, 0, 1}; what a
    sparse matrix does not store is absent. Raises InputError for anything else.
    """
    from scipy.sparse import issparse

    if issparse(targets):
        return _from_sparse(targets, num_labels)
    dense = _small_integers(targets, num_labels)
    flat = dense.reshape(-1)
    if flat.size and flat.min() < 0:
        return _rows(np.flatnonzero(flat == 1), dense.shape), _rows(np.flatnonzero(flat == -1), dense.shape)
    # zeros and ones only: looked through as truth values, several at a time
    return _rows(np.flatnonzero(flat.view(bool)), dense.shape), _rows(np.zeros(0, np.int64), dense.shape)


def from_label_ids(rows: Sequence[Sequence[int]], num_labels: int) -> "csr_array":
    """Present labels (N, C) from lists of label ids, one list per image; a label listed twice counts once.

    >>> from_label_ids([[2, 0], [], [1, 1]], num_labels=3).toarray().tolist()
    [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    """
    from scipy.sparse import csr_array

    lengths = np.fromiter((len(row) for row in rows), np.int64, count=len(rows))
    given = [np.asarray(row) for row in rows if len(row)]
    for row in given:
        if row.dtype.kind not in "iu" or row.ndim != 1:
            raise InputError("targets", "lists of whole label ids", f"{row.tolist()[:5]}")
    ids = np.concatenate([row.astype(np.int64) for row in given]) if given else np.zeros(0, np.int64)
    if ids.size and (ids.min() < 0 or ids.max() >= num_labels):
        worst = int(ids.min() if ids.min() < 0 else ids.max())
        raise InputError("targets", f"label ids in 0…{num_labels - 1}", worst)
    pointer = np.concatenate([[0], lengths.cumsum()])
    present = csr_array((np.ones(len(ids), np.int32), ids, pointer), shape=(len(rows), num_labels))
    present.sum_duplicates()
    present.data[:] = 1
    return present


def _small_integers(targets, num_labels: int) -> np.ndarray:
    """Targets as contiguous int8, their values checked; integers are checked by their extremes alone."""
    targets = torch.as_tensor(targets)
    if targets.layout != torch.strided:
        raise InputError("targets", "a dense tensor, or a SciPy sparse matrix", f"a tensor of layout {targets.layout}")
    integers = not targets.is_floating_point() and targets.dtype != torch.bool
    if integers and targets.dim() == 2 and targets.size(1) == num_labels and targets.numel():
        low, high = (int(v) for v in targets.aminmax())
        if low >= -1 and high <= 1:
            return targets.to(torch.int8).cpu().contiguous().numpy()
    return check_targets("targets", targets, num_labels).cpu().contiguous().numpy()


def _rows(flat_positions: np.ndarray, shape: tuple[int, int]) -> "csr_array":
    """The (N, C) matrix of ones at positions in row-major order."""
    from scipy.sparse import csr_array

    if shape[0] * shape[1] < 2**31:
        flat_positions = flat_positions.astype(np.int32)  # halves the time of the divisions
    row = flat_positions // max(shape[1], 1)
    pointer = np.concatenate([[0], np.bincount(row, minlength=shape[0]).cumsum()])
    columns = flat_positions - row * shape[1]
    index = np.int32 if len(row) < 2**31 else np.int64  # SciPy is faster with the narrow one
    return csr_array((np.ones(len(row), np.int32), columns.astype(index), pointer.astype(index)), shape=shape)


def _from_sparse(targets, num_labels: int) -> "tuple[csr_array, csr_array]":
    from scipy.sparse import csr_array

    given = csr_array(targets)
    if given.shape[1] != num_labels:
        raise InputError("targets", f"a matrix of shape (num_images, {num_labels})", f"shape {given.shape}")
    if not given.has_canonical_format:
        given = given.copy()  # the caller's matrix stays as it is
        given.sum_duplicates()
    strange = ~np.isin(given.data, (-1, 0, 1))
    if strange.any():
        raise InputError("targets", "values in {-1, 0, 1}", given.data[strange.argmax()])
    return tuple(_only(given, value) for value in (1, -1))


def _only(given: "csr_array", value: int) -> "csr_array":
    from scipy.sparse import csr_array

    keep = given.data == value
    kept_before = np.concatenate([[0], keep.cumsum()])
    parts = (np.ones(int(keep.sum()), np.int32), given.indices[keep], kept_before[given.indptr])
    return csr_array(parts, shape=given.shape)

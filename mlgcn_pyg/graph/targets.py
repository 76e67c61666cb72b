"""Converts targets in any form to sparse matrices."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from mlgcn_pyg.checks import check_targets, check_tensor
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.graph.fields import Array, SparseMatrix
from mlgcn_pyg.graph.sparse import is_sparse

if TYPE_CHECKING:  # SciPy is imported inside functions, so that importing the package is fast
    from scipy.sparse import csr_array


def present_and_unknown(targets: Array | SparseMatrix, num_labels: int) -> "tuple[csr_array, csr_array]":
    """Returns which labels are present (1) and which are unknown (−1), each as a sparse (N, C) matrix of ones.

    Args:
        targets: (N, C) in {-1, 0, 1}: a dense tensor or array, nested lists, or a SciPy sparse matrix, whose missing
            entries are absent labels.
        num_labels: C.

    Raises:
        InputError: if the shape or a value is not valid.
    """
    if is_sparse(targets):
        return _from_sparse(targets, num_labels)
    dense = _dense_int8(targets, num_labels)
    flat = dense.reshape(-1)
    if flat.size and flat.min() < 0:
        return _rows(np.flatnonzero(flat == 1), dense.shape), _rows(np.flatnonzero(flat == -1), dense.shape)
    # flatnonzero is several times faster on booleans
    return _rows(np.flatnonzero(flat.view(bool)), dense.shape), _rows(np.zeros(0, np.int64), dense.shape)


def from_label_ids(rows: Sequence[Sequence[int]], num_labels: int) -> "csr_array":
    """Converts lists of label ids to a sparse matrix (N, C) of ones.

    Args:
        rows: one list per image; an id that is listed twice counts once.
        num_labels: C.

    Raises:
        InputError: if an id is not an integer in 0…C−1.

    >>> from_label_ids([[2, 0], [], [1, 1]], num_labels=3).toarray().tolist()
    [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    """
    from scipy.sparse import csr_array

    try:
        arrays = [np.asarray(row) for row in rows]
    except (TypeError, ValueError) as error:
        raise InputError("rows", "lists of integer label ids", first_line(error)) from error
    for row in arrays:
        if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
            raise InputError("rows", "lists of integer label ids", str(row.tolist())[:60])
    ids = np.concatenate([np.zeros(0, np.int64), *(row.astype(np.int64) for row in arrays if row.size)])
    if ids.size and (ids.min() < 0 or ids.max() >= num_labels):
        invalid_id = int(ids.min() if ids.min() < 0 else ids.max())
        raise InputError("rows", f"label ids in 0…{num_labels - 1}", invalid_id)
    pointer = np.concatenate([[0], np.cumsum([row.size for row in arrays], dtype=np.int64)])
    present = csr_array((np.ones(len(ids), np.int32), ids, pointer), shape=(len(arrays), num_labels))
    present.sum_duplicates()
    present.data[:] = 1
    return present


def _dense_int8(targets: Array | SparseMatrix, num_labels: int) -> np.ndarray:
    """Returns dense targets as a contiguous int8 array.

    For integers, checking the smallest and the largest value is sufficient.
    """
    tensor = check_tensor("targets", targets)
    if tensor.layout != torch.strided:
        raise InputError("targets", "a dense tensor, or a SciPy sparse matrix", f"a tensor of layout {tensor.layout}")
    integers = tensor.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    if integers and tensor.dim() == 2 and tensor.size(1) == num_labels and tensor.numel():
        low, high = (int(extreme) for extreme in tensor.aminmax())
        if low >= -1 and high <= 1:
            return tensor.to(torch.int8).cpu().contiguous().numpy()
    return check_targets("targets", tensor, num_labels).cpu().contiguous().numpy()


def _rows(flat_positions: np.ndarray, shape: tuple[int, int]) -> "csr_array":
    """Returns a matrix (N, C) with ones at the given positions, which count in row-major order."""
    from scipy.sparse import csr_array

    if shape[0] * shape[1] < 2**31:
        flat_positions = flat_positions.astype(np.int32)  # halves the time of the division
    row = flat_positions // max(shape[1], 1)
    pointer = np.concatenate([[0], np.bincount(row, minlength=shape[0]).cumsum()])
    columns = flat_positions - row * shape[1]
    index = np.int32 if len(row) < 2**31 else np.int64  # SciPy is faster with int32
    return csr_array((np.ones(len(row), np.int32), columns.astype(index), pointer.astype(index)), shape=shape)


def _from_sparse(targets: SparseMatrix, num_labels: int) -> "tuple[csr_array, csr_array]":
    from scipy.sparse import csr_array

    given = csr_array(targets)
    if given.shape[1] != num_labels:
        raise InputError("targets", f"a matrix of shape (num_images, {num_labels})", f"shape {given.shape}")
    if not given.has_canonical_format:
        given = given.copy()  # the caller's matrix is not changed
        given.sum_duplicates()
    invalid = ~np.isin(given.data, (-1, 0, 1))
    if invalid.any():
        raise InputError("targets", "values in {-1, 0, 1}", given.data[invalid.argmax()])
    return _ones_where(given, 1), _ones_where(given, -1)


def _ones_where(given: "csr_array", value: int) -> "csr_array":
    """Returns a matrix with ones where the entries of ``given`` equal ``value``."""
    from scipy.sparse import csr_array

    keep = given.data == value
    kept_before = np.concatenate([[0], keep.cumsum()])
    parts = (np.ones(int(keep.sum()), np.int32), given.indices[keep], kept_before[given.indptr])
    return csr_array(parts, shape=given.shape)

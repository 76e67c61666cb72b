"""Nearest neighbours by cosine, block by block, so that memory stays bounded."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_finite, check_positive, check_tensor
from mlgcn_pyg.errors import InputError

ROWS, QUERIES = 4096, 1024  # rows and queries that are compared at a time
STEPS = 1 << 20  # cosines are compared in steps of 2⁻²⁰, which float32 can tell apart, whatever the block is
LAST = (1 << 32) - 1


def as_rows(argument: str, features: Any, k: int) -> Any:
    """Returns features as something that has a shape and is indexed with rows, after checking that k rows are others.

    Raises:
        InputError: if the shape is not (N, D) or (N, V, D), or ``k`` is not in 1…N−1.
    """
    rows = features.detach().cpu() if isinstance(features, Tensor) else features
    rows = rows if hasattr(rows, "shape") else check_tensor(argument, rows)
    if len(rows.shape) not in (2, 3):
        raise InputError(argument, "shape (N, D) or (N, V, D)", f"shape {tuple(rows.shape)}")
    if check_positive("k", k) >= rows.shape[0]:
        raise InputError("k", f"fewer neighbours than the {rows.shape[0]} rows of {argument}", k)
    return rows


def unit_rows(argument: str, features: Any, numbers: Tensor) -> Tensor:
    """Returns rows of features, or of their first view, with length 1 in float32.

    Rows of zeros stay zeros: their cosine with every row is 0.

    Raises:
        InputError: if a row is not finite.
    """
    rows = features[numbers if isinstance(features, Tensor) else numbers.numpy()]
    rows = (rows if isinstance(rows, Tensor) else torch.from_numpy(np.asarray(rows))).float()
    rows = rows[:, 0] if rows.dim() == 3 else rows
    check_finite(argument, rows, rows=numbers)
    largest = rows.abs().amax(dim=1, keepdim=True) if rows.size(1) else rows.new_ones(len(rows), 1)
    rows = rows / torch.where(largest > 0, largest, 1)  # its square neither overflows nor vanishes
    return torch.nn.functional.normalize(rows, dim=1)


def nearest(features: Any, rows: Tensor, k: int, argument: str = "features") -> Tensor:
    """Returns the k rows with the largest cosines to each of some rows, which are not their own neighbours.

    Ties are in the order of the rows. Cosines that differ by less than about 10⁻⁶ may count as ties.

    Args:
        features: (N, D) or (N, V, D), of which the first view is used: a tensor, an array, or a memory map.
        rows: (Q,) int64, the rows whose neighbours are searched.
        k: the number of neighbours, below N.
        argument: the name of ``features`` in an error message.

    Returns:
        Row numbers (Q, k) int64, the nearest first.

    Raises:
        InputError: if ``features`` has another shape or is not finite, or ``k`` is not in 1…N−1.

    >>> nearest([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], torch.tensor([0, 2]), k=2)
    tensor([[1, 2],
            [1, 0]])
    """
    features = as_rows(argument, features, k)
    parts = [_nearest(features, part, k, argument) for part in rows.split(QUERIES)]
    return torch.cat(parts) if parts else torch.empty(0, k, dtype=torch.int64)


def _nearest(features: Any, rows: Tensor, k: int, argument: str) -> Tensor:
    """Returns the neighbours (B, k) of one block of rows."""
    queries = unit_rows(argument, features, rows)
    best = torch.full((len(rows), k), torch.iinfo(torch.int64).min)
    for start, stop in blocks(features.shape[0]):
        cosines = queries @ unit_rows(argument, features, torch.arange(start, stop)).t()
        keys = _keys(cosines, start)
        own = ((rows >= start) & (rows < stop)).nonzero().flatten()
        keys[own, rows[own] - start] = torch.iinfo(torch.int64).min
        best = torch.cat([best, keys], dim=1).topk(k, dim=1).values
    return LAST - (best & LAST)


def blocks(num_rows: int) -> Iterator[tuple[int, int]]:
    """Yields the start and the stop of consecutive blocks of rows."""
    for start in range(0, num_rows, ROWS):
        yield start, min(start + ROWS, num_rows)


def _keys(cosines: Tensor, start: int) -> Tensor:
    """Returns integers in the order of the cosines and then of the rows, the first row highest."""
    order = LAST - torch.arange(start, start + cosines.size(1))
    return ((cosines * STEPS).round().long() << 32) | order

"""Sorting and counting. On a CPU, NumPy is several times faster: it sorts values without their indices, in vector
instructions, and counts without a wider copy."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def as_array(scores: Tensor) -> NDArray[np.floating]:
    """Returns scores on the CPU as an array in float32 or float64; NumPy has no bfloat16."""
    return (scores if scores.dtype in (torch.float32, torch.float64) else scores.float()).numpy()


def sorted_columns(scores: Tensor) -> Tensor:
    """Returns the columns of scores (N, C) in ascending order, as rows (C, N)."""
    rows = scores.t().contiguous()
    return torch.from_numpy(np.sort(as_array(rows), axis=1)) if rows.is_cpu else rows.sort(dim=1).values


def kth_highest(scores: Tensor, k: int) -> Tensor:
    """Returns the k-th highest score (N, 1) of each row of scores (N, C), for 1 ≤ k ≤ C."""
    if not scores.is_cpu:
        return scores.topk(k, dim=1).values[:, -1:]
    return torch.from_numpy(np.partition(as_array(scores), -k, axis=1)[:, [-k]])


def count_true(mask: Tensor) -> Tensor:
    """Returns the number of true entries (C,) in each column of a mask (N, C), int64."""
    return torch.from_numpy(np.count_nonzero(mask.numpy(), axis=0)) if mask.is_cpu else mask.sum(dim=0)

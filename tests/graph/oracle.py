"""The formulas of the paper and of the released code, written densely and independently of the package."""

import numpy as np


def adjacency(nums, pairs, tau):
    """A_ij = [M_ij / N_i ≥ τ], i ≠ j."""
    nums, pairs = np.asarray(nums, dtype=np.float64), np.asarray(pairs, dtype=np.float64)
    a = np.zeros(pairs.shape)
    for i in range(len(nums)):
        for j in range(len(nums)):
            if i != j and nums[i] > 0 and pairs[i, j] / nums[i] >= tau and pairs[i, j] > 0:
                a[i, j] = 1.0
    return a


def dense_paper(a, p):
    out = np.zeros_like(a)
    for i, row in enumerate(a):
        if row.sum() > 0:
            out[i] = p * row / row.sum()
        out[i, i] = 1 - p
    return out


def dense_released(a, p):
    """The released scale: 0.25 · A / colsum(A) + I at p = 0.2, then Dᵀ-normalised and transposed."""
    ratio = p / (1 - p)
    column_sum = a.sum(axis=0, keepdims=True)
    b = np.divide(a * ratio, column_sum, out=np.zeros_like(a), where=column_sum > 0) + np.eye(len(a))
    d = np.diag(b.sum(axis=1) ** -0.5)
    return (b @ d).T @ d


def dense_binary(a, p):
    b = a + np.eye(len(a))
    d = np.diag(b.sum(axis=1) ** -0.5)
    return d @ b @ d


def dense_none(a, p):
    return np.eye(len(a))


DENSE = {"paper": dense_paper, "released": dense_released, "binary": dense_binary, "none": dense_none}

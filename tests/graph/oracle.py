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


def dense_co_kernel(pairs):
    """(I + 2(I − D^-½ M D^-½))⁻¹ scaled to unit diagonal."""
    m = np.array(pairs, dtype=np.float64)
    np.fill_diagonal(m, 0)
    sums = m.sum(axis=1)
    d = np.diag([1 / np.sqrt(s) if s > 0 else 0.0 for s in sums])
    k = np.linalg.inv(np.eye(len(m)) + 2 * (np.eye(len(m)) - d @ m @ d))
    scale = np.diag(np.diag(k) ** -0.5)
    return scale @ k @ scale


def dense_embedding_kernel(x):
    """The cosines of mean-centred embeddings, negative eigenvalues clipped, unit diagonal."""
    centred = np.asarray(x, dtype=np.float64) - np.asarray(x, dtype=np.float64).mean(axis=0)
    k = np.eye(len(x))
    for i, a in enumerate(centred):
        for j, b in enumerate(centred):
            if i != j and np.any(a) and np.any(b):
                k[i, j] = a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)
    values, vectors = np.linalg.eigh(k)
    k = vectors @ np.diag(values.clip(min=0)) @ vectors.T
    scale = np.diag(np.diag(k) ** -0.5)
    return scale @ k @ scale


def dense_kernel(pairs, x, alpha):
    """((1−α)I + αK)^½ by the eigenvalues, K the mean of what is known."""
    kernels = [] if pairs is None else [dense_co_kernel(pairs)]
    kernels += [] if x is None else [dense_embedding_kernel(x)]
    k = sum(kernels) / len(kernels)
    values, vectors = np.linalg.eigh((1 - alpha) * np.eye(len(k)) + alpha * k)
    return vectors @ np.diag(np.sqrt(values.clip(min=0))) @ vectors.T

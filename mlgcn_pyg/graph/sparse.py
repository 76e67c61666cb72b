"""Operations on SciPy's sparse matrices."""

from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from mlgcn_pyg.graph.fields import SparseMatrix

if TYPE_CHECKING:  # SciPy is imported inside functions, so that importing the package is fast
    from scipy.sparse import csr_array


def is_sparse(matrix: object) -> TypeGuard[SparseMatrix]:
    """Returns whether ``matrix`` is a matrix or array of ``scipy.sparse``."""
    from scipy.sparse import issparse

    return bool(issparse(matrix))


def without_diagonal(matrix: SparseMatrix) -> "csr_array":
    """Returns the matrix without its diagonal and without stored zeros."""
    from scipy.sparse import csr_array

    coo = matrix.tocoo()
    row, column = coo.coords
    keep = (row != column) & (coo.data != 0)
    return csr_array((coo.data[keep], (row[keep], column[keep])), shape=coo.shape)


def stacked(parts: "list[csr_array]", num_columns: int) -> "csr_array":
    """Stacks matrices vertically. Without ``parts``, the result has no rows."""
    from scipy.sparse import csr_array, vstack

    if not parts:
        return csr_array((0, num_columns), dtype=np.int32)
    return parts[0] if len(parts) == 1 else csr_array(vstack(parts, format="csr"))

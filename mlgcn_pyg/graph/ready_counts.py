"""Checks label counts and pair counts that were computed elsewhere, and selects edges from them."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_tensor
from mlgcn_pyg.errors import Argument, InputError, first_line
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.fields import Array, SparseMatrix
from mlgcn_pyg.graph.mining import join_edges
from mlgcn_pyg.graph.possible_counts import COUNT_AGAIN, check_diagonal, warn_of_triples
from mlgcn_pyg.graph.sparse import is_sparse, without_diagonal

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def checked_label_counts(label_counts: Array) -> Tensor:
    """Returns label counts N (C,) as int64 on the CPU.

    Raises:
        InputError: if ``label_counts`` is not a vector of C ≥ 1 integers ≥ 0.
    """
    counts = check_tensor("label_counts", label_counts, "one count per label, shape (C,)")
    if counts.dim() != 1 or len(counts) == 0:
        raise InputError("label_counts", "one count per label, shape (C,)", f"shape {tuple(counts.shape)}")
    if counts.is_complex() or not bool((counts.double() >= 0).all()) or bool((counts.long() != counts).any()):
        raise InputError("label_counts", "whole numbers ≥ 0", counts.tolist()[:5])
    return counts.long().cpu()


def edges_of_counts(label_counts: Tensor, pair_counts: "csr_array", rule: EdgeRule) -> tuple[Tensor, Tensor]:
    """Selects the edges from label counts and pair counts.

    Args:
        label_counts: N (C,), from :func:`checked_label_counts`.
        pair_counts: M (C, C), from :func:`checked_pair_counts`.
        rule: which pairs become edges.

    Returns:
        ``edge_index`` (2, E) and P (E,).
    """
    pairs = pair_counts.tocoo()
    row, column = (k.astype(np.int64) for k in pairs.coords)
    order = np.argsort(row, kind="stable")
    row, column, together = row[order], column[order], pairs.data[order]
    return join_edges([rule.select(row, column, together, label_counts.numpy()[row])], rule, len(label_counts))


def checked_pair_counts(label_counts: Tensor, pair_counts: Array | SparseMatrix) -> "csr_array":
    """Returns pair counts M (C, C) as a sparse int64 matrix without its diagonal.

    Raises:
        InputError: if the shape is not (C, C); if an entry is negative, fractional, not finite or above 2^53; if the
            matrix is not symmetric; if M_ii is neither 0 nor N_i; if M_ij > N_i, a probability above 1.
    """
    num_labels, given = len(label_counts), _as_csr(pair_counts)
    if given.shape != (num_labels, num_labels):
        raise InputError("pair_counts", f"shape ({num_labels}, {num_labels})", f"shape {given.shape}")
    values = given.data
    if not np.all(np.isfinite(values)) or np.any(values < 0) or np.any(values != np.floor(values)):
        raise InputError("pair_counts", "whole numbers ≥ 0", "negative, fractional or non-finite entries")
    if values.size and values.max() > 2**53:
        raise InputError("pair_counts", "at most 2^53 images", values.max())
    check_diagonal(label_counts.numpy(), given)
    pairs = without_diagonal(given.astype(np.int64))
    if (pairs != pairs.T).nnz:
        i, j = (int(k[0]) for k in (pairs != pairs.T).nonzero())
        raise InputError("pair_counts", "a symmetric matrix", f"M[{i},{j}] = {pairs[i, j]}, M[{j},{i}] = {pairs[j, i]}")
    coo = pairs.tocoo()
    i, j = coo.coords
    too_large = np.flatnonzero(coo.data > label_counts.numpy()[i])
    if len(too_large):
        k = too_large[0]
        raise InputError(
            "pair_counts",
            "at most as many images with both labels as with either (P ≤ 1)",
            f"M[{i[k]},{j[k]}] = {coo.data[k]} but label {i[k]} is in {int(label_counts[i[k]])} images",
            fix=COUNT_AGAIN,
        )
    warn_of_triples(label_counts.numpy(), pairs)
    return pairs


def _as_csr(matrix: Array | SparseMatrix) -> "csr_array":
    from scipy.sparse import csr_array

    try:
        values = _from_torch(matrix.cpu()) if isinstance(matrix, Tensor) else matrix
        given = csr_array(values if is_sparse(values) else np.asarray(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError("pair_counts", "a matrix (C, C)", f"{type(matrix).__name__} ({first_line(error)})") from error
    if given.dtype.kind not in "biuf":
        raise InputError("pair_counts", "a matrix of numbers", f"dtype {given.dtype}")
    return given


def _from_torch(matrix: Tensor) -> Any:
    if matrix.layout == torch.strided:
        return matrix.numpy()
    from scipy.sparse import coo_array

    entries = matrix.to_sparse_coo().coalesce()
    return coo_array((entries.values().numpy(), tuple(entries.indices().numpy())), shape=tuple(matrix.shape))


def released_loops(
    label_counts: np.ndarray, pair_counts: np.ndarray, diagonal: str | None, weighting: str
) -> Tensor | None:
    """Returns which labels the released code makes their own neighbours (C,), or None if there are none.

    Args:
        label_counts: N (C,) of a released file.
        pair_counts: M (C, C) of the file.
        diagonal: ``"kept"``, ``"ignored"``, or None for a file whose diagonal is zero.
        weighting: the weighting of the graph; only ``"released"`` depends on the diagonal.

    Raises:
        InputError: if the diagonal is not zero and ``diagonal`` is None; if ``diagonal`` has another value.
    """
    if diagonal is not None:
        check_choice("diagonal", diagonal, ("kept", "ignored"))
    if pair_counts.ndim != 2 or weighting != "released" or diagonal == "ignored":
        return None
    loops = torch.from_numpy(np.diagonal(pair_counts) != 0)
    if not bool(loops.any()):
        return None
    if diagonal is None:
        checked_pair_counts(checked_label_counts(label_counts), pair_counts)  # other errors are reported first
        kept = ("pass ", Argument("diagonal", "kept"), " for the result of the released code, which keeps it, or ")
        ignored = (Argument("diagonal", "ignored"), " for the edges of Eq. 7")
        raise InputError("adj", "a zero diagonal, as in the authors' files", "label counts on it", [*kept, *ignored])
    return loops

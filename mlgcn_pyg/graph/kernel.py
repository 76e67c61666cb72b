r"""The weighting ``"kernel"``: labels share in proportion to their similarity, in counts and in embeddings.

.. math::
    \hat{\mathbf{A}} = \mathbf{S} = \big((1 - \alpha) \mathbf{I} + \alpha \mathbf{K}\big)^{1/2}, \qquad
    \mathbf{K} = \tfrac{1}{2} \mathbf{K}_{emb} + \tfrac{1}{2} \mathbf{K}_{co}

With classifiers W = SV and a penalty on V, SSᵀ = (1 − α)I + αK is the covariance of a Gaussian prior over labels. S is
symmetric and dense, and some of its entries are negative. α = 0 gives S = I.

The eigenvalues of K do not depend on α, so that one decomposition serves every α::

    spectrum = kernel_spectrum(label_kernel(pair_counts, x))
    operators = [spectrum.operator(alpha) for alpha in (0, 0.3, 0.6, 0.9)]
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_finite, check_number, check_tensor
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.graph.fields import Array, SparseMatrix
from mlgcn_pyg.graph.sparse import is_sparse

KERNEL = "kernel"
DEFAULT_ALPHA = 0.5
MAX_LABELS = 4096  # eigenvectors of more labels take minutes, and the edges of the graph gigabytes
SMALLEST = 1e-6  # magnitude above which an entry of S becomes an edge
SAME = 1e-6  # relative distance to the mean below which the rounding of float32 embeddings decides the direction


@dataclass(frozen=True)
class KernelSpectrum:
    """The eigenvalues and eigenvectors of a label kernel K.

    Attributes:
        values: (C,) float64, at least 0.
        vectors: (C, C) float64, in columns.
    """

    values: Tensor
    vectors: Tensor

    def operator(self, alpha: float) -> Tensor:
        """Returns S = ((1 − α)I + αK)^½ (C, C) in float64.

        Args:
            alpha: α in [0, 1], the share of K.

        Raises:
            InputError: if ``alpha`` is not a number in [0, 1].
        """
        alpha = check_number("alpha", alpha, 0, 1)
        if alpha == 0:
            return torch.eye(len(self.values), dtype=self.values.dtype, device=self.values.device)
        root = (1 - alpha + alpha * self.values).sqrt()
        s = (self.vectors * root) @ self.vectors.t()
        return (s + s.t()) / 2


def kernel_spectrum(kernel: Tensor) -> KernelSpectrum:
    """Returns the eigenvalues and eigenvectors of K (C, C), a symmetric positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(kernel.double())
    # the root would turn an eigenvalue of 1e-16, which is rounding, into 1e-8
    rounding = len(kernel) * torch.finfo(values.dtype).eps * values[-1].abs()
    return KernelSpectrum(torch.where(values > rounding, values, 0), vectors)


def kernel_operator(pair_counts: Array | SparseMatrix | None, x: Array | None, alpha: float) -> Tensor:
    r"""Returns S = ((1 − α)I + αK)^½ (C, C) in float64, with K of :func:`label_kernel`.

    Args:
        pair_counts: M (C, C), or None.
        x: (C, F) label embeddings, or None.
        alpha: α in [0, 1], the share of K.

    Raises:
        InputError: if ``alpha`` is not in [0, 1], there are more than 4,096 labels, or a source of K is not valid.

    >>> kernel_operator(torch.tensor([[0, 3], [3, 0]]), None, alpha=0.6).round(decimals=3)
    tensor([[0.9790, 0.2040],
            [0.2040, 0.9790]], dtype=torch.float64)
    """
    return kernel_spectrum(label_kernel(pair_counts, x)).operator(alpha)


def label_kernel(pair_counts: Array | SparseMatrix | None, x: Array | None = None) -> Tensor:
    r"""Returns the similarities K (C, C) of labels in float64: positive semidefinite, with a diagonal of ones.

    K is the mean of :func:`count_kernel` and :func:`embedding_kernel`, or the one whose source is given.

    Args:
        pair_counts: M (C, C), the number of images with both labels, symmetric; the diagonal is ignored. A dense tensor
            or a SciPy sparse matrix. None if labels were not counted.
        x: (C, F) label embeddings. None if there are none.

    Raises:
        InputError: if there are more than 4,096 labels, both sources are None, or a source is not valid.

    >>> label_kernel(torch.zeros(2, 2))  # labels that never occur together are not similar
    tensor([[1., 0.],
            [0., 1.]], dtype=torch.float64)
    """
    if pair_counts is None and x is None:
        raise InputError("pair_counts", "pair counts or label embeddings", "neither")
    kernels = []
    if pair_counts is not None:
        kernels.append(count_kernel(_checked_counts(pair_counts)))
    if x is not None:
        kernels.append(embedding_kernel(_checked_embeddings(x)))
    if len({len(kernel) for kernel in kernels}) > 1:
        raise InputError("x", f"{len(kernels[0])} rows, one per label", f"{len(kernels[1])} rows")
    kernel = torch.stack(kernels).mean(dim=0)
    return (kernel + kernel.t()) / 2  # products are symmetric up to rounding only


def check_kernel_labels(num_labels: int, argument: str = "weighting") -> None:
    """Checks that a dense matrix over labels and its eigenvectors are small enough.

    Args:
        num_labels: C.
        argument: the name of the argument, for the error message.

    Raises:
        InputError: if there are more than 4,096 labels.
    """
    if num_labels > MAX_LABELS:
        fix: list[str | Argument] = ["use a sparse weighting, such as ", Argument("weighting", "paper")]
        expected = f"at most {MAX_LABELS:,} labels for weighting 'kernel', whose Â is dense"
        raise InputError(argument, expected, f"{num_labels:,} labels", fix)


def kernel_edges(s: Tensor, edge_index: Tensor, edge_prob: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the edges of Eq. 7 and, with P = 0, the other pairs with an entry of S above 1e-6 in magnitude.

    Args:
        s: S (C, C).
        edge_index: (2, E) the edges of Eq. 7.
        edge_prob: (E,) their P.

    Returns:
        ``edge_index`` (2, E') and P (E',), sorted by i and then by j.
    """
    prob = torch.zeros_like(s, dtype=edge_prob.dtype)
    prob[edge_index[0], edge_index[1]] = edge_prob
    related = (s.abs() > SMALLEST).fill_diagonal_(False)
    related[edge_index[0], edge_index[1]] = True  # P may be 0, where τ is
    source, target = pairs = related.nonzero().t().contiguous()
    return pairs, prob[source, target]


def count_kernel(pair_counts: Tensor) -> Tensor:
    r"""Returns the similarity of labels that occur together, scaled to a diagonal of ones.

    .. math:: \mathbf{K}_{co} \propto
        \big(\mathbf{I} + 2 (\mathbf{I} - \mathbf{D}^{-1/2} \mathbf{M} \mathbf{D}^{-1/2})\big)^{-1}

    D are the row sums of M, the pair counts off the diagonal. This is the regularised Laplacian kernel of `"Kernels and
    Regularization on Graphs" <https://doi.org/10.1007/978-3-540-45167-9_12>`_ (Smola and Kondor, 2003). A label that
    occurs with no other label is similar to itself only.

    Args:
        pair_counts: M (C, C), symmetric; the diagonal is ignored.
    """
    m = pair_counts.double() - pair_counts.double().diagonal().diag()
    d = m.sum(dim=1).rsqrt().nan_to_num(posinf=0.0)
    eye = torch.eye(len(m), dtype=m.dtype, device=m.device)
    laplacian = eye - d[:, None] * m * d
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(eye + 2 * laplacian))
    scale = inverse.diagonal().rsqrt()
    return (scale[:, None] * inverse * scale).fill_diagonal_(1)


def embedding_kernel(x: Tensor) -> Tensor:
    """Returns the cosines (C, C) of label embeddings (C, F) whose mean over the labels was subtracted.

    The diagonal is 1. An embedding that equals the mean has the cosine 0 with all others. Negative eigenvalues are due
    to rounding, and :func:`kernel_spectrum` sets them to 0.
    """
    x = x.double()
    centred = x - x.mean(dim=0)
    length = centred.norm(dim=1, keepdim=True)
    has_direction = length > SAME * x.norm(dim=1).max()
    unit = torch.where(has_direction, centred / length, 0)
    return (unit @ unit.t()).fill_diagonal_(1)


def _checked_counts(pair_counts: Array | SparseMatrix) -> Tensor:
    """Returns pair counts as a dense symmetric matrix (C, C)."""
    expected = "a symmetric matrix (C, C) of finite numbers ≥ 0"
    if is_sparse(pair_counts):
        check_kernel_labels(max(pair_counts.shape), "pair_counts")
        pair_counts = pair_counts.tocsr().toarray()
    dense = check_tensor("pair_counts", pair_counts, expected)
    shape = tuple(dense.shape)
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0] or dense.is_complex() or dense.layout != torch.strided:
        raise InputError("pair_counts", expected, f"shape {shape}, {dense.dtype}, {dense.layout}")
    check_kernel_labels(shape[0], "pair_counts")
    dense = dense.detach().double()
    if not bool(dense.isfinite().all()) or bool((dense < 0).any()) or not torch.equal(dense, dense.t()):
        raise InputError("pair_counts", expected, "other entries, or an asymmetric matrix")
    return dense


def _checked_embeddings(x: Array) -> Tensor:
    """Returns label embeddings as a dense matrix (C, F)."""
    expected = "label embeddings (C, F), finite numbers"
    rows = check_tensor("x", x, expected)
    if rows.dim() != 2 or not len(rows) or rows.is_complex() or rows.layout != torch.strided:
        raise InputError("x", expected, f"shape {tuple(rows.shape)}, {rows.dtype}, {rows.layout}")
    check_kernel_labels(len(rows), "x")
    check_finite("x", rows)
    return rows.detach().double()

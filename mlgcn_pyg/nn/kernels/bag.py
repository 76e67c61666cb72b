"""The fastest sparse product on a CPU: ``embedding_bag`` over the CSR, and over the CSC in the backward pass."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.nn.kernels.products import Pattern

SUM = 0  # ATen's number for mode="sum"


class Bag:
    """Weighted sums of embeddings. No messages are stored (:class:`~mlgcn_pyg.nn.kernels.products.SparseKernel`)."""

    def sums(self, x: Tensor, weight: Tensor, pattern: Pattern) -> Tensor:
        """Returns the product of the sparse matrix and x (C, F)."""
        # x and weight are detached, since embedding_bag would otherwise prepare a slower backward pass
        weight = weight.detach().index_select(0, pattern.perm)
        return F.embedding_bag(
            pattern.col, x.detach(), pattern.rowptr, mode="sum", per_sample_weights=weight, include_last_offset=True
        )

    def dots(self, grad: Tensor, x: Tensor, pattern: Pattern) -> Tensor:
        """Returns the dot products (n,) of rows, without storing the rows (n, F).

        ``embedding_bag`` uses the same operator for the gradient of its weights.
        """
        dtype = x.dtype
        if not _has_dots(x):
            grad, x = grad.float(), x.float()
        entries = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            grad, x, pattern.col, pattern.rowptr, pattern.row_of, SUM
        ).to(dtype)
        return torch.empty_like(entries).index_copy_(0, pattern.perm, entries)


def _has_dots(x: Tensor) -> bool:
    """Returns whether the operator supports the type of x: on CUDA, torch 2.13 and older lack it for bfloat16."""
    return not (x.is_cuda and x.dtype == torch.bfloat16)


BAG = Bag()

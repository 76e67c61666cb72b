"""The fastest sparse product on a CPU: ``embedding_bag`` over the CSR, and over the CSC in the backward pass."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.nn.kernels.adjacency import Adjacency

SUM = 0  # ATen's number for mode="sum"


def bag(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor) -> Tensor:
    """Returns Âx as weighted sums of embeddings.

    No messages are stored in the forward or the backward pass.
    """
    return _Bag.apply(x, edge_weight, self_weight, adjacency)


def weighted_sums(x: Tensor, pointer: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Returns out[i] = Σ weight[k] · x[index[k]] over pointer[i] ≤ k < pointer[i+1]."""
    # x is detached, since embedding_bag would otherwise prepare a slower backward pass
    return F.embedding_bag(
        index, x.detach(), pointer, mode="sum", per_sample_weights=weight.detach(), include_last_offset=True
    )


def sampled_dot(grad: Tensor, x: Tensor, adjacency: Adjacency) -> Tensor:
    """Returns the dot products ⟨grad[row], x[col]⟩ (E + C,) of all CSR entries, without storing the rows (E + C, F).

    ``embedding_bag`` uses the same operator for the gradient of its weights.
    """
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        grad, x, adjacency.col, adjacency.rowptr, adjacency.row_of(), SUM
    )


class _Bag(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edge_weight: Tensor, self_weight: Tensor, adjacency: Adjacency) -> Tensor:
        x, weight = x.contiguous(), torch.cat([edge_weight, self_weight])
        learned = edge_weight.requires_grad or self_weight.requires_grad
        ctx.save_for_backward(x if learned else None, weight)  # only the gradients of the weights need x
        ctx.adjacency = adjacency
        return weighted_sums(x, adjacency.rowptr, adjacency.col, weight.index_select(0, adjacency.perm))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        adjacency, grad = ctx.adjacency, grad.contiguous()
        grad_x = grad_edge = grad_self = None
        if ctx.needs_input_grad[0]:
            transposed = weight.index_select(0, adjacency.perm_t)
            grad_x = weighted_sums(grad, adjacency.colptr, adjacency.row, transposed)
        if ctx.needs_input_grad[1]:
            entries = sampled_dot(grad, x, adjacency)
            by_weight = torch.empty_like(entries).index_copy_(0, adjacency.perm, entries)
            grad_edge, grad_self = by_weight.split([adjacency.num_edges, adjacency.num_nodes])
        elif ctx.needs_input_grad[2]:
            grad_self = (grad * x).sum(dim=1)
        return grad_x, grad_edge, grad_self, None

"""The CPU's fastest sparse product: ``embedding_bag`` over the CSR, and over the CSC twin on the way back."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.nn.kernels.adjacency import Adjacency

SUM = 0  # aten's number for mode="sum"


def bag(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor) -> Tensor:
    """Σ_j Â_ij x_j as weighted sums of embeddings; no message is ever materialised, forward or backward."""
    return _Bag.apply(x, edge_weight, self_weight, adjacency)


def weighted_sums(x: Tensor, pointer: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """out[i] = Σ weight[k] · x[index[k]] over k in pointer[i]…pointer[i+1]."""
    # x is detached: embedding_bag prepares for its own, slower, backward wherever its table asks for a gradient
    return F.embedding_bag(
        index, x.detach(), pointer, mode="sum", per_sample_weights=weight.detach(), include_last_offset=True
    )


def sampled_dot(grad: Tensor, x: Tensor, adjacency: Adjacency) -> Tensor:
    """⟨grad[row], x[col]⟩ at every entry of the CSR, (E + C,), without an (E, F) intermediate.

    This is the operator behind embedding_bag's own weight gradient.
    """
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        grad, x, adjacency.col, adjacency.rowptr, adjacency.row_of(), SUM
    )


class _Bag(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, edge_weight, self_weight, adjacency):
        x, weight = x.contiguous(), torch.cat([edge_weight, self_weight])
        learns = edge_weight.requires_grad or self_weight.requires_grad
        ctx.save_for_backward(x if learns else None, weight)  # features are kept only for the weights' gradients
        ctx.adjacency = adjacency
        return weighted_sums(x, adjacency.rowptr, adjacency.col, weight.index_select(0, adjacency.perm))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
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

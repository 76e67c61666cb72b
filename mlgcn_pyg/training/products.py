"""Products whose weight gradient is written where the last one was.

The gradient of many heads' weights is larger than what a CPU's allocator keeps: made anew in every step, its pages are
zeroed by the system each time, which takes longer than the product. A GPU's allocator keeps everything.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def linear_into(features: Tensor, weight: Tensor, store: Tensor | None) -> Tensor:
    """X Wᵀ of X (B, D), which needs no gradient, and W (n, D); the gradient of W is ``store``, overwritten."""
    return F.linear(features, weight) if store is None else _Linear.apply(features, weight, store)


def bmm_into(h: Tensor, weight: Tensor, store: Tensor | None) -> Tensor:
    """H W of H (H, C, N) and W (H, N, D); the gradient of W is ``store``, overwritten."""
    return h @ weight if store is None else _Bmm.apply(h, weight, store)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, weight, store):
        ctx.save_for_backward(features)
        ctx.store = store
        return F.linear(features, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (features,) = ctx.saved_tensors
        return None, torch.mm(grad.t(), features, out=ctx.store), None


class _Bmm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h, weight, store):
        ctx.save_for_backward(h, weight)
        ctx.store = store
        return h @ weight

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        h, weight = ctx.saved_tensors
        return grad @ weight.transpose(1, 2), torch.bmm(h.transpose(1, 2), grad, out=ctx.store), None

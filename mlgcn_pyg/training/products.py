"""Products of many heads whose weight gradients are made late, one head's after another's, in the same storage.

The gradients of many heads' weights together are larger than any cache, and made anew in every step their pages are
zeroed by the system each time. One head's are made, measured, clipped and used while they are still near.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


class LateGradient:
    """The gradient of H heads' weights (H·n, D), by :meth:`of` once the rest of the backward pass has run."""

    def __init__(self, num_heads: int):
        self.num_heads, self.store, self.factors = num_heads, None, None

    def linear(self, features: Tensor, weight: Tensor) -> Tensor:
        """X Wᵀ of X (B, D), which needs no gradient, and W (H·n, D)."""
        return _Linear.apply(features, weight, self)

    def bmm(self, h: Tensor, weight: Tensor) -> Tensor:
        """H W of H (H, C, n) and W (H, n, D)."""
        return _Bmm.apply(h, weight, self)

    @torch.no_grad()
    def of(self, k: int) -> Tensor:
        """Head k's (n, D), good until the next head's is asked for."""
        left, right = self.factors(k)
        if self.store is None:
            self.store = left.new_empty(left.size(0), right.size(1))
        return torch.mm(left, right, out=self.store)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, weight, late):
        ctx.save_for_backward(features)
        ctx.late = late
        return F.linear(features, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (features,) = ctx.saved_tensors
        pieces = grad.chunk(ctx.late.num_heads, dim=1)
        ctx.late.factors = lambda k: (pieces[k].t(), features)
        return None, None, None


class _Bmm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h, weight, late):
        ctx.save_for_backward(h, weight)
        ctx.late = late
        return h @ weight

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        h, weight = ctx.saved_tensors
        ctx.late.factors = lambda k: (h[k].t(), grad[k])
        return grad @ weight.transpose(1, 2), None, None

r"""Clipping and SGD with momentum for all parameters of H heads, as two kernels.

For each head with parameters p, gradients g, momentum buffers m, learning rate η, weight decay λ, momentum μ and
largest norm G, as in torch's ``clip_grad_norm_`` and ``SGD``:

.. math::
    g \leftarrow g \cdot \min\left(1, \frac{G}{\|g\| + 10^{-6}}\right) + \lambda p, \qquad
    m \leftarrow \mu m + g, \qquad p \leftarrow p - \eta m

The first kernel writes the sum of the squares of each block of gradients. In the second, each program adds up the sums
of its head, in the same order as all others, and updates its block. Neither waits for the host or adds in an order
that may change.

A *leaf* is a tensor that holds the same parameter of all heads, one after another. A program has one block of one
leaf of one head, and finds it by its number: the blocks of the leaves follow each other.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096  # entries per program
WARPS = 8
SUMS = 1024  # sums of squares that a program reads at a time


@triton.jit
def _squares_kernel(grads, sizes, firsts, partials, LEAVES: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # Triton's
    """Writes the sum of the squares of block ``program_id(0)`` of head ``program_id(1)``."""
    real: tl.constexpr = partials.dtype.element_ty
    block, head = tl.program_id(0), tl.program_id(1).to(tl.int64)
    for leaf in tl.static_range(LEAVES):
        if (block >= firsts[leaf]) & (block < firsts[leaf + 1]):
            entry = (block - firsts[leaf]) * BLOCK + tl.arange(0, BLOCK)
            g = tl.load(grads[leaf] + head * sizes[leaf] + entry, mask=entry < sizes[leaf], other=0.0).to(real)
            tl.store(partials + head * firsts[LEAVES] + block, tl.sum(g * g))


@triton.jit
def _update_kernel(  # type: ignore[no-untyped-def]  # Triton's
    leaves, grads, momenta, sizes, firsts, partials, group_of, rates, decays, momentum_of, max_norms,
    LEAVES: tl.constexpr, BLOCK: tl.constexpr, SUMS: tl.constexpr, CLIPS: tl.constexpr,
):  # fmt: skip
    """Updates block ``program_id(0)`` of head ``program_id(1)``; ``group_of`` is (H, leaves).

    No argument is called ``params``, ``specialization`` or ``options``, which are variables of Triton's launcher.
    """
    real: tl.constexpr = partials.dtype.element_ty
    block, head = tl.program_id(0), tl.program_id(1).to(tl.int64)
    factor = tl.full((), 1.0, real)
    if CLIPS:
        squares = tl.zeros((SUMS,), real)
        for start in range(0, firsts[LEAVES], SUMS):
            k = start + tl.arange(0, SUMS)
            squares += tl.load(partials + head * firsts[LEAVES] + k, mask=k < firsts[LEAVES], other=0.0)
        factor = tl.load(max_norms + head).to(real) / (tl.sqrt(tl.sum(squares)) + 1e-6)
        factor = tl.where(factor > 1, 1.0, factor)  # NaN stays NaN
    for leaf in tl.static_range(LEAVES):
        if (block >= firsts[leaf]) & (block < firsts[leaf + 1]):
            group = tl.load(group_of + head * LEAVES + leaf)
            rate, decay = tl.load(rates + group).to(real), tl.load(decays + group).to(real)
            momentum = tl.load(momentum_of + group).to(real)
            entry = (block - firsts[leaf]) * BLOCK + tl.arange(0, BLOCK)
            inside, where = entry < sizes[leaf], head * sizes[leaf] + entry
            p = tl.load(leaves[leaf] + where, mask=inside).to(real)
            g = tl.load(grads[leaf] + where, mask=inside).to(real)
            moves = entry < tl.where(momentum > 0, sizes[leaf], 0)  # without momentum, there may be no buffer
            m = tl.load(momenta[leaf] + where, mask=moves, other=0.0).to(real)
            m = momentum * m + (factor * g + decay * p)
            tl.store(momenta[leaf] + where, m, mask=moves)
            tl.store(leaves[leaf] + where, p - rate * m, mask=inside)


class FlatSGD:
    """Clipping and SGD for the leaves of H heads.

    Args:
        leaves: contiguous tensors, each with the same parameter of all heads.
        momenta: the momentum buffers of the leaves, of their shapes; None if no head has momentum.
        group_of: (H, leaves) the number of the group of each head's part of each leaf.
        decays: (G,) the weight decays of the groups.
        momentum_of: (G,) the momenta μ of the groups.
        max_norms: (H,) the largest norms of the gradients; None if no head clips them.
    """

    def __init__(
        self,
        leaves: Sequence[Tensor],
        momenta: Sequence[Tensor] | None,
        group_of: Tensor,
        decays: Tensor,
        momentum_of: Tensor,
        max_norms: Tensor | None,
    ):
        self.leaves = tuple(leaf.detach() for leaf in leaves)
        self.momenta = self.leaves if momenta is None else tuple(momenta)  # the leaves: any pointers
        self.num_heads, self.group_of = len(group_of), group_of.to(torch.int32).contiguous()
        self.decays, self.momentum_of, self.max_norms = decays, momentum_of, max_norms
        self.real = torch.float64 if self.leaves[0].dtype == torch.float64 else torch.float32

    def __call__(self, gradients: Sequence[Tensor | None], rates: Tensor) -> None:
        """Updates the parameters and momentum buffers.

        Args:
            gradients: the gradient of each leaf. A leaf without a gradient (None) is left as it is.
            rates: (G,) the learning rates of the groups.
        """
        pairs = list(zip(self.leaves, gradients, strict=True))
        sizes = tuple(0 if g is None else leaf.numel() // self.num_heads for leaf, g in pairs)
        grads = tuple(leaf if g is None else g.contiguous() for leaf, g in pairs)
        firsts = [0]  # the number of the first block of each leaf, and of all blocks
        for size in sizes:
            firsts.append(firsts[-1] + triton.cdiv(size, BLOCK))
        if not firsts[-1]:
            return
        grid, count = (firsts[-1], self.num_heads), len(sizes)
        partials = torch.empty(self.num_heads, firsts[-1], dtype=self.real, device=self.decays.device)
        with torch.cuda.device_of(partials):  # Triton launches on the current device
            if self.max_norms is not None:
                _squares_kernel[grid](grads, sizes, tuple(firsts), partials, LEAVES=count, BLOCK=BLOCK, num_warps=WARPS)
            _update_kernel[grid](
                self.leaves, grads, self.momenta, sizes, tuple(firsts), partials, self.group_of, rates, self.decays,
                self.momentum_of, self.decays if self.max_norms is None else self.max_norms,
                LEAVES=count, BLOCK=BLOCK, SUMS=SUMS, CLIPS=self.max_norms is not None, num_warps=WARPS,
            )  # fmt: skip

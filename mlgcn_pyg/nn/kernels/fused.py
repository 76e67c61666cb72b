"""A fused Triton kernel, which gathers, weights and sums rows in a single pass.

Each program computes a block of columns of one row of the result. The memory traffic is minimal: each gathered row is
read once, and each row of the result is written once.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlgcn_pyg.nn.kernels.adjacency import Adjacency


@triton.jit
def _rows_kernel(x, weight, perm, pointer, index, out, width, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # Triton's
    """Computes out[i] = Σ_k weight[perm[k]] · x[index[k]] over pointer[i] ≤ k < pointer[i+1]."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    total = tl.zeros((BLOCK,), dtype=tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32)
    for k in range(tl.load(pointer + row), tl.load(pointer + row + 1)):
        value = tl.load(x + tl.load(index + k) * width + columns, mask=inside, other=0.0).to(total.dtype)
        total += tl.load(weight + tl.load(perm + k)).to(total.dtype) * value
    tl.store(out + row * width + columns, total, mask=inside)


@triton.jit
def _dots_kernel(grad, x, row, column, perm, out, width, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # Triton's
    """Computes out[perm[k]] = ⟨grad[row[k]], x[column[k]]⟩, one program for each entry k."""
    k = tl.program_id(0).to(tl.int64)
    r, c = tl.load(row + k) * width, tl.load(column + k) * width
    total = tl.zeros((BLOCK,), dtype=tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32)
    for start in range(0, width, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        inside = columns < width
        value = tl.load(grad + r + columns, mask=inside, other=0.0).to(total.dtype)
        total += value * tl.load(x + c + columns, mask=inside, other=0.0).to(total.dtype)
    tl.store(out + tl.load(perm + k), tl.sum(total))


def fused(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor) -> Tensor:
    """Returns Âx, differentiable with respect to x and both weights."""
    with torch.cuda.device_of(x):  # Triton launches on the current device; autograd sets it in the backward pass
        return _Fused.apply(x, edge_weight, self_weight, adjacency)


def interpreted() -> bool:
    """Returns whether Triton interprets kernels on the CPU, as in the tests."""
    return not isinstance(_rows_kernel, triton.JITFunction)


def _block(width: int) -> int:
    return min(1024, max(16, triton.next_power_of_2(width)))


def _rows(x: Tensor, weight: Tensor, perm: Tensor, pointer: Tensor, index: Tensor) -> Tensor:
    num_rows, width = len(pointer) - 1, x.size(1)
    out = x.new_empty(num_rows, width)
    block = _block(width)
    if out.numel():
        _rows_kernel[num_rows, triton.cdiv(width, block)](x, weight, perm, pointer, index, out, width, BLOCK=block)
    return out


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edge_weight: Tensor, self_weight: Tensor, adjacency: Adjacency) -> Tensor:
        x, weight = x.contiguous(), torch.cat([edge_weight, self_weight])
        ctx.adjacency = adjacency
        learned = edge_weight.requires_grad or self_weight.requires_grad
        ctx.save_for_backward(x if learned else None, weight)  # only the gradients of the weights need x
        return _rows(x, weight, adjacency.perm, adjacency.rowptr, adjacency.col)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        adjacency, grad = ctx.adjacency, grad.contiguous()
        grad_x = grad_edge = grad_self = None
        if ctx.needs_input_grad[0]:
            grad_x = _rows(grad, weight, adjacency.perm_t, adjacency.colptr, adjacency.row)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            entries, width = torch.empty_like(weight), grad.size(1)
            _dots_kernel[(len(weight),)](
                grad, x, adjacency.row_of(), adjacency.col, adjacency.perm, entries, width, BLOCK=_block(width)
            )
            grad_edge, grad_self = entries.split([adjacency.num_edges, adjacency.num_nodes])
        return grad_x, grad_edge, grad_self, None

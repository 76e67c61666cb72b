"""One fused Triton kernel: gather, weight, sum and self weight in a single pass, and optionally LeakyReLU.

Each program makes a block of columns of one row of the result. Memory traffic is the floor: every gathered row is read
once, every result row written once.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlgcn_pyg.nn.kernels.adjacency import Adjacency


@triton.jit
def _rows_kernel(
    x, gate, weight, perm, pointer, index, out, width, slope,
    GATED: tl.constexpr, LEAKY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out[i] = act(Σ_k weight[perm[k]] · x[index[k]]) for k in pointer[i]…pointer[i+1].

    ``GATED``: x is a gradient that first passes back through LeakyReLU, whose result was ``gate``.
    """
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    total = tl.zeros((BLOCK,), dtype=tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32)
    for k in range(tl.load(pointer + row), tl.load(pointer + row + 1)):
        source = tl.load(index + k) * width + columns
        value = tl.load(x + source, mask=inside, other=0.0).to(total.dtype)
        if GATED:
            value = tl.where(tl.load(gate + source, mask=inside, other=0.0) > 0, value, value * slope)
        total += tl.load(weight + tl.load(perm + k)).to(total.dtype) * value
    if LEAKY:
        total = tl.where(total > 0, total, total * slope)
    tl.store(out + row * width + columns, total, mask=inside)


@triton.jit
def _dots_kernel(grad, gate, x, row, column, perm, out, width, slope, GATED: tl.constexpr, BLOCK: tl.constexpr):
    """out[perm[k]] = ⟨grad[row[k]], x[column[k]]⟩, one program for each entry k."""
    k = tl.program_id(0).to(tl.int64)
    r, c = tl.load(row + k) * width, tl.load(column + k) * width
    total = tl.zeros((BLOCK,), dtype=tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32)
    for start in range(0, width, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        inside = columns < width
        value = tl.load(grad + r + columns, mask=inside, other=0.0).to(total.dtype)
        if GATED:
            value = tl.where(tl.load(gate + r + columns, mask=inside, other=0.0) > 0, value, value * slope)
        total += value * tl.load(x + c + columns, mask=inside, other=0.0).to(total.dtype)
    tl.store(out + tl.load(perm + k), tl.sum(total))


def fused(
    x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor, negative_slope: float | None = None
) -> Tensor:
    """Â x, then LeakyReLU where ``negative_slope`` is given, with gradients for x and both weights."""
    with torch.cuda.device_of(x):  # Triton launches on the current device; autograd sets it on the way back
        return _Fused.apply(x, edge_weight, self_weight, adjacency, negative_slope)


def interpreted() -> bool:
    """Whether Triton was told to interpret kernels on the CPU, as the tests do."""
    return not isinstance(_rows_kernel, triton.JITFunction)


def _block(width: int) -> int:
    return min(1024, max(16, triton.next_power_of_2(width)))


def _rows(x, gate, weight, perm, pointer, index, slope, leaky) -> Tensor:
    num_rows, width = len(pointer) - 1, x.size(1)
    out = x.new_empty(num_rows, width)
    block = _block(width)
    grid = (num_rows, triton.cdiv(width, block))
    if out.numel():
        _rows_kernel[grid](
            x,
            x if gate is None else gate,
            weight,
            perm,
            pointer,
            index,
            out,
            width,
            slope,
            GATED=gate is not None,
            LEAKY=leaky,
            BLOCK=block,
        )
    return out


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, edge_weight, self_weight, adjacency, negative_slope):
        x, weight = x.contiguous(), torch.cat([edge_weight, self_weight])
        ctx.adjacency, ctx.slope = adjacency, 0.0 if negative_slope is None else negative_slope
        leaky = negative_slope is not None
        out = _rows(x, None, weight, adjacency.perm, adjacency.rowptr, adjacency.col, ctx.slope, leaky)
        learns = edge_weight.requires_grad or self_weight.requires_grad
        # features are kept only for the weights' gradients
        ctx.save_for_backward(x if learns else None, weight, out if leaky else None)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, weight, gate = ctx.saved_tensors
        adjacency, grad, slope = ctx.adjacency, grad.contiguous(), ctx.slope
        grad_x = grad_edge = grad_self = None
        if ctx.needs_input_grad[0]:
            grad_x = _rows(grad, gate, weight, adjacency.perm_t, adjacency.colptr, adjacency.row, slope, False)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            entries, width = torch.empty_like(weight), grad.size(1)
            _dots_kernel[(len(weight),)](
                grad,
                grad if gate is None else gate,
                x,
                adjacency.row_of(),
                adjacency.col,
                adjacency.perm,
                entries,
                width,
                slope,
                GATED=gate is not None,
                BLOCK=_block(width),
            )
            grad_edge, grad_self = entries.split([adjacency.num_edges, adjacency.num_nodes])
        return grad_x, grad_edge, grad_self, None, None

"""A fused Triton kernel, which gathers, weights and sums rows in a single pass.

Each program computes a block of columns of one row of the result. The memory traffic is minimal: each gathered row is
read once, and each row of the result is written once.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlgcn_pyg.nn.kernels.products import Pattern


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


def interpreted() -> bool:
    """Returns whether Triton interprets kernels on the CPU, as in the tests."""
    return not isinstance(_rows_kernel, triton.JITFunction)


def _block(width: int) -> int:
    return min(1024, max(16, triton.next_power_of_2(width)))


class Fused:
    """The Triton kernels as a :class:`~mlgcn_pyg.nn.kernels.products.SparseKernel`."""

    def sums(self, x: Tensor, weight: Tensor, pattern: Pattern) -> Tensor:
        """Returns the product of the sparse matrix and x (C, F)."""
        num_rows, width = len(pattern.rowptr) - 1, x.size(1)
        out = x.new_empty(num_rows, width)
        block = _block(width)
        if out.numel():
            with torch.cuda.device_of(x):  # Triton launches on the current device
                _rows_kernel[num_rows, triton.cdiv(width, block)](
                    x, weight, pattern.perm, pattern.rowptr, pattern.col, out, width, BLOCK=block
                )
        return out

    def dots(self, grad: Tensor, x: Tensor, pattern: Pattern) -> Tensor:
        """Returns the dot products (n,) of rows, in the order of the weights."""
        out, width = x.new_empty(len(pattern.col)), x.size(1)
        if out.numel():
            with torch.cuda.device_of(x):
                _dots_kernel[(len(out),)](
                    grad, x, pattern.row_of(), pattern.col, pattern.perm, out, width, BLOCK=_block(width)
                )
        return out


FUSED = Fused()

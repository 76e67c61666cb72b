"""Fused Triton kernels, which gather, weight and sum rows in a single pass.

Each row of the result is computed by one program per slice of columns. The program gathers ``ENTRIES`` rows at once, so
that their loads wait for memory together and not one after another. With n entries of Â and C labels, n rows are
gathered and C rows are written. All programs of a slice run before those of the next slice, so that a slice of x that
fits in the cache is read from memory once. Sums are in float32 (float64 for float64), in a fixed order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlgcn_pyg.nn.kernels.products import Pattern

# Chosen for sm_90. One warp holds up to 1,024 numbers of a tile, 32 per thread.
MAX_COLUMNS = 1024
ENTRIES = 8
NUMBERS_PER_WARP = 1024
MAX_WARPS = 8
VECTOR = 8  # numbers of 16 bits in the widest load


@dataclass(frozen=True)
class Tile:
    """The part of the work that a program does at once.

    Args:
        entries: number of gathered rows, a power of two.
        columns: number of columns, a power of two.
        warps: number of warps of a program.
    """

    entries: int
    columns: int
    warps: int


def default_tile(width: int) -> Tile:
    """Returns the tile for features of this width.

    >>> default_tile(64), default_tile(2048)
    (Tile(entries=8, columns=64, warps=1), Tile(entries=8, columns=1024, warps=8))
    """
    columns = min(MAX_COLUMNS, max(16, triton.next_power_of_2(width)))
    return Tile(ENTRIES, columns, min(MAX_WARPS, max(1, ENTRIES * columns // NUMBERS_PER_WARP)))


@triton.jit
def _sums_kernel(  # type: ignore[no-untyped-def]  # Triton's
    x, weight, perm, pointer, index, out, width, ALIGN: tl.constexpr, ENTRIES: tl.constexpr, COLUMNS: tl.constexpr
):
    """Computes out[i] = Σ_k weight[perm[k]] · x[index[k]] over pointer[i] ≤ k < pointer[i+1], in a slice of columns."""
    row, width = tl.program_id(0).to(tl.int64), width // ALIGN * ALIGN  # equal to width, and known to be a multiple
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = columns < width
    end = tl.load(pointer + row + 1)
    total = tl.zeros((ENTRIES, COLUMNS), dtype=tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32)
    for start in range(tl.load(pointer + row), end, ENTRIES):
        k = start + tl.arange(0, ENTRIES)
        present = k < end
        sender = tl.load(index + k, mask=present, other=0).to(tl.int64) * width
        factor = tl.load(weight + tl.load(perm + k, mask=present, other=0), mask=present, other=0.0).to(total.dtype)
        both = present[:, None] & inside[None, :]
        value = tl.load(x + sender[:, None] + columns[None, :], mask=both, other=0.0).to(total.dtype)
        total += factor[:, None] * value
    tl.store(out + row * width + columns, tl.sum(total, 0), mask=inside)


@triton.jit
def _dots_kernel(  # type: ignore[no-untyped-def]  # Triton's
    grad, x, perm, pointer, index, out, width, ALIGN: tl.constexpr, ENTRIES: tl.constexpr, COLUMNS: tl.constexpr
):
    """Computes out[perm[k]] = ⟨grad[i], x[index[k]]⟩ for the entries pointer[i] ≤ k < pointer[i+1] of a row i."""
    row, width = tl.program_id(0).to(tl.int64), width // ALIGN * ALIGN
    end = tl.load(pointer + row + 1)
    for start in range(tl.load(pointer + row), end, ENTRIES):
        k = start + tl.arange(0, ENTRIES)
        present = k < end
        sender = tl.load(index + k, mask=present, other=0).to(tl.int64) * width
        total = tl.zeros((ENTRIES, COLUMNS), dtype=tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32)
        for first in range(0, width, COLUMNS):
            columns = first + tl.arange(0, COLUMNS)
            both = present[:, None] & (columns < width)[None, :]
            left = tl.load(grad + row * width + columns, mask=columns < width, other=0.0).to(total.dtype)
            total += left[None, :] * tl.load(x + sender[:, None] + columns[None, :], mask=both, other=0.0).to(
                total.dtype
            )
        tl.store(out + tl.load(perm + k, mask=present, other=0), tl.sum(total, 1), mask=present)


def interpreted() -> bool:
    """Returns whether Triton interprets kernels on the CPU, as in the tests."""
    return not isinstance(_sums_kernel, triton.JITFunction)


def try_launch(device: torch.device) -> None:
    """Launches a kernel on one row. Raises whatever Triton raises if it cannot compile or launch kernels."""
    one, zero = torch.ones(1, device=device), torch.zeros(1, dtype=torch.int64, device=device)
    pointer = torch.arange(2, device=device)
    FUSED.sums(one[:, None], one, Pattern(pointer, zero, zero, pointer, zero, zero, zero, zero))


@dataclass(frozen=True)
class Fused:
    """The Triton kernels as a :class:`~mlgcn_pyg.nn.kernels.products.SparseKernel`.

    Args:
        tile: returns the tile for a width.
    """

    tile: Callable[[int], Tile] = default_tile

    def sums(self, x: Tensor, weight: Tensor, pattern: Pattern) -> Tensor:
        """Returns the product of the sparse matrix and x (C, F)."""
        num_rows, width = len(pattern.rowptr) - 1, x.size(1)
        out, tile = x.new_empty(num_rows, width), self.tile(width)
        if out.numel():
            slices = triton.cdiv(width, tile.columns)
            with torch.cuda.device_of(x):  # Triton launches on the current device
                _sums_kernel[num_rows, slices](
                    x, weight, pattern.perm, pattern.rowptr, pattern.col, out, width, **_constants(width, tile)
                )
        return out

    def dots(self, grad: Tensor, x: Tensor, pattern: Pattern) -> Tensor:
        """Returns the dot products (n,) of rows, in the order of the weights."""
        num_rows, width = len(pattern.rowptr) - 1, x.size(1)
        out = x.new_empty(len(pattern.col))
        if out.numel():
            with torch.cuda.device_of(x):
                _dots_kernel[(num_rows,)](
                    grad,
                    x,
                    pattern.perm,
                    pattern.rowptr,
                    pattern.col,
                    out,
                    width,
                    **_constants(width, self.tile(width)),
                )
        return out


def _constants(width: int, tile: Tile) -> dict[str, int]:
    """Returns the constants of a launch. ``ALIGN`` tells Triton that rows start where wide loads are possible."""
    align = gcd(width, VECTOR)
    return {"ALIGN": align, "ENTRIES": tile.entries, "COLUMNS": tile.columns, "num_warps": tile.warps}


FUSED = Fused()

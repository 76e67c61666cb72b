"""Fused Triton kernels, which gather, weight and sum rows in a single pass.

Sums: each row of the result is computed by one program per slice of columns. The program gathers ``ENTRIES`` rows at
once, so that their loads wait for memory together and not one after another. All programs of a slice run before those
of the next slice, so that a narrow slice of x that fits in the cache is read from memory once.

Dot products: each program computes ``ENTRIES`` of them, of any rows, so that a label with many edges is not slower.

All sums are in float32 (float64 for float64), in a fixed order.
"""

from dataclasses import dataclass
from math import gcd

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlgcn_pyg.nn.kernels.products import Pattern

# The tiles were selected on one H200 for widths of 64 to 2048: 80, 9,605 and 100,000 labels in float32, and 100,000 in
# bfloat16. Over the eight shapes, the tile of the sums takes at most 1.28 times as long as the fastest measured tile
# (80 labels, width 300), and the tile of the dot products at most 1.06 times (the same shape).
SMALL = 2**20  # numbers of x, C·F. Fewer do not fill the GPU. Nothing was measured between 2**18 and 2**22.
SMALL_SUMS = (16, 64)  # entries, columns
SMALL_DOTS = (1, 1024)
SMALL_DOTS_WARPS = 4
SUMS_COLUMNS = 128  # at most, for large graphs
DOTS_COLUMNS = 256
WIDE = 512  # for narrower features, dot products take half of these columns
ENTRIES = (4, 8)  # at least and at most, for large graphs
WARP_BYTES = 2048  # of a tile per warp, 64 bytes per thread
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


def sums_tile(num_labels: int, width: int, itemsize: int) -> Tile:
    """Returns the tile for the weighted sums of features (C, F) with numbers of ``itemsize`` bytes.

    >>> sums_tile(80, 300, 4), sums_tile(100_000, 1024, 4)
    (Tile(entries=16, columns=64, warps=2), Tile(entries=4, columns=128, warps=1))
    """
    if num_labels * width < SMALL:
        entries, columns = SMALL_SUMS
        return _tile(entries, min(columns, _covering(width)), itemsize)
    return _large(min(SUMS_COLUMNS, _covering(width)), itemsize)


def dots_tile(num_labels: int, width: int, itemsize: int) -> Tile:
    """Returns the tile for the dot products of rows of two matrices (C, F).

    >>> dots_tile(80, 300, 4), dots_tile(100_000, 1024, 4)
    (Tile(entries=1, columns=512, warps=4), Tile(entries=4, columns=256, warps=2))
    """
    if num_labels * width < SMALL:
        entries, columns = SMALL_DOTS
        return Tile(entries, min(columns, _covering(width)), SMALL_DOTS_WARPS)
    return _large(min(DOTS_COLUMNS if width >= WIDE else DOTS_COLUMNS // 2, _covering(width)), itemsize)


def _covering(width: int) -> int:
    """Returns the number of columns, a power of two, that covers the width."""
    return max(16, triton.next_power_of_2(width))


def _large(columns: int, itemsize: int) -> Tile:
    least, most = ENTRIES
    return _tile(min(most, max(least, WARP_BYTES // (columns * itemsize))), columns, itemsize)


def _tile(entries: int, columns: int, itemsize: int) -> Tile:
    return Tile(entries, columns, max(1, entries * columns * itemsize // WARP_BYTES))


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


@triton.jit(do_not_specialize=["size"])
def _dots_kernel(  # type: ignore[no-untyped-def]  # Triton's
    grad, x, row, column, perm, out, size, width, ALIGN: tl.constexpr, ENTRIES: tl.constexpr, COLUMNS: tl.constexpr
):
    """Computes out[perm[k]] = ⟨grad[row[k]], x[column[k]]⟩ for the next ``ENTRIES`` of all k < size."""
    k, width = tl.program_id(0).to(tl.int64) * ENTRIES + tl.arange(0, ENTRIES), width // ALIGN * ALIGN
    present = k < size
    receiver = tl.load(row + k, mask=present, other=0).to(tl.int64) * width
    sender = tl.load(column + k, mask=present, other=0).to(tl.int64) * width
    total = tl.zeros((ENTRIES, COLUMNS), dtype=tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32)
    for first in range(0, width, COLUMNS):
        columns = first + tl.arange(0, COLUMNS)
        both = present[:, None] & (columns < width)[None, :]
        left = tl.load(grad + receiver[:, None] + columns[None, :], mask=both, other=0.0).to(total.dtype)
        total += left * tl.load(x + sender[:, None] + columns[None, :], mask=both, other=0.0).to(total.dtype)
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
        tile: the tile of both kernels. Default: :func:`sums_tile` and :func:`dots_tile`.
    """

    tile: Tile | None = None

    def sums(self, x: Tensor, weight: Tensor, pattern: Pattern) -> Tensor:
        """Returns the product of the sparse matrix and x (C, F)."""
        num_rows, width = len(pattern.rowptr) - 1, x.size(1)
        out = x.new_empty(num_rows, width)
        if out.numel():
            tile = self.tile or sums_tile(num_rows, width, x.element_size())
            grid = num_rows, triton.cdiv(width, tile.columns)
            with torch.cuda.device_of(x):  # Triton launches on the current device
                _sums_kernel[grid](
                    x, weight, pattern.perm, pattern.rowptr, pattern.col, out, width, **_constants(width, tile)
                )
        return out

    def dots(self, grad: Tensor, x: Tensor, pattern: Pattern) -> Tensor:
        """Returns the dot products (n,) of rows, in the order of the weights."""
        size, width = len(pattern.col), x.size(1)
        out = x.new_empty(size)
        if size:
            tile = self.tile or dots_tile(x.size(0), width, x.element_size())
            grid = (triton.cdiv(size, tile.entries),)
            entries = pattern.row_of, pattern.col, pattern.perm
            with torch.cuda.device_of(x):
                _dots_kernel[grid](grad, x, *entries, out, size, width, **_constants(width, tile))
        return out


def _constants(width: int, tile: Tile) -> dict[str, int]:
    """Returns the constants of a launch. ``ALIGN`` tells Triton that rows start where wide loads are possible."""
    align = gcd(width, VECTOR)
    return {"ALIGN": align, "ENTRIES": tile.entries, "COLUMNS": tile.columns, "num_warps": tile.warps}


FUSED = Fused()

"""The Triton kernels with any tile, in the interpreter against dense products in float64, and compiled for a GPU."""

from pathlib import Path

import pytest
import torch

from mlgcn_pyg.nn.kernels import Adjacency
from tests.compiling import lines_of
from tests.nn.kernels.test_kernels import GRAPHS, TOLERANCE, skip_if_absent

triton = pytest.importorskip("triton")
from mlgcn_pyg.nn.kernels import fused  # noqa: E402  # requires Triton

TILES = {
    "one row": fused.Tile(entries=1, columns=16, warps=1),
    "a slice": fused.Tile(entries=8, columns=16, warps=1),
    "all columns": fused.Tile(entries=4, columns=64, warps=4),
    "more rows than entries": fused.Tile(entries=64, columns=32, warps=2),
}


def dense(pattern, weight):
    """The matrix of a pattern, filled entry by entry."""
    matrix = torch.zeros(len(pattern.rowptr) - 1, len(pattern.colptr) - 1, dtype=torch.float64)
    for row in range(len(matrix)):
        for k in range(int(pattern.rowptr[row]), int(pattern.rowptr[row + 1])):
            matrix[row, pattern.col[k]] += weight[pattern.perm[k]].double()
    return matrix


def close(found, expected, dtype):
    bound = TOLERANCE[dtype] * max(1.0, float(expected.abs().max()))
    return found.dtype == dtype and found.shape == expected.shape and (found.double() - expected).abs().max() <= bound


@pytest.mark.parametrize("tile", TILES.values(), ids=TILES)
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("width, dtype", [(1, torch.float32), (37, torch.bfloat16), (40, torch.float64)])
def test_every_tile_equals_the_dense_product(tile, graph, width, dtype):
    skip_if_absent("triton")
    num_labels, *edges = GRAPHS[graph]
    pattern = Adjacency(torch.tensor(edges, dtype=torch.int64), num_labels).pattern
    kernel = fused.Fused(tile)
    x, grad = torch.randn(2, num_labels, width).to(dtype)
    weight = torch.randn(len(pattern.col)).to(dtype)
    for used in (pattern, pattern.transposed()):
        assert close(kernel.sums(x, weight, used), dense(used, weight) @ x.double(), dtype)
        expected = torch.empty(len(weight), dtype=torch.float64)
        for k, (i, j) in enumerate(zip(used.row_of.tolist(), used.col.tolist(), strict=True)):
            expected[used.perm[k]] = grad[i].double() @ x[j].double()
        assert close(kernel.dots(grad, x, used), expected, dtype)


def test_rows_without_entries_are_zero():
    skip_if_absent("triton")
    empty = torch.zeros(0, dtype=torch.int64)
    pointer = torch.zeros(4, dtype=torch.int64)
    pattern = fused.Pattern(pointer, empty, empty, pointer, empty, empty, empty, empty)
    assert torch.equal(fused.FUSED.sums(torch.full((3, 5), torch.nan), torch.zeros(0), pattern), torch.zeros(3, 5))
    assert fused.FUSED.dots(torch.ones(3, 5), torch.ones(3, 5), pattern).shape == (0,)


def test_features_of_unconnected_labels_do_not_spread():
    skip_if_absent("triton")
    pattern = Adjacency(torch.tensor([[1], [2]]), 3).pattern
    x = torch.ones(3, 5)
    x[0] = torch.nan  # label 0 is also what masked loads would read
    out = fused.FUSED.sums(x, torch.ones(4), pattern)
    assert out[0].isnan().all() and torch.equal(out[1:], torch.tensor([[2.0], [1.0]]).expand(2, 5))


def test_int32_positions_give_the_same_result():
    skip_if_absent("triton")
    pattern = Adjacency(torch.tensor([[0, 0, 2], [2, 1, 0]]), 3).pattern
    small = fused.Pattern(*(value.int() for value in pattern))
    x, weight = torch.randn(3, 20), torch.randn(6)
    assert torch.equal(fused.FUSED.sums(x, weight, pattern), fused.FUSED.sums(x, weight, small))
    assert torch.equal(fused.FUSED.dots(x, x, pattern), fused.FUSED.dots(x, x, small))


def test_labels_with_many_edges_share_programs_with_others():
    skip_if_absent("triton")
    hub = torch.cat([torch.zeros(60, dtype=torch.int64), torch.tensor([50, 50, 51])])
    pattern = Adjacency(torch.stack([torch.arange(1, 64), hub]), 64).pattern
    grad, x = torch.randn(2, 64, 33).double()
    for used in (pattern, pattern.transposed()):
        expected = torch.empty(len(used.col), dtype=torch.float64)
        expected[used.perm] = (grad[used.row_of] * x[used.col]).sum(1)
        assert torch.allclose(fused.Fused(fused.Tile(8, 16, 1)).dots(grad, x, used), expected)


MEASURED = {  # (labels, width, bytes per number) -> the tiles of the sums and of the dot products
    (80, 300, 4): ((16, 64, 2), (1, 512, 4)),
    (80, 2048, 4): ((16, 64, 2), (1, 1024, 4)),
    (9_605, 1024, 4): ((4, 128, 1), (4, 256, 2)),
    (100_000, 64, 4): ((8, 64, 1), (8, 64, 1)),
    (100_000, 300, 4): ((4, 128, 1), (4, 128, 1)),
    (100_000, 1024, 4): ((4, 128, 1), (4, 256, 2)),
    (100_000, 1024, 2): ((8, 128, 1), (4, 256, 1)),
}


@pytest.mark.parametrize("shape", MEASURED)
def test_the_tiles_are_those_that_were_measured(shape):
    sums, dots = MEASURED[shape]
    assert fused.sums_tile(*shape) == fused.Tile(*sums)
    assert fused.dots_tile(*shape) == fused.Tile(*dots)


@pytest.mark.parametrize("num_labels", [1, 80, 1_000_000])
@pytest.mark.parametrize("width", [1, 16, 65, 300, 2048, 100_000])
@pytest.mark.parametrize("itemsize", [2, 4, 8])
def test_triton_accepts_the_tile_of_any_shape(num_labels, width, itemsize):
    for tile in (fused.sums_tile(num_labels, width, itemsize), fused.dots_tile(num_labels, width, itemsize)):
        assert all(value & (value - 1) == 0 and value > 0 for value in vars(tile).values())
        assert 16 <= tile.columns <= 1024 and tile.warps <= 8
        assert tile.columns < 2 * max(width, 16)  # a tile is not mostly outside


WIDE = {("fp32", "300"), ("bf16", "1024")}


def test_kernels_compile_for_sm_90(tmp_path):
    lines = lines_of(Path(__file__).with_name("compile_worker.py"), tmp_path)
    loads = {tuple(line.split()[:3]): line.split()[3] for line in lines}
    assert len(loads) == 2 * 3
    for (_, width, number), load in loads.items():
        # rows that start at multiples of 16 bytes are read with the widest loads
        assert load == ("wide" if (number, width) in WIDE else "narrow")

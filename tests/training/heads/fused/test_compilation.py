"""Every kernel of a training step compiles for a GPU, also where there is none."""

from pathlib import Path

import pytest

from tests.compiling import lines_of

pytest.importorskip("triton")


def test_the_kernels_compile_for_sm_90(tmp_path):
    assert lines_of(Path(__file__).with_name("compile_worker.py"), tmp_path) == [
        *["_squares_kernel", "_update_kernel"] * 2,
        "_update_kernel",
        *["_kernel"] * 3,
        *["_gather_kernel"] * 2,
    ]

"""Every kernel of a training step compiles for a GPU, also where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")


def test_the_kernels_compile_for_sm_90(tmp_path):
    worker = Path(__file__).with_name("compile_worker.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run([sys.executable, worker], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        *["_squares_kernel", "_update_kernel"] * 2,
        "_update_kernel",
        *["_kernel"] * 3,
        *["_gather_kernel"] * 2,
    ]

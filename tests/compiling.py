"""Runs a program that compiles Triton kernels, without the interpreter and with a cache of its own."""

import os
import subprocess
import sys
from pathlib import Path


def lines_of(worker: Path, cache: Path) -> list[str]:
    """The lines that the program prints."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(cache), "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, worker], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()

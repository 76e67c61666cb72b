"""Damaged files of every format are refused in one clean line or read right.

``MLGCN_FUZZ=3000`` sets the number of damaged files per format, ``MLGCN_FUZZ_SEED`` the seed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.formats import FORMATS

COUNT, SEED = int(os.environ.get("MLGCN_FUZZ", 100)), int(os.environ.get("MLGCN_FUZZ_SEED", 0))
WORKER = Path(__file__).with_name("worker.py")


def fuzzed(folder, names):
    """Runs formats in another process, which HDF5 could crash."""
    command = [sys.executable, str(WORKER), str(folder), str(COUNT), str(SEED), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600 + COUNT * len(names))
    position = (folder / "position").read_text() if (folder / "position").exists() else "the start"
    assert done.returncode == 0, f"ended at {position}: {done.stderr[-1000:]}"
    return {result["format"]: result for result in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return fuzzed(tmp_path_factory.mktemp("fuzz"), [name for name in FORMATS if name != "feature file"])


def check(result):
    assert not result["failures"], result["failures"][:10]
    assert result["refused"] + result["read"] == COUNT and result["refused"] > COUNT / 20


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "feature file"])
def test_damaged_files_are_refused_in_one_line_or_read_right(results, name):
    check(results[name])


def test_damaged_feature_files(tmp_path):
    check(fuzzed(tmp_path, ["feature file"])["feature file"])

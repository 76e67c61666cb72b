"""Other systems, imitated: what Windows and macOS lack is removed in a process before the package is imported.

This finds calls that nobody replaced. It does not show that the replacements work on those systems.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mlgcn_pyg.system import preallocate, read_at
from tests import platforms_worker as worker
from tests.features.small import small_scenes


def run(step: str, folder: Path, system: str) -> subprocess.CompletedProcess:
    command = [sys.executable, worker.__file__, step, str(folder)]
    environment = os.environ | {"MLGCN_TEST_SYSTEM": system, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What this system makes, uninterrupted."""
    folder = tmp_path_factory.mktemp("here")
    small_scenes(folder / "scenes")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return worker.extract(folder), worker.fit(folder).state_dict()
    finally:
        torch.set_num_threads(threads)


def same_features(cache, expected) -> bool:
    return bytes(cache.features) == bytes(expected.features) and cache.ids == expected.ids


def test_windows_killed_and_resumed(tmp_path, expected):
    """Extraction and training die and are resumed, a file is repaired and replaced, the command line predicts."""
    small_scenes(tmp_path / "scenes")
    steps = [
        ("killed_extraction", worker.DIES),
        ("resumed_extraction_and_killed_fit", worker.DIES),
        ("resumed_fit_and_prediction", 0),
    ]
    for step, code in steps:
        done = run(step, tmp_path, "windows")
        assert done.returncode == code, done.stdout
    cache, head = expected
    assert same_features(worker.FeatureCache(tmp_path / "s.h5"), cache)
    other = torch.load(tmp_path / "head.pt", weights_only=True)
    assert all(torch.equal(other[name], value) for name, value in head.items())
    assert len((tmp_path / "p.csv").read_text().splitlines()) > 22
    assert not list(tmp_path.rglob("*.lock")) and not list(tmp_path.glob("*.partial"))


def test_macos_interrupted_and_resumed(tmp_path, expected):
    small_scenes(tmp_path / "scenes")
    done = run("interrupted_and_resumed", tmp_path, "macos")
    assert done.returncode == 0, done.stdout
    assert same_features(worker.FeatureCache(tmp_path / "s.h5"), expected[0])
    assert not list(tmp_path.rglob("*.lock")) and not list(tmp_path.glob("*.partial"))


def test_space_is_claimed_without_changing_what_is_there(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr("mlgcn_pyg.system.ZEROS", 8)
    path = tmp_path / "f"
    path.write_bytes(b"head" + bytes(20) + b"row" + bytes(5))
    with open(path, "rb+") as file:
        preallocate(file.fileno(), 4, 60)  # to byte 64
        assert read_at(file.fileno(), 100, 0) == b"head" + bytes(20) + b"row" + bytes(37)

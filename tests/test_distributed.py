"""Two processes compute the same file as one process."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from mlgcn_pyg.features import FeatureCache, extract_features
from mlgcn_pyg.features.verification import verify
from mlgcn_pyg.files.locks import locked
from tests.features.small import SmallBackbone, small_scenes

WORKER = Path(__file__).with_name("ranks_worker.py")


def launch(*words, processes: int = 2) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    words = [*command, str(WORKER), *map(str, words)]
    return subprocess.run(
        words, capture_output=True, text=True, cwd=WORKER.parents[1], env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def test_two_processes_compute_the_same_features_as_one(tmp_path):
    scenes = small_scenes(tmp_path / "scenes")
    whole = extract_features(SmallBackbone(), scenes, tmp_path / "one.h5", batch_size=4)
    done = launch(tmp_path / "scenes", tmp_path / "two.h5")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["0:3", "1:3"]  # each computed three of the six batches
    cache = FeatureCache(tmp_path / "two.h5")
    assert torch.equal(cache.load()[0], whole.load()[0]) and cache.ids == whole.ids and verify(cache.path).good
    assert sorted(path.name for path in tmp_path.glob("two*")) == ["two.h5"]
    done = launch(tmp_path / "scenes", tmp_path / "two.h5")
    assert done.returncode == 0 and sorted(done.stdout.split()) == ["0:0", "1:0"]  # nothing to do


def test_one_process_resumes_two_killed_ones_and_an_error_is_raised_in_all_processes(tmp_path):
    scenes = small_scenes(tmp_path / "scenes")
    whole = extract_features(SmallBackbone(), scenes, tmp_path / "one.h5", batch_size=4)
    done = launch(tmp_path / "scenes", tmp_path / "two.h5", "killed")
    assert done.returncode != 0 and not (tmp_path / "two.h5").exists()
    assert (tmp_path / "two.h5.partial.rank1").exists()
    done = launch(tmp_path / "scenes", tmp_path / "two.h5", "other")
    assert done.returncode != 0 and done.stderr.count("InputError: path: expected a new file") >= 2
    notes = []
    cache = extract_features(SmallBackbone(), scenes, tmp_path / "two.h5", batch_size=4, notify=notes.append)
    assert notes[:1] == [f"resuming from {tmp_path / 'two.h5.partial'}: 2 of 6 batches are verified"]
    assert torch.equal(cache.load()[0], whole.load()[0])
    assert sorted(path.name for path in tmp_path.glob("two*")) == ["two.h5"]


def test_a_path_in_use_by_another_process_is_refused_at_once_in_all_processes(tmp_path):
    small_scenes(tmp_path / "scenes", 4)
    with locked(tmp_path / "two.h5.partial"):
        done = launch(tmp_path / "scenes", tmp_path / "two.h5")
    assert done.returncode != 0 and done.stderr.count("InputError: path: expected a file that no other process") == 2
    assert "Connection closed" not in done.stderr and not list(tmp_path.glob("two*"))

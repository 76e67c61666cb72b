"""Two processes compute the same file as one process."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
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


GATHER = WORKER.with_name("gather_worker.py")


def start_two(*words):
    """Starts two processes without a launcher, which would terminate the second one when the first one fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(GATHER), *words]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, env=env | {"RANK": str(k)}, **options) for k in range(2)]
    said = [process.communicate(timeout=120) for process in running]
    return [process.returncode for process in running], *zip(*said, strict=True)


def test_gathered_results_are_in_the_first_process():
    codes, out, _ = start_two()
    assert codes == [0, 0] and out == ("0:[10,11]\n", "1:[]\n")


def test_an_input_error_in_one_process_is_raised_in_all():
    codes, _, err = start_two("refused")
    assert codes == [1, 1] and all("InputError: rank: expected an even number, found 1" in text for text in err)


@pytest.mark.parametrize("how", ["failed", "killed"])
def test_no_process_waits_for_one_that_has_ended(how):
    codes, out, _ = start_two(how)
    assert codes[0] not in (0, None) and codes[1] not in (0, None) and out == ("", "")

"""Several processes of one run print one error."""

import os
import socket
import subprocess
import sys

import pytest

from mlgcn_pyg.datasets import Scenes
from mlgcn_pyg.training import ModelConfig
from mlgcn_pyg.training.model.shares import shares
from tests.cli.test_train import words


def together(*words, ranks=(0, 1)):
    """Runs a command in these of two processes, as launchers start them: exit codes, and all that was said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mlgcn_pyg", *map(str, words)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = [subprocess.Popen(command, env=env | {"RANK": str(k), "LOCAL_RANK": str(k)}, **options) for k in ranks]
    said = "".join(process.communicate(timeout=240)[0] for process in running)
    return [process.returncode for process in running], said


def errors(said):
    return [line for line in said.splitlines() if line.startswith("mlgcn: error:")]


def test_one_of_several_failing_processes_prints_the_error(tmp_path):
    codes, said = together("evaluate", "--checkpoint", tmp_path / "no.pt", "--cache", tmp_path / "no.h5")
    assert codes == [2, 2] and len(errors(said)) == 1 and "no.pt" in said
    codes, said = together("evaluate", "--chekpoint", "a.pt")
    assert codes == [2, 2] and len(errors(said)) == 1 and "No such option" in said


@pytest.mark.parametrize("rank", [0, 1])
def test_the_error_of_a_single_process_is_printed(tmp_path, rank):
    codes, said = together("evaluate", "--checkpoint", tmp_path, "--cache", tmp_path / "no.h5", ranks=[rank])
    assert codes == [2] and len(errors(said)) == 1


def test_the_processes_of_one_that_cannot_go_on_end_without_a_traceback(tmp_path):
    data = Scenes(tmp_path, 9, split="train")
    Scenes(tmp_path, 2, split="test")
    # the first process decodes other images, and waits for the second one's gradients
    path = data.image_paths[shares(9, ModelConfig(batch_size=8), 1, rank=1, size=2)[0][0].items[0]]
    path.write_bytes(path.read_bytes()[:300])
    codes, said = together(*words(tmp_path, tmp_path / "run"))
    assert codes == [2, 2] and "Traceback" not in said, said
    assert len(errors(said)) == 1 and f"an image that can be decoded, found {path}" in said

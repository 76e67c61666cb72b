"""A model, its ONNX file with the server beside it, and servers in processes of their own."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from mlgcn_pyg import MLGCN
from mlgcn_pyg.checkpoints import Checkpoint, export_onnx, write_server
from mlgcn_pyg.nn import Backbone, LinearHead
from mlgcn_pyg.prediction import Predictor
from tests.report.page.conftest import browser  # noqa: F401

NAMES = ("sea", "<b>boat</b> [small]", "é")


def export(folder, seed, thresholds=None):
    """The predictor of a random network, and its ONNX file."""
    torch.manual_seed(seed)
    model = MLGCN(Backbone("squeezenet1_1"), LinearHead(3, 512, NAMES))
    model.head.linear.weight.data *= 4  # or all photographs would have nearly the same logits
    checkpoint = Checkpoint(model.head, model.backbone, (64, 48), thresholds)
    return SimpleNamespace(predictor=Predictor(checkpoint), path=export_onnx(folder / f"{seed}.onnx", checkpoint).path)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with the server, which can import neither torch nor the package."""
    folder = tmp_path_factory.mktemp("served")
    write_server(folder)
    for name in ("torch", "mlgcn_pyg"):
        (folder / "without").mkdir(exist_ok=True)
        (folder / "without" / f"{name}.py").write_text("raise ImportError('the server requires neither')")
    return folder


@pytest.fixture(scope="session")
def exported(folder):
    return export(folder, 1, torch.tensor([-1.0, 2.5, 0.0]))


def start(folder, *words, code=None):
    """A server, or a program that uses its modules; neither can import torch or the package."""
    words = ["-c", code, *words] if code else [folder / "onnx_server.py", *words]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment = inherited | {"PYTHONPATH": f"{folder / 'without'}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *map(str, words)], stderr=subprocess.PIPE, text=True, env=environment)


@contextmanager
def served(folder, *words, code=None):
    """A running server: its ``url``, ``port``, ``pid`` and, after the block, all that it logged."""
    process = start(folder, *words, code=code)
    try:
        lines = []
        while not (running := re.search(r"running on (http://127.0.0.1:(\d+))", lines[-1] if lines else "")):
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        server = SimpleNamespace(url=running[1], port=int(running[2]), pid=process.pid, log="")
        yield server
    finally:
        process.terminate()
        server.log = process.communicate(timeout=60)[1]


@pytest.fixture(scope="session")
def server(folder, exported):
    with served(folder, exported.path, 0) as found:
        yield found
    assert "Traceback" not in found.log

"""What several test files need: the folder of real data, and random graphs of the awkward kinds."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported: its kernels then run on the CPU

# A suite started in a shell's background ignores Ctrl-C, and so would every program it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(os.environ.get("MLGCN_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data in {SHARED}; set MLGCN_SHARED_DATA to a folder that has them")
    return SHARED


@pytest.fixture(scope="session")
def coco_targets(shared):
    """The 82,081 × 80 training targets of COCO 2014 and their names, read from a plain NumPy archive."""
    with np.load(shared / "coco2014" / "coco2014_multilabel.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def one_layout(monkeypatch):
    """Training selects the layout that the tests' oracles use, not the one that is faster at the moment."""
    monkeypatch.setattr("mlgcn_pyg.training.model.fit.channels_last_is_faster", lambda *arguments: False)

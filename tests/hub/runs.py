"""Runs and networks for tests of saved models."""

from pathlib import Path

import torch
from PIL import Image

from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.nn import Backbone, LinearHead
from tests.run_report.runs import NAMES, make_caches, make_run
from tests.training.heads.problems import problem

__all__ = ["NAMES", "make_caches", "make_run", "network", "photo", "problem", "rare_run"]


def network() -> Checkpoint:
    """Returns a network with thresholds and a recorded calibration."""
    torch.manual_seed(3)
    head = LinearHead(2, 512, ["cat", "dog | *"])
    config = {"epochs": 2, "calibration": {"scale": [1.0, 1.0], "shift": [0.0, 0.0]}}
    return Checkpoint(head, Backbone("squeezenet1_1"), 64, torch.tensor([0.0, 1.0]), config)


def photo(path: Path) -> Path:
    """Writes a photograph."""
    Image.new("RGB", (70, 50), (200, 30, 90)).save(path)
    return path


def rare_run(folder: Path) -> Path:
    """Trains heads on images none of which has the last label in the reported file."""
    for seed, part in enumerate(("train", "val", "test")):
        features, targets = problem(48, seed=seed)
        if part == "test":
            targets[:, -1] = 0
        FeatureCache.from_arrays(folder / f"{part}.h5", features, targets, NAMES)
    return make_run(folder)

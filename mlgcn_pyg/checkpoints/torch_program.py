"""Whole networks as programs of ``torch.export``."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from mlgcn_pyg.checkpoints.checkpoint import Checkpoint
from mlgcn_pyg.checkpoints.exported import Exported, Runnable, describe_network, write_network
from mlgcn_pyg.imagenet import MEAN, STD


def export_torch(
    path: str | Path, checkpoint: Checkpoint, *, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> Exported:
    """Writes a program that ``torch.export.load(path).module()`` runs without this package.

    The file is complete or absent. Its metadata are those of :func:`export_onnx`, in the extra file
    ``metadata.json``.

    Args:
        path: the file.
        checkpoint: a whole model with its ``image_size``.
        mean: the mean of each channel that images are normalised with, for the metadata.
        std: the standard deviation of each channel, likewise.

    Raises:
        InputError: if the checkpoint has no backbone or no image size, or its network cannot be exported such that the
            logits agree.
    """
    metadata = json.dumps(describe_network(checkpoint, mean, std))

    def write(program: torch.export.ExportedProgram, partial: Path) -> None:
        with open(partial, "wb") as file:
            torch.export.save(program, file, extra_files={"metadata.json": metadata})

    return write_network(path, checkpoint, write, _load)


def _load(path: Path) -> Runnable:
    with open(path, "rb") as file:
        return torch.export.load(file).module()

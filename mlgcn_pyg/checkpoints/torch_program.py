"""Exports whole networks as programs of ``torch.export``."""

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
    """Writes a program that ``torch.export.load(path).module()`` loads without this package.

    The write is atomic. The extra file ``metadata.json`` contains the metadata of :func:`export_onnx`.

    Args:
        path: the file.
        checkpoint: a whole model with its ``image_size``.
        mean: the mean of each channel that images are normalised with, stored in the metadata.
        std: the standard deviation of each channel, stored in the metadata.

    Raises:
        InputError: if the checkpoint has no backbone or no image size, the network cannot be exported, or the logits do
            not agree.
    """
    metadata = json.dumps(describe_network(checkpoint, mean, std))

    def write(program: torch.export.ExportedProgram, partial: Path) -> None:
        with open(partial, "wb") as file:
            torch.export.save(program, file, extra_files={"metadata.json": metadata})

    return write_network(path, checkpoint, write, _load)


def _load(path: Path) -> Runnable:
    with open(path, "rb") as file:
        return torch.export.load(file).module()

"""The options that describe a whole model, or a head with the backbone of its features."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.cli import common
from mlgcn_pyg.errors import renamed_arguments

CheckpointFile = Annotated[Path, typer.Option(help="A whole model, a head, or a linear export (.safetensors).")]
BackboneName = Annotated[str | None, typer.Option(help="Of a head: the backbone its features came from.")]
WeightsFile = Annotated[str | None, typer.Option(help="Of a head: the backbone's weights, a .pth file or DEFAULT.")]
Pool = Annotated[str | None, typer.Option(help="Of a head: max (the default) or avg.")]
ImageSize = Annotated[
    str | None, typer.Option(help="Of a head: side in pixels of the photographs, or HEIGHTxWIDTH (448).")
]


def open_model(path: Path, backbone: str | None, weights: str | None, pool: str | None, image_size: str | None):
    """The :class:`Checkpoint` that the options describe, with a backbone and an image size."""
    from mlgcn_pyg import prediction

    size = None if image_size is None else common.sides(image_size)
    # torch reports downloads on standard output, where predictions belong
    with redirect_stdout(sys.stderr), renamed_arguments(path="checkpoint"):
        return prediction.open_model(path, backbone=backbone, weights=weights, pool=pool, image_size=size)

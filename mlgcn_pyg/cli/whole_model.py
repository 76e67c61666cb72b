"""Opening a network that can see photographs: a whole model, or a head with the backbone it was trained on."""

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.cli import common
from mlgcn_pyg.errors import InputError, printable_line

CheckpointFile = Annotated[Path, typer.Option(help="A whole model, a head, or a linear export (.safetensors).")]
BackboneName = Annotated[str | None, typer.Option(help="Of a head: the backbone its features came from.")]
WeightsFile = Annotated[str | None, typer.Option(help="Of a head: the backbone's weights, a .pth file or DEFAULT.")]
Pool = Annotated[str | None, typer.Option(help="Of a head: max (the default) or avg.")]
ImageSize = Annotated[
    str | None, typer.Option(help="Of a head: side in pixels of the photographs, or HEIGHTxWIDTH (448).")
]
DEFAULT_SIZE = 448


def open_model(path: Path, backbone: str | None, weights: str | None, pool: str | None, image_size: str | None):
    """The :class:`Checkpoint` in ``path``, with a backbone and an image size, tried once.

    What a checkpoint knows need not be said, and what is said must agree with it.
    """
    from mlgcn_pyg.checkpoints import load_checkpoint
    from mlgcn_pyg.nn import Backbone

    loaded, given = load_checkpoint(path), {"backbone": backbone, "weights": weights, "pool": pool}
    size = None if image_size is None else common.sides(image_size)
    if loaded.backbone is not None:
        for argument, value in given.items():
            if value is not None:
                raise InputError(argument, "none, since the checkpoint holds its backbone", repr(value))
        loaded.check_features("image_size", {"image_size": size})
        return loaded
    made = loaded.features
    name = backbone or made.get("backbone")
    for argument, value in (("backbone", name), ("weights", weights)):
        if value is None:
            fix = "give --backbone and --weights, as to mlgcn extract"
            raise InputError(argument, "what the head's features came from", f"none in {path}", fix)
    with redirect_stdout(sys.stderr):  # torch tells of a download, and on standard output are predictions
        network = Backbone(name, weights, pool or made.get("pool") or "max")
    whole = loaded.with_backbone(network, size)
    whole = whole if whole.image_size else replace(whole, image_size=(DEFAULT_SIZE, DEFAULT_SIZE))
    _check_transform(made.get("transform"), whole.image_size)
    common.try_once(whole.backbone, whole.image_size)
    return whole


def _check_transform(made: str | None, image_size: tuple[int, int]) -> None:
    from mlgcn_pyg.datasets import eval_transform

    ours = printable_line(repr(eval_transform(image_size)))
    if made not in (None, ours):
        raise InputError("checkpoint", f"a head on features of images transformed by {ours}", made)

"""The options that describe a whole network, or a head with the backbone of its features."""

import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mlgcn_pyg.cli.inputs import checkpoint_file
from mlgcn_pyg.cli.options import MODEL, choice, from_dataclass, option
from mlgcn_pyg.cli.values import parse_image_size
from mlgcn_pyg.errors import renamed_arguments

if TYPE_CHECKING:
    from mlgcn_pyg.checkpoints import Checkpoint


@dataclass(frozen=True)
class ModelOptions:
    """The options that describe a checkpoint and, for a head alone, its backbone."""

    checkpoint: Annotated[
        Path,
        option("A network, a head, a linear export, the folder of a run or of mlgcn push, or hub:OWNER/NAME.", MODEL),
    ]
    backbone: Annotated[
        str | None, option("For a head: the backbone of its features.", MODEL, show_default="from the checkpoint")
    ] = None
    weights: Annotated[str | None, option("For a head: the backbone's weights, a .pth file or DEFAULT.", MODEL)] = None
    pool: Annotated[
        str | None, choice("For a head: max or avg.", MODEL, ("max", "avg"), show_default="from the checkpoint, or max")
    ] = None
    image_size: Annotated[
        str | None,
        option("For a head: side of the images in pixels, or HEIGHTxWIDTH.", MODEL,
               show_default="from the checkpoint, or 448"),
    ] = None  # fmt: skip

    def words(self) -> str:
        """Returns the options as they are given on a command line."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given.items() if value is not None]
        return shlex.join(word for pair in pairs for word in pair)

    def open(self) -> "Checkpoint":
        """Returns the checkpoint with a backbone and an image size."""
        from mlgcn_pyg.prediction import open_model

        size = None if self.image_size is None else parse_image_size(self.image_size)
        # torch reports downloads on standard output, which is reserved for predictions
        with redirect_stdout(sys.stderr), renamed_arguments(path="checkpoint"):
            path = checkpoint_file(self.checkpoint)
            return open_model(path, backbone=self.backbone, weights=self.weights, pool=self.pool, image_size=size)


WHOLE_MODEL = from_dataclass(ModelOptions)

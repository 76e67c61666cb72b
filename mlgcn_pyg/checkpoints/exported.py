"""Functions for both export formats: the folded network, its metadata, and the comparison with PyTorch's logits."""

import copy
import json
import warnings
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg._version import __version__
from mlgcn_pyg.checkpoints.checkpoint import Checkpoint
from mlgcn_pyg.errors import InputError, first_line, renamed_arguments
from mlgcn_pyg.files.atomic import atomic_path
from mlgcn_pyg.nn.mlgcn import MLGCN

TOLERANCE = 1e-4  # of exported logits; relative to the largest logit if it is above 1
AXES = {0: "batch", 2: "height", 3: "width"}

Runnable = Callable[[Tensor], Tensor]  # images → logits
Writer = Callable[[torch.export.ExportedProgram, Path], None]
Loader = Callable[[Path], Runnable]


@dataclass(frozen=True)
class Exported:
    """An exported network, whose logits agree with those of PyTorch.

    Attributes:
        path: the file.
        dynamic: the dynamic axes of ``images``: the batch, and height and width if the backbone supports them. Programs
            that ``torch.export`` of torch 2.11 writes require the height and width of the checkpoint's ``image_size``
            where the backbone has a pooling layer.
        difference: the largest difference from PyTorch's logits over several input sizes.
        least_side: the smallest side of an image if height and width are dynamic, else None. Exporters treat a size of
            one as a constant, so programs of ``torch.export`` require a feature map of at least 2 × 2 positions: 33
            pixels for MobileNetV2, 64 for ConvNeXt. They raise "Guard failed" for smaller images.
    """

    path: Path
    dynamic: tuple[str, ...]
    difference: float
    least_side: int | None


def fold_model(model: MLGCN, image_size: tuple[int, int] | None = None) -> torch.nn.Sequential:
    """Returns a copy of a network for inference: the backbone, followed by the head as one linear layer.

    Args:
        model: the network, which is not changed.
        image_size: (height, width). If given, the backbone is in its inference form
            (:meth:`mlgcn_pyg.nn.Backbone.inference_form`), unless it has none or the form does not agree.

    Shapes:
        - **images:** (B, 3, height, width) → **logits:** (B, C)

    Raises:
        InputError: if the backbone is not a module.
    """
    if not isinstance(model.backbone, torch.nn.Module):
        raise InputError("model", "a model whose backbone is a torch.nn.Module", type(model.backbone).__name__)
    make = getattr(model.backbone, "inference_form", None)
    form = None if make is None or image_size is None else make(image_size)
    backbone = copy.deepcopy(model.backbone) if form is None else form
    return torch.nn.Sequential(backbone, model.head.to_linear()).eval().requires_grad_(False)


def describe_network(checkpoint: Checkpoint, mean: Sequence[float], std: Sequence[float]) -> dict[str, str]:
    """Returns the metadata of an exported network as JSON strings."""
    thresholds = None if checkpoint.thresholds is None else checkpoint.thresholds.tolist()
    content = {
        "label_names": checkpoint.label_names,
        "image_size": checkpoint.image_size,
        "mean": mean,
        "std": std,
        "thresholds": thresholds,
        "config": checkpoint.config,
        "mlgcn_pyg": __version__,
    }
    return {name: json.dumps(value, default=str) for name, value in content.items()}


def write_network(path: str | Path, checkpoint: Checkpoint, write: Writer, load: Loader) -> Exported:
    """Writes the folded network of a checkpoint, with dynamic height and width if the backbone supports them.

    Args:
        path: the file, which is written atomically.
        checkpoint: a whole model with its image size.
        write: writes a program to a file.
        load: loads such a file.

    Raises:
        InputError: if the checkpoint has no backbone or no image size, or the exported logits do not agree.
    """
    size = checkpoint.image_size
    if size is None:
        fix = "set it with dataclasses.replace(checkpoint, image_size=448)"
        raise InputError("checkpoint", "a model with its image_size", "none", fix)
    with renamed_arguments(backbone="checkpoint"):
        network = fold_model(checkpoint.model, size).float().cpu()
    with atomic_path(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters warn about their internals
        for axes in (tuple(AXES), (0,)):
            try:
                write(export_program(network, size, axes), partial)
                exported = load(partial)
                difference = _largest_difference(network, exported, size, len(axes) > 1)
            except OSError:  # for example a full disk
                raise
            except Exception as error:  # exporters and runtimes raise many types of exceptions
                reason = first_line(error)
                continue
            least_side = _least_side(network, exported, max(size)) if len(axes) > 1 else None
            return Exported(Path(path), tuple(AXES[axis] for axis in axes), difference, least_side)
        name = getattr(checkpoint.backbone, "name", type(checkpoint.backbone).__name__)
        raise InputError("checkpoint", "a network that can be exported", f"{name} ({reason})")


def export_program(
    network: torch.nn.Module, image_size: tuple[int, int], axes: Sequence[int]
) -> torch.export.ExportedProgram:
    """Exports a network with dynamic ``axes``."""
    images = torch.zeros(2, 3, *image_size)  # a batch of one would be treated as a constant
    dynamic = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    return torch.export.export(network, (images,), dynamic_shapes=(dynamic,), strict=False)


def _largest_difference(
    network: torch.nn.Module, exported: Runnable, size: tuple[int, int], dynamic_sides: bool
) -> float:
    """Returns the largest difference over all tested shapes."""
    shapes = [(1, *size), (3, *size)] + ([(2, size[0] + 37, size[1] + 64)] if dynamic_sides else [])
    return max(_difference(network, exported, *shape) for shape in shapes)


def _least_side(network: torch.nn.Module, exported: Runnable, accepted: int) -> int:
    """Returns the smallest side of a square image whose logits agree. They agree for the side ``accepted``."""

    def agrees(side: int) -> bool:
        try:
            return _difference(network, exported, 1, side, side) >= 0
        except Exception:  # one of the two does not support the size
            return False

    return 1 + bisect_left(range(1, accepted), True, key=agrees)


@torch.inference_mode()
def _difference(network: torch.nn.Module, exported: Runnable, batch: int, height: int, width: int) -> float:
    """Returns the largest difference of the logits of random images. Raises a ValueError above the tolerance."""
    images = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    expected = network(images)  # first, because PyTorch raises for images that are too small, and onnxruntime may crash
    logits = exported(images)
    if logits.shape != expected.shape:
        raise ValueError(f"logits of shape {tuple(logits.shape)} instead of {tuple(expected.shape)}")
    difference = float((logits - expected).abs().max()) if expected.numel() else 0.0
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise ValueError(f"logits differ by {difference:.2g} for images of {tuple(images.shape)}")
    return difference

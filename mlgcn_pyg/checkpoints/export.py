"""The whole network without its GCN, for other runtimes: ``torch.export`` programs and ONNX files."""

import copy
import json
import warnings
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg._version import __version__
from mlgcn_pyg.checkpoints.checkpoint import Checkpoint
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import atomic_path
from mlgcn_pyg.nn.mlgcn import MLGCN

TOLERANCE = 1e-4  # of the logits of an exported network, over the largest logit where that is above 1
AXES = {0: "batch", 2: "height", 3: "width"}
ONNX_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Exported:
    """A network that was written, run and found to agree.

    Attributes:
        dynamic: the axes of ``images`` that may have any size: batch, and height and width where the backbone allows.
        difference: the largest difference of its logits from PyTorch's, over inputs of several sizes.
        least_side: the smallest height and width that it takes where they are free, else None. Exporters take a side
            of one for a constant, and programs of ``torch.export`` therefore want a feature map of two places or more
            each way: 33 pixels or more of MobileNetV2, 64 of ConvNeXt. Of a smaller image they raise "Guard failed".
    """

    path: Path
    dynamic: tuple[str, ...]
    difference: float
    least_side: int | None


def fold_model(model: MLGCN) -> torch.nn.Sequential:
    """A copy of the network for inference: the backbone, then the head folded into one linear layer.

    Shapes:
        - **images:** (B, 3, height, width) → **logits:** (B, C)
    """
    return torch.nn.Sequential(copy.deepcopy(model.backbone), model.head.to_linear()).eval().requires_grad_(False)


def export_torch(
    path: str | Path, checkpoint: Checkpoint, *, mean: Sequence[float] = (), std: Sequence[float] = ()
) -> Exported:
    """Writes a program that ``torch.export.load(path).module()`` runs, whole or not at all; nothing of this package
    is needed for it.

    Arguments, metadata (as the extra file ``metadata.json``) and errors are those of :func:`export_onnx`.
    """
    metadata = _metadata(checkpoint, mean, std)

    def write(program: torch.export.ExportedProgram, partial: Path) -> None:
        with open(partial, "wb") as file:
            torch.export.save(program, file, extra_files={"metadata.json": json.dumps(metadata)})

    def load(partial: Path) -> Callable[[Tensor], Tensor]:
        with open(partial, "rb") as file:
            return torch.export.load(file).module()

    return _export(path, checkpoint, write, load)


def export_onnx(
    path: str | Path, checkpoint: Checkpoint, *, mean: Sequence[float] = (), std: Sequence[float] = ()
) -> Exported:
    """Writes one ONNX file with input ``images`` (B, 3, height, width) and output ``logits`` (B, C), whole or not at
    all. The GCN is folded away: what is left of the head is one matrix product.

    The file is run with onnxruntime before it gets its name; its logits are PyTorch's to 1e-4 for batches of 1 and 3
    images and, where height and width are free, for another size.

    Args:
        path: the file.
        checkpoint: a whole model with its ``image_size``.
        mean, std: of the three channels, that images are normalised with; for the metadata.

    Metadata:
        JSON texts ``label_names``, ``image_size`` (height, width), ``mean``, ``std``, ``thresholds`` (logits, or null),
        ``config``, and ``mlgcn_pyg``, the version that wrote it.

    Raises:
        InputError: a head alone, no image size, a missing library, a backbone that cannot be exported, logits that
            do not agree.
    """
    if missing := [name for name in ONNX_LIBRARIES if find_spec(name) is None]:
        found = "no " + ", ".join(missing)
        raise InputError("format", "the libraries of the extra 'export'", found, "pip install 'mlgcn_pyg[export]'")
    metadata = _metadata(checkpoint, mean, std)

    def write(program: torch.export.ExportedProgram, partial: Path) -> None:
        names = {"input_names": ["images"], "output_names": ["logits"]}
        onnx = torch.onnx.export(program, (), dynamo=True, verbose=False, **names)
        onnx.model.metadata_props.update(metadata)
        _name_axes(onnx.model.graph)
        onnx.save(partial, external_data=False)

    return _export(path, checkpoint, write, _onnx_session)


def _name_axes(graph) -> None:
    """``batch`` for ``s31``: names that whoever opens the file understands."""
    images, logits = graph.inputs[0].shape, graph.outputs[0].shape
    for axis, name in AXES.items():
        if not isinstance(images[axis], int):
            images[axis] = name
    logits[0] = AXES[0]


def _onnx_session(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised too
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def _metadata(checkpoint: Checkpoint, mean: Sequence[float], std: Sequence[float]) -> dict[str, str]:
    thresholds = None if checkpoint.thresholds is None else checkpoint.thresholds.tolist()
    content = {"label_names": checkpoint.label_names, "image_size": checkpoint.image_size, "mean": mean, "std": std}
    content |= {"thresholds": thresholds, "config": checkpoint.config, "mlgcn_pyg": __version__}
    return {name: json.dumps(value, default=str) for name, value in content.items()}


def _export(path: str | Path, checkpoint: Checkpoint, write: Callable, load: Callable) -> Exported:
    """Writes with free sides, or with fixed ones where the backbone turns out to fix them."""
    if checkpoint.image_size is None:
        raise InputError("image_size", "the size of the photographs", "none", fix="give image_size (--image-size)")
    network, reason = fold_model(checkpoint.model).float().cpu(), ""
    with atomic_path(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters warn of their own insides
        for axes in (tuple(AXES), (0,)):
            try:
                write(_program(network, checkpoint.image_size, axes), partial)
                exported = load(partial)
                difference = _worst(network, exported, checkpoint.image_size, len(axes) > 1)
                break
            except OSError:  # a full disk is no fault of the backbone
                raise
            except Exception as error:  # exporters and runtimes raise nearly anything
                reason = first_line(error)
        else:
            raise InputError("backbone", "a network that can be exported", f"{checkpoint.backbone.name} ({reason})")
        least = _least_side(network, exported, max(checkpoint.image_size)) if len(axes) > 1 else None
    return Exported(Path(path), tuple(AXES[axis] for axis in axes), difference, least)


def _program(network: torch.nn.Module, size: tuple[int, int], axes: Sequence[int]) -> torch.export.ExportedProgram:
    images = torch.zeros(2, 3, *size)  # a batch of one would be taken for a constant
    free = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    return torch.export.export(network, (images,), dynamic_shapes=(free,), strict=False)


def _worst(network: torch.nn.Module, exported: Callable, size: tuple[int, int], other_sizes: bool) -> float:
    """The largest difference over the shapes that every export is tried with."""
    shapes = [(1, *size), (3, *size)] + ([(2, size[0] + 37, size[1] + 64)] if other_sizes else [])
    return max(_difference(network, exported, *shape) for shape in shapes)


def _least_side(network: torch.nn.Module, exported: Callable, known: int) -> int:
    """The smallest side of a square image that gives PyTorch's logits; ``known`` is one that does."""

    def agrees(side: int) -> bool:
        try:
            return _difference(network, exported, 1, side, side) >= 0
        except Exception:  # refused, by either
            return False

    return 1 + bisect_left(range(1, known), True, key=agrees)


@torch.inference_mode()
def _difference(network: torch.nn.Module, exported: Callable, batch: int, height: int, width: int) -> float:
    """The largest difference of the logits of random images; ValueError where it is above the tolerance."""
    images = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    wanted = network(images)  # first, for it refuses what is too small; onnxruntime may crash of it
    found = exported(images)
    if found.shape != wanted.shape:
        raise ValueError(f"logits of shape {tuple(found.shape)} instead of {tuple(wanted.shape)}")
    difference = float((found - wanted).abs().max()) if wanted.numel() else 0.0
    if not difference <= TOLERANCE * max(1.0, float(wanted.abs().max())):
        raise ValueError(f"logits differ by {difference:.2g} for images of {tuple(images.shape)}")
    return difference

"""Exports whole networks to ONNX files.

``onnx_serving/onnx_network.py`` is a program that runs such a file with onnxruntime, NumPy and Pillow, and
``onnx_serving/onnx_server.py`` serves it (:func:`mlgcn_pyg.checkpoints.write_server`). Neither requires this package or
torch.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checkpoints.checkpoint import Checkpoint
from mlgcn_pyg.checkpoints.exported import AXES, Exported, Runnable, describe_network, write_network
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.imagenet import MEAN, STD

LARGEST = 2**31 - 2**24  # bytes of weights and metadata; with its graph, an ONNX file must be smaller than 2 GiB
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def export_onnx(
    path: str | Path, checkpoint: Checkpoint, *, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> Exported:
    """Writes a network to one ONNX file with input ``images`` (B, 3, height, width) and output ``logits`` (B, C).

    The GCN is folded: the head becomes one matrix product. The file is run with onnxruntime before it is renamed to
    ``path``. Its logits must agree with PyTorch's to 1e-4 for batches of 1 and 3 images and, if height and width are
    dynamic, for a second size.

    Args:
        path: the file.
        checkpoint: a whole model with its ``image_size``.
        mean: the mean of each channel that images are normalised with, stored in the metadata.
        std: the standard deviation of each channel, stored in the metadata.

    Metadata:
        JSON strings ``label_names``, ``image_size`` (height, width), ``mean``, ``std``, ``thresholds`` (logits or
        null), ``config``, and ``mlgcn_pyg``, the version that wrote the file.

    Raises:
        InputError: if the checkpoint has no backbone or no image size, a library of the extra ``export`` is missing,
            the weights do not fit into one ONNX file, or the logits of the exported network differ.
    """
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        expected = "the libraries of the extra 'export', which write ONNX"
        raise InputError("path", expected, "no " + ", ".join(missing), "pip install 'mlgcn_pyg[export]'")
    metadata = describe_network(checkpoint, mean, std)
    _check_size(checkpoint, sum(map(len, metadata.values())))

    def write(program: torch.export.ExportedProgram, partial: Path) -> None:
        onnx = torch.onnx.export(
            program, (), dynamo=True, verbose=False, input_names=["images"], output_names=["logits"]
        )
        if onnx is None:
            raise RuntimeError("torch.onnx.export returned no program")
        onnx.model.metadata_props.update(metadata)
        _name_axes(onnx.model.graph)
        onnx.save(partial, external_data=False)

    return write_network(path, checkpoint, write, _load)


def _check_size(checkpoint: Checkpoint, more: int) -> None:
    """Raises an InputError if the weights in float32 and ``more`` bytes are too large for an ONNX file."""
    numbers = checkpoint.head.num_labels * (checkpoint.head.num_features + 1)
    if isinstance(checkpoint.backbone, torch.nn.Module):
        numbers += sum(value.numel() for value in checkpoint.backbone.state_dict().values())
    if (size := 4 * numbers + more) > LARGEST:
        fix = "programs of torch.export (.pt2) have no such limit"
        raise InputError("checkpoint", "weights that fit into one ONNX file (2 GiB)", f"{size / 2**30:.1f} GiB", fix)


def _name_axes(graph: Any) -> None:
    """Renames the dynamic axes, which have generated names such as ``s31``."""
    images, logits = graph.inputs[0].shape, graph.outputs[0].shape
    for axis, name in AXES.items():
        if not isinstance(images[axis], int):
            images[axis] = name
    logits[0] = AXES[0]


def _load(path: Path) -> Runnable:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal errors only; errors are also raised
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    return run

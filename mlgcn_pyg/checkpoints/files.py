"""Checkpoint files of heads and whole models: plain dicts of tensors, numbers and strings that cannot run code."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from mlgcn_pyg.checkpoints.checkpoint import Checkpoint, check_thresholds
from mlgcn_pyg.checkpoints.content import Content, complete
from mlgcn_pyg.checkpoints.heads import HEAD_FORMAT, build_head, head_content
from mlgcn_pyg.checkpoints.linear_file import read_linear
from mlgcn_pyg.checkpoints.networks import MODEL_FORMAT, build_backbone, model_content
from mlgcn_pyg.checkpoints.pretrained import read_pretrained, replace_in_pretrained
from mlgcn_pyg.checks import check_image_size
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.files.plain import load_plain, save_plain
from mlgcn_pyg.files.pretrained import is_pretrained
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.standardized_head import StandardizedHead


def save_head(
    path: str | Path, head: StandardizedHead, *, config: Content | None = None, thresholds: Tensor | None = None
) -> None:
    """Writes a head with its label names and, if it has one, its label graph. The write is atomic.

    Args:
        path: the file.
        head: :class:`MLGCNHead`, :class:`SharingHead`, :class:`LinearHead`, or :class:`LabelGNNHead`.
        config: the training configuration: numbers, strings and containers of them.
        thresholds: (C,) logits above which labels are predicted (:func:`mlgcn_pyg.evaluation.fit_thresholds`);
            default: 0.

    Raises:
        InputError: if the thresholds are not one number per label.
    """
    save_plain(path, head_content(head, config) | _thresholds_content(thresholds, head.num_labels))


def save_model(
    path: str | Path,
    model: MLGCN,
    *,
    image_size: int | Sequence[int],
    config: Content | None = None,
    thresholds: Tensor | None = None,
) -> None:
    """Writes a whole network. Prediction requires no other file. The write is atomic.

    Args:
        path: the file.
        model: an :class:`MLGCN` with a :class:`Backbone`.
        image_size: side or (height, width) in pixels that images are resized to
            (:func:`mlgcn_pyg.datasets.eval_transform`).
        config: the training configuration: numbers, strings and containers of them.
        thresholds: (C,) logits above which labels are predicted; default: 0.

    Raises:
        InputError: if the backbone is not a :class:`Backbone`, the image size is invalid, or the thresholds are not
            one number per label.

    >>> import tempfile, torch
    >>> from mlgcn_pyg.nn import Backbone, LinearHead
    >>> path = Path(tempfile.mkdtemp(), "model.pt")
    >>> save_model(path, MLGCN(Backbone("squeezenet1_1"), LinearHead(2, 512, ["cat", "dog"])), image_size=64)
    >>> load_checkpoint(path).image_size, load_model(path)(torch.zeros(1, 3, 64, 64)).shape
    ((64, 64), torch.Size([1, 2]))
    """
    content = model_content(model, image_size, config)
    save_plain(path, content | _thresholds_content(thresholds, model.head.num_labels))


def checkpoint_content(checkpoint: Checkpoint) -> Content:
    """Returns the content of the file of a head or, if the checkpoint has a backbone, of a whole network.

    Raises:
        InputError: as :func:`save_head` and :func:`save_model`, or if a network has no image size.
    """
    if checkpoint.backbone is None:
        content = head_content(checkpoint.head, checkpoint.config)
    elif checkpoint.image_size is None:
        raise InputError("checkpoint", "a network with its image_size", "none")
    else:
        content = model_content(checkpoint.model, checkpoint.image_size, checkpoint.config)
    return content | _thresholds_content(checkpoint.thresholds, checkpoint.head.num_labels)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Loads a head, a whole model or a linear export (``.safetensors``) to the CPU. Code in the file is not executed.

    Args:
        path: a file, or the folder of a model (:class:`mlgcn_pyg.hub.HubModel`).

    Raises:
        InputError: if the file is not a checkpoint, or is damaged.
    """
    if _is_linear(path):
        return read_linear(path)
    content = _read(path, "a checkpoint written by save_head or save_model", HEAD_FORMAT, MODEL_FORMAT)
    with complete(path, "a complete head or model"):
        thresholds, config = content.get("thresholds"), content["config"]
        if content["format"] == HEAD_FORMAT:
            return Checkpoint(build_head(content, path), thresholds=thresholds, config=config)
        head, backbone = build_head(content["head"], path), build_backbone(content["backbone"])
        return Checkpoint(head, backbone, check_image_size(content["image_size"]), thresholds, config)


def load_head(path: str | Path) -> StandardizedHead:
    """Loads the head of a head's checkpoint or of a linear export to the CPU. Code in the file is not executed.

    Raises:
        InputError: if the file is neither. Use ``load_model(path).head`` for a whole model.
    """
    if not _is_linear(path):
        _read(path, "a head written by save_head", HEAD_FORMAT)
    return load_checkpoint(path).head


def load_model(path: str | Path) -> MLGCN:
    """Loads the whole network of a checkpoint to the CPU. Code in the file is not executed.

    Raises:
        InputError: if the file is not a whole model, for example a head.
    """
    with renamed_arguments(backbone="path"):
        return load_checkpoint(path).model


def store_thresholds(path: str | Path, thresholds: Tensor) -> None:
    """Writes thresholds into the checkpoint of a head or a model. Everything else in it is kept. The write is atomic.

    Args:
        path: the checkpoint: a file, or the folder of a model.
        thresholds: (C,) logits above which labels are predicted.

    Raises:
        InputError: if the file is not a checkpoint of a head or model, or the thresholds are not one number per label.
    """
    content = _read(path, "a checkpoint written by save_head or save_model", HEAD_FORMAT, MODEL_FORMAT)
    content = content | _thresholds_content(thresholds, load_checkpoint(path).head.num_labels)
    if is_pretrained(Path(path)):
        replace_in_pretrained(Path(path), content)
    else:
        save_plain(path, content)


def _thresholds_content(thresholds: Tensor | None, num_labels: int) -> Content:
    return {} if thresholds is None else {"thresholds": check_thresholds(thresholds, num_labels)}


def _is_linear(path: str | Path) -> bool:
    return Path(path).suffix == ".safetensors" and not is_pretrained(Path(path))


def _read(path: str | Path, expected: str, *formats: str) -> Content:
    """Reads the content of a checkpoint in version 1 of one of ``formats``."""
    content = read_pretrained(Path(path)) if is_pretrained(Path(path)) else load_plain("path", path)
    kind = content.get("format") if isinstance(content, dict) else None
    if kind not in formats:
        found = "a whole model" if kind == MODEL_FORMAT else "a different file"
        raise InputError("path", expected, f"{found}, {path}")
    if content.get("version") != 1:
        raise InputError("path", "format version 1", f"{content.get('version')} in {path}", "use a newer mlgcn_pyg")
    return content

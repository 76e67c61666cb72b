"""Loads models for prediction: whole models, and heads with the backbone that computed their features."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mlgcn_pyg.checkpoints import Checkpoint, load_checkpoint
from mlgcn_pyg.checks import check_image_size
from mlgcn_pyg.datasets import eval_transform
from mlgcn_pyg.errors import Argument, Fix, InputError, first_line, printable_line, renamed_arguments
from mlgcn_pyg.files.runs import checkpoint_file
from mlgcn_pyg.nn import Backbone

DEFAULT_SIZE = 448  # the size in the paper; used if neither the caller nor the checkpoint specifies one


def open_model(
    path: str | Path,
    *,
    backbone: str | None = None,
    weights: str | Path | None = None,
    pool: str | None = None,
    image_size: int | Sequence[int] | None = None,
) -> Checkpoint:
    """Loads a checkpoint with a backbone and an image size.

    A head that was trained on cached features is combined with the backbone that computed them. An argument may be
    omitted if the file records its value. An argument that contradicts the file raises an error.

    Args:
        path: a whole model, a head, a linear export (``.safetensors``), the folder of a run, of which the recommended
            head or the last network is loaded, the folder of a saved model, or one on the Hugging Face Hub, such as
            ``"hub:me/photos"`` or ``"hub:me/photos@v1"`` (:class:`mlgcn_pyg.hub.HubModel`).
        backbone: for a head, the name of the backbone that computed its features.
        weights: for a head, the weights of that backbone: a file or ``"DEFAULT"``.
        pool: for a head, the pooling of that backbone; ``"max"`` if the file does not record it.
        image_size: for a head, side or (height, width) in pixels; 448 if the file does not record it.

    Raises:
        InputError: if the file is not a checkpoint, a folder has none or several without a recommended one, an
            argument is missing or contradicts the file, the features were computed with a different transform, or the
            backbone does not accept images of that size.
    """
    path = checkpoint_file(path)
    checkpoint = load_checkpoint(path)
    size = None if image_size is None else check_image_size(image_size)
    if checkpoint.backbone is None:
        return _on_backbone(checkpoint, path, backbone, weights, pool, size)
    for argument, value in (("backbone", backbone), ("weights", weights), ("pool", pool)):
        if value is not None:
            raise InputError(argument, "no value, since the checkpoint contains its backbone", repr(value))
    checkpoint.check_provenance("image_size", {"image_size": size})
    return checkpoint


def _on_backbone(
    head: Checkpoint,
    path: str | Path,
    backbone: str | None,
    weights: str | Path | None,
    pool: str | None,
    image_size: tuple[int, int] | None,
) -> Checkpoint:
    """Combines a head with the backbone of its features and checks that the two match."""
    recorded = head.provenance
    name = backbone or recorded.get("backbone")
    if name is None:
        raise _missing("backbone", path, recorded)
    if weights is None:
        raise _missing("weights", path, recorded)
    with renamed_arguments(name="backbone"):
        network = Backbone(name, weights, pool or recorded.get("pool") or "max")
    model = head.with_backbone(network, image_size)
    size = model.image_size or (DEFAULT_SIZE, DEFAULT_SIZE)
    _check_transform(recorded.get("transform"), size)
    check_accepts(network, size)
    return replace(model, image_size=size)


def _missing(argument: str, path: str | Path, recorded: Mapping[str, Any]) -> InputError:
    fix: Fix = ["pass the ", Argument("backbone"), " and ", Argument("weights"), " that computed them"]
    known = [f"by {recorded['backbone']}"] if recorded.get("backbone") else []
    if digest := recorded.get("weights_sha256"):
        known.append(f"with weights of SHA-256 {digest[:12]}…")
    found = f"none in {path}" + (f", whose features were computed {' '.join(known)}" if known else "")
    return InputError(argument, f"the {argument} that computed the features of the head", found, fix)


def _check_transform(recorded: str | None, image_size: tuple[int, int]) -> None:
    applied = printable_line(repr(eval_transform(image_size)))
    if recorded not in (None, applied):
        raise InputError("path", f"a head trained on images transformed by {applied}", recorded)


def check_accepts(backbone: Backbone, image_size: tuple[int, int]) -> None:
    """Runs a backbone on one blank image.

    Raises:
        InputError: if the backbone does not accept images of that size.
    """
    try:
        with torch.inference_mode():
            backbone.eval()(torch.zeros(1, 3, *image_size))
    except (InputError, RuntimeError) as error:
        found = f"{image_size[0]}x{image_size[1]} ({first_line(error)})"
        raise InputError("image_size", f"a size that {backbone.name} accepts", found, fix="use 224 or more") from error

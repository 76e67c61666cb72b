"""The content of a whole model's checkpoint: a head, and a backbone with all that building it needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mlgcn_pyg.checkpoints.content import Content, load_state, state_content
from mlgcn_pyg.checkpoints.heads import build_head, head_content
from mlgcn_pyg.checks import check_image_size
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.mlgcn import MLGCN

if TYPE_CHECKING:
    from mlgcn_pyg.nn.backbones.feature_maps import Rescaling

MODEL_FORMAT = "mlgcn_pyg.model"


def model_content(model: MLGCN, image_size: int | Sequence[int], config: Content | None) -> Content:
    """Returns what :func:`build_model` needs, the size of the images, and the config of the training.

    Raises:
        InputError: if the backbone is not a :class:`mlgcn_pyg.nn.Backbone`, or the image size is invalid.
    """
    from mlgcn_pyg.nn.backbones import Backbone  # torchvision is slow to import

    backbone = model.backbone
    if not isinstance(backbone, Backbone):
        raise InputError("model", "a model on a mlgcn_pyg.nn.Backbone", f"one on a {type(backbone).__name__}")
    return {
        "format": MODEL_FORMAT,
        "version": 1,
        "image_size": check_image_size(image_size),
        "config": config or {},
        "head": head_content(model.head),
        "backbone": {
            "name": backbone.name,
            "pool": backbone.pool,
            "rescales": any(layer.enabled for layer in _rescalings(backbone)),
            **state_content(backbone),
        },
    }


def build_model(content: Content, path: str | Path) -> MLGCN:
    """Returns the network of a :func:`model_content`, which was read from ``path``."""
    from mlgcn_pyg.nn.backbones import Backbone

    saved = content["backbone"]
    backbone = Backbone(saved["name"], None, saved["pool"])
    load_state(backbone, saved)
    for layer in _rescalings(backbone):
        layer.enabled = saved["rescales"]
    return MLGCN(backbone, build_head(content["head"], path))


def _rescalings(backbone: torch.nn.Module) -> "list[Rescaling]":
    """The input scaling of GoogLeNet, Inception and some timm models, whose switch is not in their state dicts."""
    from mlgcn_pyg.nn.backbones.feature_maps import Rescaling

    return [layer for layer in backbone.modules() if isinstance(layer, Rescaling)]

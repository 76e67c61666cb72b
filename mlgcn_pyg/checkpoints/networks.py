"""Content of a whole model's checkpoint: the head, and the name, settings and parameters of the backbone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from mlgcn_pyg.checkpoints.content import Content, load_state, state_content
from mlgcn_pyg.checkpoints.heads import head_content
from mlgcn_pyg.checks import check_image_size
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.mlgcn import MLGCN

if TYPE_CHECKING:
    from mlgcn_pyg.nn.backbones import Backbone
    from mlgcn_pyg.nn.backbones.feature_maps import Rescaling

MODEL_FORMAT = "mlgcn_pyg.model"


def model_content(model: MLGCN, image_size: int | Sequence[int], config: Content | None) -> Content:
    """Returns the content for :func:`build_backbone` and ``build_head``, the image size and the training configuration.

    Raises:
        InputError: if the backbone is not a :class:`mlgcn_pyg.nn.Backbone`, or the image size is invalid.
    """
    from mlgcn_pyg.nn.backbones import Backbone  # torchvision is slow to import

    backbone = model.backbone
    if not isinstance(backbone, Backbone):
        raise InputError("model", "a model with an mlgcn_pyg.nn.Backbone", type(backbone).__name__)
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


def build_backbone(content: Content) -> "Backbone":
    """Returns the backbone that is described by the entry ``backbone`` of a :func:`model_content`."""
    from mlgcn_pyg.nn.backbones import Backbone

    _check_sizes(content)
    backbone = Backbone(content["name"], None, content["pool"])
    load_state(backbone, content)
    for layer in _rescalings(backbone):
        layer.enabled = content["rescales"]
    return backbone


def _check_sizes(content: Content) -> None:
    """Compares the architecture with the stored parameters, before they are allocated.

    Raises:
        ValueError: if they differ.
    """
    from mlgcn_pyg.nn.backbones import Backbone

    try:
        with torch.device("meta"):
            planned = Backbone(content["name"], None, content["pool"])
    except NotImplementedError:  # RegNets read numbers of tensors while they are built
        return
    state = content["state_dict"]
    for name, value in planned.state_dict().items():
        if state[name].shape != value.shape:
            raise ValueError(f"{name} of shape {tuple(state[name].shape)} instead of {tuple(value.shape)}")


def _rescalings(backbone: torch.nn.Module) -> "list[Rescaling]":
    """Returns the input rescaling layers of GoogLeNet, Inception and timm models. State dicts omit their switch."""
    from mlgcn_pyg.nn.backbones.feature_maps import Rescaling

    return [layer for layer in backbone.modules() if isinstance(layer, Rescaling)]

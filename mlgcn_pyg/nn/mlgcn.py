"""The complete network: a backbone extracts image features, and a head classifies them."""

from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.typing import FeatureExtractor, Head


class MLGCN(torch.nn.Module):
    r"""The network of `"Multi-Label Image Recognition with Graph Convolutional Networks"
    <https://arxiv.org/abs/1904.03582>`_ (Fig. 2), from images to logits:

    .. math:: \text{logits} = \text{pool}(f_{cnn}(I)) \, \mathbf{W}_{cls}^{\top}

    Args:
        backbone: a module that maps images (B, 3, height, width) to features (B, D), with an attribute
            ``num_features`` = D, e.g. :class:`~mlgcn_pyg.nn.Backbone`.
        head: an :class:`~mlgcn_pyg.nn.MLGCNHead` or a :class:`~mlgcn_pyg.nn.LinearHead` with the same ``num_features``.

    Shapes:
        - **images:** (B, 3, height, width)
        - **logits:** (B, C)

    Raises:
        InputError: if backbone and head differ in ``num_features``.
    """

    backbone: FeatureExtractor
    head: Head

    def __init__(self, backbone: FeatureExtractor, head: Head):
        super().__init__()
        if backbone.num_features != head.num_features:
            raise InputError(
                "head",
                f"num_features = {backbone.num_features}, as in the backbone",
                head.num_features,
                fix="build the head with num_features=backbone.num_features",
            )
        self.backbone = backbone
        self.head = head

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the C labels."""
        return self.head.label_names

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits (B, C) of images (B, 3, height, width)."""
        return self.head(self.backbone(images))

    def param_groups(self, lr: float, backbone_lr_factor: float = 0.1) -> list[dict[str, Any]]:
        """Returns the parameter groups for an optimizer, with a smaller learning rate for the pretrained backbone.

        Args:
            lr: the learning rate of the head.
            backbone_lr_factor: the learning rate of the backbone as a multiple of ``lr``. The default is that of the
                released code (``--lrp 0.1``).
        """
        return [
            {"params": list(self.backbone.parameters()), "lr": lr * backbone_lr_factor},
            {"params": list(self.head.parameters()), "lr": lr},
        ]

"""The whole network: a backbone that sees the image, a head that knows the labels."""

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError


class MLGCN(torch.nn.Module):
    r"""ML-GCN end to end (`paper <https://arxiv.org/abs/1904.03582>`_, Fig. 2):
    :math:`\text{logits} = \text{pool}(\text{backbone}(\text{image})) \, \mathbf{W}_{cls}^{\top}`.

    Args:
        backbone: maps images (B, 3, height, width) to features (B, D) and has ``num_features`` = D
            (:class:`mlgcn_pyg.nn.Backbone`).
        head: :class:`MLGCNHead` or :class:`LinearHead` of the same ``num_features``.

    Shapes:
        - **images:** (B, 3, height, width) → **logits:** (B, C)

    Raises:
        InputError: backbone and head of different widths.
    """

    def __init__(self, backbone: torch.nn.Module, head: torch.nn.Module):
        super().__init__()
        if backbone.num_features != head.num_features:
            raise InputError(
                "head",
                f"num_features = {backbone.num_features}, as the backbone has",
                head.num_features,
                fix="build the head with num_features=backbone.num_features",
            )
        self.backbone = backbone
        self.head = head

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.head.label_names

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))

    def param_groups(self, lr: float, backbone_lr_factor: float = 0.1) -> list[dict]:
        """Parameter groups for an optimiser: the pretrained backbone learns ``backbone_lr_factor`` as fast.

        The factor is the released code's (``--lrp 0.1``).
        """
        return [
            {"params": list(self.backbone.parameters()), "lr": lr * backbone_lr_factor},
            {"params": list(self.head.parameters()), "lr": lr},
        ]

"""The complete network: a backbone extracts image features, and a head classifies them."""

from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_number, check_positive
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.tensor_checks import check_module
from mlgcn_pyg.typing import FeatureExtractor, Head


class MLGCN(torch.nn.Module):
    r"""The network of `"Multi-Label Image Recognition with Graph Convolutional Networks"
    <https://arxiv.org/abs/1904.03582>`_ (Fig. 2), from images to logits:

    .. math:: \text{logits} = \text{pool}(f_{cnn}(I)) \, \mathbf{W}_{cls}^{\top}

    Args:
        backbone: a module that maps images (B, 3, height, width) to features (B, D), e.g.
            :class:`~mlgcn_pyg.nn.Backbone`.
        head: an :class:`~mlgcn_pyg.nn.MLGCNHead`, a :class:`~mlgcn_pyg.nn.SharingHead` or a
            :class:`~mlgcn_pyg.nn.LinearHead` with the same ``num_features``.
        num_features: the size D of the features; default: ``backbone.num_features``. Required for a backbone without
            this attribute.

    Shapes:
        - **images:** (B, 3, height, width)
        - **logits:** (B, C)

    Raises:
        InputError: if an argument is not a module, the size of the features is unknown, or backbone and head differ in
            it.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> pooled = torch.nn.Sequential(torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten())
    >>> MLGCN(pooled, LinearHead(2, 3), num_features=3)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 2])
    """

    backbone: FeatureExtractor
    head: Head

    def __init__(self, backbone: FeatureExtractor, head: Head, num_features: int | None = None):
        super().__init__()
        check_module("backbone", backbone)
        check_module("head", head, "num_features", "label_names")
        self.num_features = _width(backbone, num_features)
        if self.num_features != head.num_features:
            raise InputError(
                "head",
                f"num_features = {self.num_features}, as in the backbone",
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
        lr = check_number("lr", lr, 0, float("inf"))
        backbone_lr_factor = check_number("backbone_lr_factor", backbone_lr_factor, 0, float("inf"))
        return [
            {"params": list(self.backbone.parameters()), "lr": lr * backbone_lr_factor},
            {"params": list(self.head.parameters()), "lr": lr},
        ]


def _width(backbone: FeatureExtractor, num_features: int | None) -> int:
    """Returns the width of the features, which the backbone or the caller states."""
    own: Any = getattr(backbone, "num_features", None)
    width: Any = own if num_features is None else check_positive("num_features", num_features)
    if width is None:
        found = f"a {type(backbone).__name__} without num_features"
        fix = ("pass ", Argument("num_features"))
        raise InputError("num_features", "the width of the backbone's features", found, fix)
    if own is not None and width != own:
        raise InputError("num_features", f"{own}, the width of the backbone's features", width)
    return check_positive("backbone", width)

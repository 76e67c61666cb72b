"""Backbones: torchvision's and timm's image classification models up to their last feature map."""

from mlgcn_pyg.nn.backbones.backbone import Backbone, backbone_names

__all__ = ["Backbone", "backbone_names"]

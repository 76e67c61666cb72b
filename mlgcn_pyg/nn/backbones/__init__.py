"""Backbones: image classification models of torchvision and timm up to their last feature map."""

from mlgcn_pyg.nn.backbones.backbone import Backbone, backbone_names

__all__ = ["Backbone", "backbone_names"]

"""Where each torchvision family keeps its last feature map (B, D, h, w)."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from torchvision.ops.misc import Permute

from mlgcn_pyg.errors import InputError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, by which images come normalised


class Rescaling(nn.Module):
    """ImageNet-normalised images as published weights were trained on them, normalised by ``mean`` and ``std``."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], enabled: bool):
        super().__init__()
        self.enabled = enabled
        shift = torch.tensor(MEAN) - torch.tensor(mean)
        self.register_buffer("scale", (torch.tensor(STD) / torch.tensor(std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (shift / torch.tensor(std)).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.scale + self.shift if self.enabled else images


class ViTMap(nn.Module):
    """The patch tokens of a Vision Transformer laid out as a map, at any image size.

    Position embeddings are resampled where the grid of patches differs from the pretrained one.
    """

    def __init__(self, model: models.VisionTransformer):
        super().__init__()
        self.patch_size = model.patch_size
        self.grid = model.image_size // model.patch_size
        self.conv_proj, self.class_token, self.encoder = model.conv_proj, model.class_token, model.encoder

    def positions(self, height: int, width: int) -> Tensor:
        positions = self.encoder.pos_embedding  # (1, 1 + grid², D)
        if (height, width) == (self.grid, self.grid):
            return positions
        patches = positions[:, 1:].unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        patches = F.interpolate(patches, size=(height, width), mode="bicubic", align_corners=False)
        return torch.cat([positions[:, :1], patches.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.conv_proj(images)
        height, width = patches.shape[-2:]
        tokens = torch.cat([self.class_token.expand(images.size(0), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        encoder = self.encoder
        tokens = encoder.ln(encoder.layers(encoder.dropout(tokens + self.positions(height, width))))
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (height, width))


def _named(model: nn.Module, *names: str) -> nn.Sequential:
    return nn.Sequential(*(getattr(model, name) for name in names))


def _inception(model: nn.Module) -> nn.Sequential:
    """GoogLeNet and Inception v3 are chains in the order of their children, up to the pooling."""
    names = [name for name, _ in model.named_children() if "aux" not in name.lower()]
    rescaling = Rescaling((0.5,) * 3, (0.5,) * 3, model.transform_input)
    return nn.Sequential(rescaling, *(getattr(model, name) for name in names[: names.index("avgpool")]))


FAMILIES: list[tuple[tuple[type, ...], Callable[[nn.Module], nn.Module]]] = [
    ((models.ResNet,), lambda m: _named(m, "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")),
    ((models.DenseNet,), lambda m: nn.Sequential(m.features, nn.ReLU())),
    ((models.SwinTransformer,), lambda m: nn.Sequential(m.features, m.norm, Permute([0, 3, 1, 2]))),
    ((models.VisionTransformer,), ViTMap),
    ((models.RegNet,), lambda m: _named(m, "stem", "trunk_output")),
    ((models.ShuffleNetV2,), lambda m: _named(m, "conv1", "maxpool", "stage2", "stage3", "stage4", "conv5")),
    ((models.MNASNet,), lambda m: m.layers),
    ((models.GoogLeNet, models.Inception3), _inception),
    (
        (
            models.AlexNet,
            models.ConvNeXt,
            models.EfficientNet,
            models.MobileNetV2,
            models.MobileNetV3,
            models.SqueezeNet,
            models.VGG,
        ),
        lambda m: m.features,
    ),
]


def feature_map(model: nn.Module) -> nn.Module:
    """The part of a torchvision classification model that ends in its last feature map (B, D, h, w).

    Raises InputError for a family without one.
    """
    for types, build in FAMILIES:
        if isinstance(model, types):
            return build(model)
    known = ", ".join(sorted(t.__name__ for types, _ in FAMILIES for t in types))
    raise InputError("backbone", f"a model of one of {known}", type(model).__name__)

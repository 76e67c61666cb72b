"""The last feature map (B, D, h, w) of each family of torchvision models."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from torchvision.ops.misc import Permute

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.imagenet import MEAN, STD


class Rescaling(nn.Module):
    """Converts images from ImageNet's normalisation to that of a model.

    Args:
        mean: the channel means that the model expects.
        std: the channel standard deviations that the model expects.
        enabled: if False, images are returned unchanged.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], enabled: bool):
        super().__init__()
        self.enabled = enabled
        shift = torch.tensor(MEAN) - torch.tensor(mean)
        self.register_buffer("scale", (torch.tensor(STD) / torch.tensor(std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (shift / torch.tensor(std)).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the images (B, 3, height, width) in the normalisation of the model."""
        return images * self.scale + self.shift if self.enabled else images


class ViTMap(nn.Module):
    """The patch tokens of a Vision Transformer as a feature map, for images of any size.

    Position embeddings are resampled if the grid of patches differs from the pretrained grid.

    Args:
        model: a Vision Transformer of torchvision.
    """

    def __init__(self, model: models.VisionTransformer):
        super().__init__()
        self.patch_size = model.patch_size
        self.grid = model.image_size // model.patch_size
        self.conv_proj, self.class_token, self.encoder = model.conv_proj, model.class_token, model.encoder

    def positions(self, height: int, width: int) -> Tensor:
        """Returns the position embeddings (1, 1 + height · width, D) of a grid of patches."""
        positions = self.encoder.pos_embedding  # (1, 1 + grid², D)
        if (height, width) == (self.grid, self.grid):
            return positions
        patches = positions[:, 1:].unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        patches = F.interpolate(patches, size=(height, width), mode="bicubic", align_corners=False)
        return torch.cat([positions[:, :1], patches.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the map (B, D, h, w) of images (B, 3, height, width)."""
        patches = self.conv_proj(images)
        height, width = patches.shape[-2:]
        tokens = torch.cat([self.class_token.expand(images.size(0), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        encoder = self.encoder
        tokens = encoder.ln(encoder.layers(encoder.dropout(tokens + self.positions(height, width))))
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (height, width))


def _chain(model: nn.Module, *names: str) -> nn.Sequential:
    return nn.Sequential(*(model.get_submodule(name) for name in names))


def _part(name: str) -> Callable[[nn.Module], nn.Module]:
    return lambda model: model.get_submodule(name)


def _inception(model: nn.Module) -> nn.Sequential:
    """Returns the children of GoogLeNet or Inception v3 up to the pooling, as a chain."""
    names = [name for name, _ in model.named_children() if "aux" not in name.lower()]
    rescaling = Rescaling((0.5,) * 3, (0.5,) * 3, enabled=bool(model.transform_input))
    return nn.Sequential(rescaling, *_chain(model, *names[: names.index("avgpool")]))


def _swin(model: nn.Module) -> nn.Sequential:
    return nn.Sequential(*_chain(model, "features", "norm"), Permute([0, 3, 1, 2]))


def _resnet(model: nn.Module) -> nn.Sequential:
    return _chain(model, "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


FAMILIES: list[tuple[tuple[type[nn.Module], ...], Callable[[nn.Module], nn.Module]]] = [
    ((models.ResNet,), _resnet),
    ((models.DenseNet,), lambda model: nn.Sequential(model.get_submodule("features"), nn.ReLU())),
    ((models.SwinTransformer,), _swin),
    ((models.VisionTransformer,), ViTMap),
    ((models.RegNet,), lambda model: _chain(model, "stem", "trunk_output")),
    ((models.ShuffleNetV2,), lambda model: _chain(model, "conv1", "maxpool", "stage2", "stage3", "stage4", "conv5")),
    ((models.MNASNet,), _part("layers")),
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
        _part("features"),
    ),
]


def feature_map(model: nn.Module) -> nn.Module:
    """Returns a torchvision classification model up to its last feature map (B, D, h, w).

    Raises:
        InputError: if the family of the model is unknown.
    """
    for types, build in FAMILIES:
        if isinstance(model, types):
            return build(model)
    known = ", ".join(sorted(t.__name__ for types, _ in FAMILIES for t in types))
    raise InputError("model", f"a model of one of the families {known}", type(model).__name__)

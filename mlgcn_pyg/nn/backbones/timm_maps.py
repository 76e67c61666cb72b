"""Feature maps of timm models, whose last features have various layouts. Requires the optional extra ``timm``."""

import math
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.imagenet import MEAN, STD
from mlgcn_pyg.nn.backbones.feature_maps import Rescaling
from mlgcn_pyg.nn.backbones.weights import put_weights, read_state

PREFIX = "timm:"


class TimmMap(nn.Module):
    """The output of a timm model's ``forward_features`` as a feature map (B, D, h, w).

    Maps with channels last are permuted. From a sequence of tokens, the class and register tokens are removed, and the
    patch tokens are laid out as a grid in the proportions of the image.

    Args:
        model: a timm model.
        rescaling: a module that converts the images to the normalisation of the model. None if none is needed.

    Raises:
        InputError: if the features are neither a map nor a grid of tokens.
    """

    model: Any  # timm's models share no typed interface
    num_prefix_tokens: int

    def __init__(self, model: nn.Module, rescaling: nn.Module | None = None):
        super().__init__()
        self.model, self.rescaling = model, rescaling
        self.num_prefix_tokens = getattr(model, "num_prefix_tokens", 0)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the feature maps (B, D, h, w) of images (B, 3, height, width)."""
        if self.rescaling is not None:
            images = self.rescaling(images)
        features, width = self.model.forward_features(images), self.model.num_features
        if not isinstance(features, Tensor) or features.dim() not in (3, 4):
            is_tensor = isinstance(features, Tensor)
            found = f"shape {tuple(features.shape)}" if is_tensor else type(features).__name__
            raise InputError("model", "a timm model with one last feature map", found)
        if features.dim() == 3:
            return self._grid(features[:, self.num_prefix_tokens :], *images.shape[-2:])
        last = features.size(3) == width
        if last and (features.size(1) != width or str(getattr(self.model, "output_fmt", "")) == "NHWC"):
            return features.permute(0, 3, 1, 2)
        return features

    def _grid(self, tokens: Tensor, height: int, width: int) -> Tensor:
        rows = max(1, round(math.sqrt(tokens.size(1) * height / width)))
        if tokens.size(1) % rows or not tokens.size(1):
            expected = f"a timm model with a grid of tokens for an image of {height} × {width}"
            raise InputError("model", expected, f"{tokens.size(1)} tokens, which do not form a grid")
        return tokens.transpose(1, 2).unflatten(2, (rows, -1))


def timm_map(name: str, weights: str | Path | None) -> tuple[TimmMap, tuple[int, int]]:
    """Returns the feature map of ``timm:<name>`` and a supported image size (height, width).

    The feature map expects images that are normalised by the mean and standard deviation of ImageNet. If timm specifies
    a different normalisation for the model, such as 0.5 ± 0.5, and the weights are not random, the images are converted
    to it.

    Args:
        name: the name with its prefix, e.g. ``"timm:resnet18"``.
        weights: None for random weights, ``"DEFAULT"`` for timm's pretrained weights, which timm downloads, or the path
            of a state dict of the timm model (``.pth`` or ``.safetensors``).

    Raises:
        InputError: if timm is not installed, the name is unknown, or the weights do not fit or cannot be downloaded.
    """
    timm = _import_timm()
    short = name.removeprefix(PREFIX)
    if not timm.is_model(short):
        similar = get_close_matches(short, timm.list_models(), 5)
        fix = f"for example {', '.join(PREFIX + s for s in similar)}" if similar else "timm.list_models() lists them"
        raise InputError("name", "the name of a timm model", repr(name), fix)
    path = weights if weights is not None and Path(weights).exists() else None
    if path is None and weights not in (None, "DEFAULT"):
        raise InputError("weights", "a file that exists, or DEFAULT", repr(str(weights)))
    pretrained = path is None and weights == "DEFAULT"
    try:
        model = _create(timm, short, pretrained)
    except Exception as error:  # a failed download may raise anything
        fix = "download the file and pass its path" if pretrained else "choose a different model"
        raise InputError("name", "a timm model that can be built", f"{name} ({first_line(error)})", fix) from error
    config: dict[str, Any] = model.pretrained_cfg or {}
    mean, std = tuple(config.get("mean") or MEAN), tuple(config.get("std") or STD)
    rescaling = None if (mean, std) == (MEAN, STD) else Rescaling(mean, std, enabled=weights is not None)
    features = TimmMap(model, rescaling)
    if path is not None:
        classifier = config.get("classifier") or ()
        classifier = (classifier,) if isinstance(classifier, str) else classifier
        put_weights(model, model, read_state(path), path, name, classifier)
    height, width = config.get("input_size", (3, 224, 224))[-2:]
    return features, (height, width)


def _create(timm: Any, name: str, pretrained: bool) -> Any:
    try:  # with this option, transformers that resample their position embeddings support any image size
        return timm.create_model(name, pretrained=pretrained, num_classes=0, dynamic_img_size=True)
    except TypeError:  # other models do not have the option
        return timm.create_model(name, pretrained=pretrained, num_classes=0)


def _import_timm() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        fix = "pip install 'mlgcn_pyg[timm]', or choose a torchvision model"
        raise InputError("name", "timm to be installed for a timm: model", first_line(error), fix) from error
    return timm

"""Backbones: image classification models up to their last feature map, then one global pooling."""

from pathlib import Path

import torch
import torchvision
from torch import Tensor
from torchvision.models import get_model, list_models

from mlgcn_pyg.checks import bad_input, check_choice, first_line
from mlgcn_pyg.files import tensor_digest
from mlgcn_pyg.nn.feature_maps import feature_map
from mlgcn_pyg.nn.timm_maps import PREFIX, timm_map
from mlgcn_pyg.nn.weights import put_weights, read_state

# torchvision's classification models that are refused, and why
UNSUPPORTED = {"maxvit_t": "its grid attention is built for images of 224 × 224 only"}
PROBE = (128, 128)
# words of errors that a device raises, whatever the size
NOT_THE_SIZE = ("CUDA", "cuDNN", "CUBLAS", "allocate", "out of memory")


def backbone_names() -> list[str]:
    """The torchvision names that :class:`Backbone` knows; it knows ``timm:<name>`` of every timm model, too."""
    return [name for name in list_models(module=torchvision.models) if name not in UNSUPPORTED]


class Backbone(torch.nn.Module):
    r"""Image features from a classification model: :math:`\mathbf{x} = \text{pool}(f_{cnn}(I))`.

    The paper pools by the maximum (Sec. 3.2, Eq. 3); the classifier and the model's own pooling are left out.

    Args:
        name: a torchvision classification model, e.g. ``"resnet101"`` (see :func:`backbone_names`), or ``timm:`` and
            the name of a timm model, e.g. ``"timm:convnext_tiny"``, with the optional extra ``timm``.
        weights: None for random weights, ``"DEFAULT"`` (or another torchvision weights name) for pretrained ones,
            which torchvision or timm downloads, or the path of a state dict of that model (``.pth`` or
            ``.safetensors``; its classifier may be left out).
        pool: ``"max"`` or ``"avg"`` over all positions.

    Attributes:
        num_features: D, found by running the model once.
        weights: what it began with, a file's name without its folder, or None.

    Shapes:
        - **images:** (B, 3, height, width) → (B, D); any size that leaves a feature map after the model's strides,
          but for the timm models that are built for one size

    Raises:
        InputError: an unknown name or pooling; weights that do not fit, with the keys that differ; images of a size
            that the model does not take.

    >>> backbone = Backbone("resnet18")
    >>> backbone.num_features, backbone(torch.zeros(2, 3, 64, 96)).shape
    (512, torch.Size([2, 512]))
    """

    def __init__(self, name: str, weights: str | Path | None = None, pool: str = "max"):
        super().__init__()
        self.pool = check_choice("pool", pool, ("max", "avg"))
        self.name, self.weights = name, None if weights is None else Path(weights).name
        if name.startswith(PREFIX):
            self.features, size = timm_map(name, weights)
        else:
            self.features, size = _torchvision_map(name, weights), PROBE
        self.num_features = self._probe(*size)

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() != 4 or images.size(1) != 3:
            raise bad_input("images", "shape (batch, 3, height, width)", f"shape {tuple(images.shape)}")
        maps = self._maps(images)
        return maps.amax(dim=(2, 3)) if self.pool == "max" else maps.mean(dim=(2, 3))

    def _maps(self, images: Tensor) -> Tensor:
        """Feature maps (B, D, h, w); a size that leaves none is refused as such."""
        try:
            maps = self.features(images)
        except (RuntimeError, AssertionError) as error:
            if self._fails_for_its_size(images, error):
                raise self._wrong_size(images, first_line(error)) from error
            raise
        if not maps[0:1].numel() and len(images):
            raise self._wrong_size(images, "no place is left after its strides")
        return maps

    def _fails_for_its_size(self, images: Tensor, error: Exception) -> bool:
        weight = next(self.parameters())
        same = weight.device == images.device and weight.dtype == images.dtype
        return same and not any(word in str(error) for word in NOT_THE_SIZE)

    def _wrong_size(self, images: Tensor, reason: str):
        size = " × ".join(map(str, images.shape[-2:]))
        return bad_input("images", f"a height and width that {self.name} takes", f"{size} ({reason})")

    @torch.no_grad()
    def _probe(self, height: int, width: int) -> int:
        training = self.training
        num_features = self.eval()(torch.zeros(1, 3, height, width)).size(1)
        self.train(training)
        return num_features

    def digest(self) -> str:
        """sha256 of all weights: it changes when any weight does."""
        return tensor_digest(self.features.state_dict())

    def extra_repr(self) -> str:
        return f"{self.name!r}, pool={self.pool!r}, num_features={self.num_features}"


def _torchvision_map(name: str, weights: str | Path | None) -> torch.nn.Module:
    """The feature map of a torchvision model with its weights."""
    if name in UNSUPPORTED:
        raise bad_input("backbone", "a model for images of any size", f"{name}: {UNSUPPORTED[name]}")
    check_choice("backbone", name, backbone_names())
    if weights is None:
        return feature_map(_untrained(name))
    if isinstance(weights, str) and not Path(weights).exists():
        known = [w.name for w in torchvision.models.get_model_weights(name)]
        if weights != "DEFAULT" and weights not in known:
            raise bad_input("weights", "a file that exists, DEFAULT or one of " + ", ".join(known), repr(weights))
        try:
            return feature_map(get_model(name, weights=weights))
        except (OSError, RuntimeError) as error:  # no network, a full disk; another checksum than published
            found = f"none of {name} ({first_line(error)})"
            raise bad_input("weights", "weights that can be downloaded", found, "give a file") from error
    model = _untrained(name)
    if hasattr(model, "transform_input"):
        model.transform_input = True  # GoogLeNet's and Inception's published weights expect their own scaling
    features = feature_map(model)
    put_weights(model, features, read_state(weights), weights, f"torchvision's {name}")
    return features


def _untrained(name: str) -> torch.nn.Module:
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}  # or it warns that it will
    return get_model(name, weights=None, **options)

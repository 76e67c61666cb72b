"""Backbones: image classification models up to their last feature map, then one global pooling."""

from pathlib import Path

import torch
import torchvision
from torch import Tensor
from torchvision.models import get_model, list_models

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import tensor_digest
from mlgcn_pyg.nn.backbones.feature_maps import feature_map
from mlgcn_pyg.nn.backbones.timm_maps import PREFIX, timm_map
from mlgcn_pyg.nn.backbones.weights import put_weights, read_state

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
            raise InputError("images", "shape (batch, 3, height, width)", f"shape {tuple(images.shape)}")
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
        except ValueError as error:
            if not str(error).startswith("Expected more than 1 value per channel"):
                raise
            expected = "more than one place, or image at a time, to normalise by"
            found = " × ".join(map(str, images.shape[-2:])) + f", where {self.name} leaves one place, one at a time"
            fix = "take larger images, more at a time (batch_size, accumulate), or freeze_batchnorm"
            raise InputError("images", expected, found, fix) from error
        if not maps[0:1].numel() and len(images):
            raise self._wrong_size(images, "no place is left after its strides")
        return maps

    def _fails_for_its_size(self, images: Tensor, error: Exception) -> bool:
        weight = next(self.parameters())
        same = weight.device == images.device and weight.dtype == images.dtype
        return same and not any(word in str(error) for word in NOT_THE_SIZE)

    def _wrong_size(self, images: Tensor, reason: str):
        size = " × ".join(map(str, images.shape[-2:]))
        return InputError("images", f"a height and width that {self.name} takes", f"{size} ({reason})")

    @torch.enable_grad()
    def _probe(self, height: int, width: int) -> int:
        """D. Parameters that no feature depends on, which some timm models have, are held fixed on the way: processes
        that train together would wait for their gradients."""
        training = self.training
        features = self.eval()(torch.zeros(1, 3, height, width))
        if features.grad_fn is not None:  # in inference mode there is nothing to see
            used = _leaves(features)
            for p in self.parameters():
                p.requires_grad_(p in used)
        self.train(training)
        return features.size(1)

    def digest(self) -> str:
        """sha256 of all weights: it changes when any weight does."""
        return tensor_digest(self.features.state_dict())

    def extra_repr(self) -> str:
        return f"{self.name!r}, pool={self.pool!r}, num_features={self.num_features}"


def _leaves(value: Tensor) -> set[Tensor]:
    """The parameters that ``value`` was computed from."""
    nodes, seen = [value.grad_fn], set()
    while nodes:
        if (node := nodes.pop()) is not None and node not in seen:
            seen.add(node)
            nodes += [before for before, _ in node.next_functions]
    return {node.variable for node in seen if hasattr(node, "variable")}


def _torchvision_map(name: str, weights: str | Path | None) -> torch.nn.Module:
    """The feature map of a torchvision model with its weights."""
    if name in UNSUPPORTED:
        raise InputError("backbone", "a model for images of any size", f"{name}: {UNSUPPORTED[name]}")
    check_choice("backbone", name, backbone_names())
    if weights is None:
        return feature_map(_untrained(name))
    if isinstance(weights, str) and not Path(weights).exists():
        known = [w.name for w in torchvision.models.get_model_weights(name)]
        if weights != "DEFAULT" and weights not in known:
            raise InputError("weights", "a file that exists, DEFAULT or one of " + ", ".join(known), repr(weights))
        try:
            return feature_map(get_model(name, weights=weights))
        except (OSError, RuntimeError) as error:  # no network, or another file than announced
            found, fix = f"{weights} ({first_line(error)})", "fetch their file and give its path"
            raise InputError("weights", f"published weights of {name} to arrive", found, fix) from error
    model = _untrained(name)
    if hasattr(model, "transform_input"):
        model.transform_input = True  # GoogLeNet's and Inception's published weights expect their own scaling
    features = feature_map(model)
    put_weights(model, features, read_state(weights), weights, f"torchvision's {name}")
    return features


def _untrained(name: str) -> torch.nn.Module:
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}  # or it warns that it will
    return get_model(name, weights=None, **options)

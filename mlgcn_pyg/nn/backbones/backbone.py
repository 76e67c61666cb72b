"""Backbones: image classification models up to their last feature map, followed by global pooling."""

from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor
from torchvision import models
from torchvision.models import get_model, list_models

from mlgcn_pyg.checks import check_choice, check_path, check_text
from mlgcn_pyg.errors import Argument, InputError, first_line, renamed_arguments
from mlgcn_pyg.files.atomic import tensor_digest
from mlgcn_pyg.nn.backbones.feature_maps import feature_map
from mlgcn_pyg.nn.backbones.inference import inference_form
from mlgcn_pyg.nn.backbones.timm_maps import PREFIX, timm_map
from mlgcn_pyg.nn.backbones.weights import put_weights, read_state
from mlgcn_pyg.nn.maps import pool_maps
from mlgcn_pyg.tensor_checks import check_floats

# torchvision's classification models that are not supported, and why
UNSUPPORTED = {"maxvit_t": "its grid attention is built for images of 224 × 224 only"}
PROBE = (128, 128)  # the image size for which D is determined
# words in device errors, which are not caused by the size of the images
NOT_THE_SIZE = ("CUDA", "cuDNN", "CUBLAS", "allocate", "out of memory")


def backbone_names() -> list[str]:
    """Returns the names of the torchvision models that :class:`Backbone` supports.

    Models of timm are also supported, as ``timm:<name>``.
    """
    return [name for name in list_models(module=models) if name not in UNSUPPORTED]


class Backbone(torch.nn.Module):
    r"""Image features from a classification model (Sec. 3.2, Eq. 3):
    :math:`\mathbf{x} = \text{pool}(f_{cnn}(I))`.

    The classifier and the pooling of the model are removed. The paper pools by the maximum over all positions.

    Args:
        name: the name of a torchvision classification model, e.g. ``"resnet101"`` (see :func:`backbone_names`), or
            ``timm:`` and the name of a timm model, e.g. ``"timm:convnext_tiny"``. The latter requires the optional
            extra ``timm``.
        weights: None initialises the weights at random. ``"DEFAULT"`` downloads the pretrained weights of torchvision
            or timm; the name of torchvision weights, such as ``"IMAGENET1K_V2"``, downloads these. Any other value is
            the path of a state dict of the model (``.pth`` or ``.safetensors``), with or without the classifier.
        pool: ``"max"`` or ``"avg"``, over all positions.

    Attributes:
        num_features: size D of a feature, determined by running the model once.
        weights: the name of the initial weights, or of their file without its folder. None for random weights.

    Shapes:
        - **images:** (B, 3, height, width), normalised by the mean and standard deviation of ImageNet. Any size
          is supported for which the feature map is not empty. Some timm models support only one size.
        - **output:** (B, D)

    Raises:
        InputError: if the name or the pooling is unknown, the weights do not fit (the message names the keys), or the
            model does not support the size of the images.

    >>> backbone = Backbone("resnet18")
    >>> backbone.num_features, backbone(torch.zeros(2, 3, 64, 96)).shape
    (512, torch.Size([2, 512]))
    """

    features: torch.nn.Module

    def __init__(self, name: str, weights: str | Path | None = None, pool: str = "max"):
        super().__init__()
        self.pool = check_choice("pool", pool, ("max", "avg"))
        check_text("name", name)
        if weights is not None:
            check_path("weights", weights)
        self.name, self.weights = name, None if weights is None else Path(weights).name
        with renamed_arguments(model="name"):
            if name.startswith(PREFIX):
                self.features, size = timm_map(name, weights)
            else:
                self.features, size = _torchvision_map(name, weights), PROBE
            self.num_features = self._probe(*size)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the features (B, D) of normalised images (B, 3, height, width)."""
        check_floats("images", images, ("batch", 3, "height", "width"), next(self.parameters(), None))
        return pool_maps(self.maps(images), self.pool)

    def maps(self, images: Tensor) -> Tensor:
        """Returns the feature maps (B, D, h, w) before pooling.

        Args:
            images: normalised images (B, 3, height, width).

        Raises:
            InputError: if the model does not support the size of the images.
        """
        try:
            maps = self.features(images)
        except (RuntimeError, AssertionError) as error:
            if self._is_size_error(images, error):
                raise self._wrong_size(images, first_line(error)) from error
            raise
        except ValueError as error:
            if not str(error).startswith("Expected more than 1 value per channel"):
                raise
            size = " × ".join(map(str, images.shape[-2:]))
            raise InputError(
                "images",
                "more than one value per channel, which batch normalisation in training mode requires",
                f"1 image of {size}, for which {self.name} has a feature map of 1 × 1",
                fix=["use larger images or batches, or pass ", Argument("freeze_batchnorm", True)],
            ) from error
        if not maps[0:1].numel() and len(images):
            raise self._wrong_size(images, "the feature map is empty")
        return maps

    def _is_size_error(self, images: Tensor, error: Exception) -> bool:
        weight = next(self.parameters())
        compatible = weight.device == images.device and weight.dtype == images.dtype
        return compatible and not any(word in str(error) for word in NOT_THE_SIZE)

    def _wrong_size(self, images: Tensor, reason: str) -> InputError:
        size = " × ".join(map(str, images.shape[-2:]))
        return InputError("images", f"a height and width that {self.name} supports", f"{size} ({reason})")

    @torch.enable_grad()
    def _probe(self, height: int, width: int) -> int:
        """Returns D, and freezes the parameters that no feature depends on.

        Some timm models have such parameters. Distributed training would wait for their gradients.
        """
        training = self.training
        features = self.eval()(torch.zeros(1, 3, height, width))
        if features.grad_fn is not None:  # None in inference mode
            used = _leaves(features)
            for p in self.parameters():
                p.requires_grad_(p in used)
        self.train(training)
        return features.size(1)

    def inference_form(self, image_size: tuple[int, int]) -> "Backbone | None":
        """Returns a faster copy for inference, whose features are equal up to rounding.

        Batch normalisation is folded into the convolutions. On a CPU, the weights are channels-last. The copy is
        compared with this backbone for one random image. It cannot be trained, saved or loaded.

        Args:
            image_size: (height, width) of the random image.

        Returns:
            The copy, on the same device. None if its features differ by more than 1e-4 of the largest feature.
        """
        images = torch.randn(1, 3, *image_size, generator=torch.Generator().manual_seed(0))
        return inference_form(self, images.to(next(self.parameters())))

    def digest(self) -> str:
        """Returns the SHA-256 of all weights."""
        return tensor_digest(self.features.state_dict())

    def extra_repr(self) -> str:
        return f"{self.name!r}, pool={self.pool!r}, num_features={self.num_features}"


def _leaves(value: Tensor) -> set[Tensor]:
    """Returns the parameters that ``value`` was computed from."""
    nodes, visited = [value.grad_fn], set()
    while nodes:
        if (node := nodes.pop()) is not None and node not in visited:
            visited.add(node)
            nodes += [previous for previous, _ in node.next_functions]
    return {node.variable for node in visited if hasattr(node, "variable")}


def _torchvision_map(name: str, weights: str | Path | None) -> torch.nn.Module:
    """Returns the feature map of a torchvision model with its weights."""
    if name in UNSUPPORTED:
        raise InputError("name", "a model for images of any size", f"{name}: {UNSUPPORTED[name]}")
    if name not in backbone_names() and (near := get_close_matches(name, backbone_names(), 5)):
        fix = f"for example {', '.join(near)}"
        raise InputError("name", f"a torchvision classification model, or {PREFIX}NAME", repr(name), fix)
    check_choice("name", name, backbone_names())
    if weights is None:
        return feature_map(_untrained(name))
    if isinstance(weights, str) and not Path(weights).exists():
        known = [w.name for w in models.get_model_weights(name)]
        if weights != "DEFAULT" and weights not in known:
            raise InputError("weights", "a file that exists, DEFAULT or one of " + ", ".join(known), repr(weights))
        try:
            return feature_map(get_model(name, weights=weights))
        except (OSError, RuntimeError) as error:  # no network, or a file whose hash differs
            found, fix = f"{weights} ({first_line(error)})", "download the file and pass its path"
            raise InputError("weights", f"pretrained weights of {name} that can be downloaded", found, fix) from error
    model = _untrained(name)
    if isinstance(model, models.GoogLeNet | models.Inception3):
        model.transform_input = True  # the pretrained GoogLeNet and Inception v3 expect a different normalisation
    features = feature_map(model)
    put_weights(model, features, read_state(weights), weights, f"torchvision's {name}")
    return features


def _untrained(name: str) -> torch.nn.Module:
    if name in ("googlenet", "inception_v3"):
        return get_model(name, weights=None, init_weights=True)  # without init_weights, the model emits a warning
    return get_model(name, weights=None)

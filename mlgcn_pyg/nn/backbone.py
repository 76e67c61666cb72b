"""Backbones: torchvision's classification models up to their last feature map, then one global pooling."""

from pathlib import Path

import torch
import torchvision
from torch import Tensor
from torchvision.models import get_model, list_models

from mlgcn_pyg.checks import bad_input, check_choice
from mlgcn_pyg.files import load_plain, tensor_digest
from mlgcn_pyg.nn.feature_maps import feature_map

# MaxViT's window grid fits one image size only.
UNSUPPORTED = ("maxvit_t",)


def backbone_names() -> list[str]:
    """The names that :class:`Backbone` knows."""
    return [name for name in list_models(module=torchvision.models) if name not in UNSUPPORTED]


class Backbone(torch.nn.Module):
    r"""Image features from a torchvision classification model: :math:`\mathbf{x} = \text{pool}(f_{cnn}(I))`.

    The paper pools by the maximum (Sec. 3.2, Eq. 3); the classifier and the model's own pooling are left out.

    Args:
        name: a torchvision classification model, e.g. ``"resnet101"`` (see :func:`backbone_names`).
        weights: None for random weights, ``"DEFAULT"`` (or another torchvision weights name) for pretrained ones,
            which torchvision downloads, or the path of a state dict (``.pth``) of that torchvision model.
        pool: ``"max"`` or ``"avg"`` over all positions.

    Attributes:
        num_features: D, found by running the model once.

    Shapes:
        - **images:** (B, 3, height, width), any size the model's strides leave a feature map of → (B, D)

    Raises:
        InputError: an unknown name or pooling; weights that do not fit, with the keys that differ.

    >>> backbone = Backbone("resnet18")
    >>> backbone.num_features, backbone(torch.zeros(2, 3, 64, 96)).shape
    (512, torch.Size([2, 512]))
    """

    def __init__(self, name: str, weights: str | Path | None = None, pool: str = "max"):
        super().__init__()
        self.name = check_choice("backbone", name, backbone_names())
        self.pool = check_choice("pool", pool, ("max", "avg"))
        self.features = feature_map(_model(name, weights))
        self.num_features = self._probe()

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() != 4 or images.size(1) != 3:
            raise bad_input("images", "shape (batch, 3, height, width)", f"shape {tuple(images.shape)}")
        maps = self.features(images)
        return maps.amax(dim=(2, 3)) if self.pool == "max" else maps.mean(dim=(2, 3))

    @torch.no_grad()
    def _probe(self) -> int:
        training = self.training
        width = self.eval()(torch.zeros(1, 3, 128, 128)).size(1)
        self.train(training)
        return width

    def digest(self) -> str:
        """sha256 of all weights: it changes when any weight does."""
        return tensor_digest(self.features.state_dict())

    def extra_repr(self) -> str:
        return f"{self.name!r}, pool={self.pool!r}, num_features={self.num_features}"


def _model(name: str, weights: str | Path | None) -> torch.nn.Module:
    """The torchvision model with its weights; auxiliary classifiers play no part in features."""
    if weights is None:
        return get_model(name, weights=None, **_no_initialisation_warning(name))
    if isinstance(weights, str) and not Path(weights).exists():
        known = [w.name for w in torchvision.models.get_model_weights(name)]
        if weights == "DEFAULT" or weights in known:
            return get_model(name, weights=weights)
        raise bad_input("weights", "a file that exists, DEFAULT or one of " + ", ".join(known), repr(weights))
    model = get_model(name, weights=None, **_no_initialisation_warning(name))
    _load(model, weights, name)
    return model


def _no_initialisation_warning(name: str) -> dict:
    return {"init_weights": True} if name in ("googlenet", "inception_v3") else {}


def _load(model: torch.nn.Module, path: str | Path, name: str) -> None:
    state = load_plain("weights", path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise bad_input("weights", f"a state dict of tensors for {name}", f"other content in {path}")
    expected = model.state_dict()
    missing, strange = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    # files from before num_batches_tracked existed are complete without it
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    shaped = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & state.keys())
        if state[key].shape != expected[key].shape
    ]
    if missing or strange or shaped:
        parts = [
            f"{len(keys)} {what} (first: {keys[0]})"
            for what, keys in (("missing keys", missing), ("unknown keys", strange), ("other shapes", shaped))
            if keys
        ]
        raise bad_input("weights", f"a state dict of torchvision's {name}", f"{path} with " + ", ".join(parts))
    model.load_state_dict(state, strict=False)
    if hasattr(model, "transform_input"):
        model.transform_input = True  # GoogLeNet's and Inception's published weights expect their own scaling

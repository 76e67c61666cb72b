"""Feature maps of timm's models (the optional extra ``timm``), whatever form their last features have."""

import math
from pathlib import Path

from torch import Tensor, nn

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.nn.backbones.feature_maps import MEAN, STD, Rescaling
from mlgcn_pyg.nn.backbones.weights import put_weights, read_state

PREFIX = "timm:"


class TimmMap(nn.Module):
    """``forward_features`` of a timm model, laid out as a map (B, D, h, w).

    Maps with channels last are permuted; tokens lose their class and register tokens and become the grid of patches
    that they are, in the image's proportions.

    Args:
        model: a timm model. rescaling: what images pass before it, where it has an input scaling of its own.

    Raises:
        InputError: features that are no map and no grid of tokens.
    """

    def __init__(self, model: nn.Module, rescaling: nn.Module | None = None):
        super().__init__()
        self.model, self.rescaling = model, rescaling
        self.num_prefix_tokens = getattr(model, "num_prefix_tokens", 0)

    def forward(self, images: Tensor) -> Tensor:
        if self.rescaling is not None:
            images = self.rescaling(images)
        out, width = self.model.forward_features(images), self.model.num_features
        if not isinstance(out, Tensor) or out.dim() not in (3, 4):
            found = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
            raise InputError("backbone", "a timm model with one last feature map", found)
        if out.dim() == 3:
            return self._grid(out[:, self.num_prefix_tokens :], *images.shape[-2:])
        last = out.size(3) == width
        if last and (out.size(1) != width or str(getattr(self.model, "output_fmt", "")) == "NHWC"):
            return out.permute(0, 3, 1, 2)
        return out

    def _grid(self, tokens: Tensor, height: int, width: int) -> Tensor:
        rows = max(1, round(math.sqrt(tokens.size(1) * height / width)))
        if tokens.size(1) % rows or not tokens.size(1):
            expected = f"a grid of tokens for an image of {height} × {width}"
            raise InputError("backbone", expected, f"{tokens.size(1)} tokens, perhaps others among them")
        return tokens.transpose(1, 2).unflatten(2, (rows, -1))


def timm_map(name: str, weights: str | Path | None) -> tuple[TimmMap, tuple[int, int]]:
    """The feature map of ``timm:<name>``, and a size of images that it takes.

    Images come normalised as torchvision's models expect them; weights that were trained on others, by timm's word for
    this name, see them so (0.5 ± 0.5 for many transformers).

    Args:
        name: with its prefix, e.g. ``"timm:resnet18"``.
        weights: None for random ones, ``"DEFAULT"`` for timm's pretrained ones (which timm downloads), or the path of
            a state dict of that timm model (``.pth`` or ``.safetensors``).

    Raises:
        InputError: timm is not installed; an unknown name; weights that do not fit or cannot be fetched.
    """
    timm = _import_timm()
    short = name.removeprefix(PREFIX)
    if not timm.is_model(short):
        near = timm.list_models(f"*{short.split('.')[0][:6]}*")[:5] if short else []
        fix = f"for example {', '.join(PREFIX + n for n in near)}" if near else "timm.list_models() has them"
        raise InputError("backbone", "the name of a timm model", repr(name), fix)
    local = weights is not None and Path(weights).exists()
    if not local and weights not in (None, "DEFAULT"):
        raise InputError("weights", "a file that exists, or DEFAULT", repr(str(weights)))
    try:
        model = _create(timm, short, pretrained=weights == "DEFAULT" and not local)
    except Exception as error:  # a failed download raises whatever the library below raises
        fix = "fetch its file and give its path" if weights == "DEFAULT" else "choose another model"
        raise InputError("backbone", "a timm model that can be built", f"{name} ({first_line(error)})", fix) from error
    config = model.pretrained_cfg or {}
    mean, std = (tuple(config.get(key) or imagenet) for key, imagenet in (("mean", MEAN), ("std", STD)))
    rescaling = None if (mean, std) == (MEAN, STD) else Rescaling(mean, std, enabled=weights is not None)
    features = TimmMap(model, rescaling)
    if local:
        heads = config.get("classifier") or ()
        heads = (heads,) if isinstance(heads, str) else heads
        put_weights(model, model, read_state(weights), weights, name, heads)
    return features, tuple(config.get("input_size", (3, 224, 224))[-2:])


def _create(timm, name: str, pretrained: bool) -> nn.Module:
    try:  # transformers that resample their positions take any image size with it
        return timm.create_model(name, pretrained=pretrained, num_classes=0, dynamic_img_size=True)
    except TypeError:  # others have no such option
        return timm.create_model(name, pretrained=pretrained, num_classes=0)


def _import_timm():
    try:
        import timm
    except ImportError as error:
        fix = "pip install 'mlgcn_pyg[timm]', or choose a torchvision model"
        raise InputError("backbone", "timm to be installed for a timm: model", first_line(error), fix) from error
    return timm

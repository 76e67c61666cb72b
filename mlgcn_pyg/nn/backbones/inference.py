"""The inference form of a backbone: batch normalisation folded into convolutions; on a CPU, channels-last weights.

In evaluation mode, batch normalisation after a convolution is an affine function of each channel:

    γ (w ∗ x + b − μ) / √(σ² + ε) + β  =  w′ ∗ x + b′    with  w′ = γ w / √(σ² + ε),  b′ = β + γ (b − μ) / √(σ² + ε).

The pairs of a convolution and the batch normalisation after it are found by running the backbone on one image. No graph
of the network is needed, so that any torchvision, timm or other module is supported.

On CUDA, weights keep their layout, since channels-last convolutions in float32 without TF32 are slower there.
"""

import copy
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

TOLERANCE = 1e-4  # of features, relative to the largest one
PRODUCER = "_mlgcn_producer"  # attribute of a tensor: the convolution that returned it, and its version

M = TypeVar("M", bound=nn.Module)
Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


def inference_form(backbone: M, images: Tensor) -> M | None:
    """Returns a copy of a backbone for inference, whose features equal those of the backbone up to rounding.

    Args:
        backbone: a module from images to features. It is not changed.
        images: (B, 3, height, width) on the device of the backbone, for which the copy is compared with the backbone.

    Returns:
        The copy, in evaluation mode and without gradients. None if its features differ by more than 1e-4 of the largest
        feature, or if an error occurs, such as in a backbone that cannot be copied.
    """
    try:
        with torch.inference_mode(False), torch.no_grad():
            form = copy.deepcopy(backbone).eval().requires_grad_(False)
            pairs, expected = _pairs(form, images)
            for conv, norm in pairs:
                _fold(form, conv, norm)
            if images.device.type == "cpu":
                form = form.to(memory_format=torch.channels_last)
            return form if _agree(form(images), expected) else None
    except Exception:  # any module may be a backbone; the plain form then raises the error, if it concerns the images
        return None


def _agree(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())  # false for NaN


def _pairs(backbone: nn.Module, images: Tensor) -> tuple[list[Pair], Tensor]:
    """Runs a backbone, and returns its features and the pairs in which batch normalisation can be folded."""
    calls: dict[nn.Module, int] = {}
    pairs: list[Pair] = []

    def after_convolution(conv: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        calls[conv] = calls.get(conv, 0) + 1
        setattr(output, PRODUCER, (conv, output._version))

    def before_normalisation(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[norm] = calls.get(norm, 0) + 1
        conv, version = getattr(inputs[0], PRODUCER, (None, 0))
        if conv is not None and inputs[0]._version == version:  # otherwise, the output was changed in place
            pairs.append((conv, cast(nn.BatchNorm2d, norm)))

    hooks = [layer.register_forward_hook(after_convolution) for layer in _layers(backbone, nn.Conv2d)]
    hooks += [
        layer.register_forward_pre_hook(before_normalisation)
        for layer in _layers(backbone, nn.BatchNorm2d)
        if layer.running_mean is not None and (_is_plain(layer) or _activation(layer) is not None)
    ]
    try:
        features = backbone(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [(conv, norm) for conv, norm in pairs if calls[conv] == calls[norm] == 1], features


def _layers(backbone: nn.Module, kind: type[M]) -> list[M]:
    return [layer for layer in backbone.modules() if isinstance(layer, kind)]


def _is_plain(norm: nn.Module) -> bool:
    return type(norm) is nn.BatchNorm2d


def _activation(norm: nn.Module) -> nn.Module | None:
    """Returns what timm's ``BatchNormAct2d`` applies after the normalisation; None for other modules."""
    drop, act = getattr(norm, "drop", None), getattr(norm, "act", None)
    return nn.Sequential(drop, act) if isinstance(drop, nn.Module) and isinstance(act, nn.Module) else None


def _fold(backbone: nn.Module, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Changes the weights of a convolution, and removes the batch normalisation after it."""
    assert norm.running_mean is not None and norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    rest = nn.Identity() if _is_plain(norm) else _activation(norm)
    assert rest is not None
    for name, layer in list(backbone.named_modules(remove_duplicate=False)):
        if layer is norm:
            backbone.set_submodule(name, rest)

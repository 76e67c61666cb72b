"""The kinds of images that a predictor accepts: files, folders, Pillow images, arrays and tensors."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mlgcn_pyg.errors import Fix, InputError
from mlgcn_pyg.prediction.photographs import find_images
from mlgcn_pyg.tensor_checks import check_values
from mlgcn_pyg.values import shown

ImageSource = str | Path | Image.Image | np.ndarray | Tensor
EXPECTED = "files, folders, Pillow images, arrays or tensors"


def list_images(images: ImageSource | Sequence[ImageSource]) -> Sequence[Path | Image.Image]:
    """Returns files, or images as Pillow images, as one flat list.

    Args:
        images: files and folders (:func:`find_images`), or Pillow images, arrays and tensors (:func:`to_pillow`), or
            one of them.

    Raises:
        InputError: if a file does not exist, or an array or a tensor is not an image.

    >>> list_images(np.zeros((2, 40, 60, 3), np.uint8))[1].size  # two images
    (60, 40)
    """
    if isinstance(images, np.ndarray | Tensor):
        if isinstance(images, Tensor):
            check_values("images", images)
        images = list(images) if images.ndim == 4 else [images]
    elif isinstance(images, str | os.PathLike | Image.Image):
        images = [images]
    if not isinstance(images, Iterable):
        raise InputError("images", EXPECTED, shown(images))
    sources = list(images)
    for source in sources:
        if not isinstance(source, str | os.PathLike | Image.Image | np.ndarray | Tensor):
            raise InputError("images", EXPECTED, type(source).__name__)
    files = [Path(source) for source in sources if isinstance(source, str | os.PathLike)]
    pixels = [source for source in sources if not isinstance(source, str | os.PathLike)]
    if files and pixels:
        raise InputError("images", "either files and folders, or images that were read", "both")
    return find_images(files) if files else list(map(to_pillow, pixels))


def to_pillow(image: Image.Image | np.ndarray | Tensor) -> Image.Image:
    """Returns an image as a Pillow image, which is then transformed as an image file is.

    Numbers in [0, 1] are rounded to 8 bits, which is exact for those of an 8-bit image.

    Args:
        image: a Pillow image, an array (height, width, 3) uint8, or a tensor (3, height, width), uint8 or
            floating-point in [0, 1].

    Raises:
        InputError: if the shape, the type or the range of an array or a tensor differs.

    >>> to_pillow(torch.ones(3, 40, 60)).getpixel((0, 0))
    (255, 255, 255)
    """
    if isinstance(image, Image.Image):
        return image
    pixels = _pixels(image) if isinstance(image, Tensor) else image
    if isinstance(image, np.ndarray):
        _check_array(image)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _check_array(array: np.ndarray) -> None:
    is_image = array.ndim == 3 and array.shape[2] == 3 and array.size
    if is_image and array.dtype == np.uint8:
        return
    fix: Fix = ""
    if array.ndim == 3 and array.shape[0] == 3 and not is_image:
        fix = "use array.transpose(1, 2, 0)"
    elif is_image and array.dtype.kind == "f":
        fix = "use (255 * array).round().astype('uint8') for numbers in [0, 1]"
    expected = "arrays of shape (height, width, 3), uint8"
    raise InputError("images", expected, f"shape {array.shape}, {array.dtype}", fix)


def _pixels(tensor: Tensor) -> np.ndarray:
    """Returns the pixels (height, width, 3) uint8 of a tensor (3, height, width)."""
    check_values("images", tensor)
    found = f"shape {tuple(tensor.shape)}, {tensor.dtype}"
    if tensor.dim() != 3 or tensor.size(0) != 3 or not tensor.numel():
        fix = "use tensor.permute(2, 0, 1)" if tensor.dim() == 3 and tensor.size(-1) == 3 else ""
        raise InputError("images", "tensors of shape (3, height, width)", found, fix)
    if tensor.is_floating_point():
        low, high = (float(value) for value in tensor.detach().aminmax())
        if not 0 <= low <= high <= 1:  # also for NaN
            fix = "pass images before they are normalised; divide numbers in [0, 255] by 255"
            raise InputError("images", "floating-point numbers in [0, 1]", f"{low:.3g} to {high:.3g}", fix)
        tensor = (255 * tensor.detach().float()).round().to(torch.uint8)
    elif tensor.dtype != torch.uint8:
        raise InputError("images", "uint8, or floating-point numbers in [0, 1]", found)
    return tensor.permute(1, 2, 0).cpu().numpy()

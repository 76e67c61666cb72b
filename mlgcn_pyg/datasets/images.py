"""Decoding photographs as people have them."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mlgcn_pyg.checks import InputError


class ImageError(InputError):
    """An image file that is missing or does not decode."""


def read_image(path: str | Path) -> Image.Image:
    """The photograph as RGB, upright by its EXIF orientation; 16-bit grey is scaled to 8 bits, alpha is dropped.

    Raises ImageError, naming the file, where it is missing, damaged or suspiciously huge (a decompression bomb).
    """
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # convert() would clip 16 bits at 255
                return Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        what = "missing file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        raise ImageError(f"image: expected a picture that decodes, found {path} ({what})") from error

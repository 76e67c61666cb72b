"""Decoding of image files."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mlgcn_pyg.errors import InputError, first_line

# EPS files are PostScript programs, which Pillow runs with Ghostscript. IPTC files may contain EPS files.
PROGRAMS = ("EPS", "IPTC")


class ImageError(InputError):
    """Raised for an image file that is missing or cannot be decoded."""


def read_image(image: str | Path | Image.Image) -> Image.Image:
    """Returns an image as RGB, upright according to its EXIF orientation.

    16-bit grey images are scaled to 8 bits, and alpha channels are dropped.

    Args:
        image: a file, or an image that was opened with Pillow.

    Raises:
        ImageError: if the file is missing or damaged; if it is so large that Pillow considers it a decompression
            bomb; if its pixels are 32-bit numbers of unknown scale; or if it is a PostScript program, which is not
            executed.
    """
    try:
        if isinstance(image, Image.Image):
            return _rgb(_upright(image))
        with Image.open(image, formats=_formats()) as opened:
            opened.load()
            return _rgb(_upright(opened))
    except Exception as error:  # decoders raise many types of exceptions for damaged files
        reason = "missing file" if isinstance(error, FileNotFoundError) else first_line(error)
        raise ImageError("image", "an image that can be decoded", f"{image} ({reason})") from error


def _formats() -> list[str]:
    """Returns the formats that the installed Pillow reads, including plugins, except PostScript; common ones first."""
    Image.preinit()
    Image.init()
    return [name for name in Image.OPEN if name not in PROGRAMS]


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata; the pixels are valid
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # convert() would clip at 255
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        pixels = np.asarray(image)
        if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError(f"32-bit pixels from {pixels.min()} to {pixels.max()}, of unknown scale")
        # older Pillow versions open 16-bit PNGs in mode I
        image = Image.fromarray((pixels // 257 if pixels.max() > 255 else pixels).astype(np.uint8))
    return image.convert("RGB")

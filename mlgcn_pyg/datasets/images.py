"""Decoding photographs as people have them."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mlgcn_pyg.errors import InputError, first_line

# Pillow hands the first to Ghostscript, a program that the file then instructs; the second may wrap the first
PROGRAMS = ("EPS", "IPTC")


class ImageError(InputError):
    """An image file that is missing or does not decode."""


def read_image(path: str | Path) -> Image.Image:
    """The photograph as RGB, upright by its EXIF orientation; 16-bit grey is scaled to 8 bits, alpha is dropped.

    Raises ImageError, naming the file, where it is missing, damaged, suspiciously huge (a decompression bomb), of
    32-bit numbers, whose scale nobody knows, or a PostScript program, which is not run.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            image.load()
            return _rgb(_upright(image))
    except Exception as error:  # decoders of damaged files raise nearly anything
        what = "missing file" if isinstance(error, FileNotFoundError) else first_line(error)
        raise ImageError("image", "an image that decodes", f"{path} ({what})") from error


def _formats() -> list[str]:
    """All formats that Pillow reads here, those of its plugins too, but for programs; the usual ones first."""
    Image.preinit()
    Image.init()
    return [name for name in Image.OPEN if name not in PROGRAMS]


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the picture is good, only its notes are not
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # convert() would clip at 255
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        pixels = np.asarray(image)
        if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError(f"32-bit pixels from {pixels.min()} to {pixels.max()}, of unknown scale")
        # 16-bit PNGs were opened in this mode by older Pillow versions
        image = Image.fromarray((pixels // 257 if pixels.max() > 255 else pixels).astype(np.uint8))
    return image.convert("RGB")

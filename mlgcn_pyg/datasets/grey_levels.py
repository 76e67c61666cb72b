"""Grey images with more than 8 bits per pixel, scaled to 8 bits by the maximum that their file states."""

import numpy as np
from PIL import Image

BITS, INTERPRETATION, SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
UNSIGNED, SIGNED, WHITE_IS_ZERO = 1, 2, 0
# Pillow scales the pixels of these formats to 16 bits; without a format, an image was made of an array
SIXTEEN_BITS = ("PNG", "PPM", "JPEG2000", None)


def is_deep(image: Image.Image) -> bool:
    """Returns whether an image is grey with more than 8 bits per pixel."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def white_level(image: Image.Image) -> int | None:
    """Returns the number that stands for white in a grey image with more than 8 bits, or None if it is unknown.

    It depends on the type of the pixels that the file states, and never on their values, so that images of one camera
    are scaled alike.

    >>> white_level(Image.new("I;16", (1, 1)))
    65535
    """
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        bits, kind = max(tags.get(BITS, (1,))), max(tags.get(SAMPLE_FORMAT, (UNSIGNED,)))
        known = bits <= 16 and kind in (UNSIGNED, SIGNED)
        return (1 << (bits - (kind == SIGNED))) - 1 if known else None
    if image.mode.startswith("I;16"):
        return 65535 if image.format in SIXTEEN_BITS else None
    return 65535 if image.mode == "I" and image.format in ("PNG", "PPM") else None


def to_eight_bits(image: Image.Image, opened: Image.Image) -> Image.Image:
    """Returns a grey image with more than 8 bits per pixel in mode L.

    Args:
        image: the image.
        opened: the image as it was opened, before it was turned: its format and tags state the white level.

    Raises:
        ValueError: if the white level is unknown, or pixels are outside 0…white.
    """
    pixels, white = np.asarray(image), white_level(opened)
    low, high = pixels.min(), pixels.max()
    if white is None:
        bits = 16 if image.mode.startswith("I;16") else 32
        raise ValueError(f"{bits}-bit pixels from {low} to {high}, of unknown scale")
    if low < 0 or high > white:
        raise ValueError(f"pixels from {low} to {high}, outside 0 to {white}")
    levels = (pixels.astype(np.uint32) * 255 // white).astype(np.uint8)
    if opened.format == "TIFF" and opened.tag_v2.get(INTERPRETATION) == WHITE_IS_ZERO:  # type: ignore[attr-defined]
        levels = 255 - levels  # Pillow inverts images with 8 bits only
    return Image.fromarray(levels)

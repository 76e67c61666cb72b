"""Decoding of image files."""

import io
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from mlgcn_pyg.datasets.grey_levels import is_deep, to_eight_bits
from mlgcn_pyg.datasets.image_warnings import named_warnings
from mlgcn_pyg.datasets.png_text import SIGNATURE, without_texts
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import open_file

# EPS files are PostScript programs, which Pillow runs with Ghostscript. IPTC files may contain EPS files.
PROGRAMS = ("EPS", "IPTC")
# brands of HEIF files, which are HEIC or AVIF
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")


class ImageError(InputError):
    """Raised for an image file that is missing or cannot be decoded."""


def read_image(image: str | Path | Image.Image, side: int | None = None) -> Image.Image:
    """Returns an image as RGB, upright according to its EXIF orientation.

    Grey images with 9 to 16 bits are scaled to 8 bits by the largest number that their file can hold, not by their
    content. Alpha channels are dropped, and texts in PNG files are ignored. HEIC files require the package
    ``pillow-heif``. Warnings of Pillow name the file and are shown once.

    Args:
        image: a file, or an image that was opened with Pillow.
        side: if given, both sides of the result need only be this long, and a large JPEG file is decoded at a half, a
            quarter or an eighth of its size, which takes less time and memory.

    Raises:
        ImageError: if the file is missing or damaged; if it is a FIFO, socket or device; if it is so large that Pillow
            considers it a decompression bomb; if its pixels are numbers of unknown scale, such as 32-bit ones; or if
            it is a PostScript program, which is not executed.
    """
    if isinstance(image, Image.Image):
        return _checked(image, image, side)
    try:
        file = open_file("image", image)
    except InputError as error:
        found = error.found if Path(image).exists() else f"{image} (missing file)"
        raise ImageError("image", "an image that can be decoded", found, error.fix) from error
    with file:
        return _checked(image, file, side)


def _checked(name: str | Path | Image.Image, source: Image.Image | BinaryIO, side: int | None) -> Image.Image:
    """Decodes an image; any failure becomes an ImageError that names it."""
    try:
        with named_warnings(getattr(name, "filename", None) or name):
            return _rgb(source) if isinstance(source, Image.Image) else _decoded(source, side)
    except Exception as error:  # decoders raise many types of exceptions for damaged files
        fix = "" if isinstance(source, Image.Image) else _remedy(source)
        reason = "no known format" if isinstance(error, UnidentifiedImageError) else first_line(error)
        raise ImageError("image", "an image that can be decoded", f"{name} ({reason})", fix) from error


def _decoded(file: BinaryIO, side: int | None) -> Image.Image:
    try:
        return _opened(file, side)
    except Image.DecompressionBombError:
        raise
    except Exception:
        file.seek(0)
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise
        file.seek(0)
        content = file.read()
        if len(smaller := without_texts(content)) == len(content):
            raise
    return _opened(io.BytesIO(smaller), side)


def _opened(file: BinaryIO | io.BytesIO, side: int | None) -> Image.Image:
    with Image.open(file, formats=_formats()) as opened:
        if side is not None:
            opened.draft(None, (side, side))
        opened.load()
        return _rgb(opened)


def _formats() -> list[str]:
    """Returns the formats that the installed Pillow reads, including plugins, except PostScript; common ones first."""
    Image.preinit()
    Image.init()
    register_heif()
    return [name for name in Image.OPEN if name not in PROGRAMS]


@cache
def register_heif() -> bool:
    """Makes Pillow read HEIC files if the package ``pillow-heif`` is installed, and returns whether it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _remedy(file: BinaryIO) -> str:
    file.seek(0)
    start = file.read(12)
    is_heif = start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS
    return 'pip install "mlgcn_pyg[heif]"' if is_heif and not register_heif() else ""


def _rgb(image: Image.Image) -> Image.Image:
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata; the pixels are valid
        upright = image
    if is_deep(upright):  # convert() would clip at 255
        upright = to_eight_bits(upright, image)
    if upright.mode == "P" and "transparency" in upright.info:
        upright = upright.convert("RGBA")  # the same colours; converted to RGB at once, Pillow warns
    return upright.convert("RGB")

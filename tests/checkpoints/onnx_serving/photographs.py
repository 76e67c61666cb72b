"""Photographs of all kinds, as files in memory."""

import io

import numpy as np
from PIL import Image, PngImagePlugin


def colours(width=70, height=50, seed=0):
    """Smooth colours, with a dark left half, so that turning the image changes it."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    small[:, :3] //= 4
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def saved(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def deep():
    levels = np.asarray(colours().convert("L")).astype(np.uint32) * 257 + 3
    return Image.fromarray(levels.clip(0, 65535).astype(np.uint16))


def long_texts():
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "a" * 3_000_000, zip=True)
    return info


def photographs():
    """Files that ``mlgcn predict`` reads, by name."""
    image = colours()
    alpha = image.copy()
    alpha.putalpha(colours(seed=3).convert("L"))
    palette = image.quantize(16)
    found = {
        "jpeg": saved(image, "JPEG"),
        "large jpeg": saved(colours(2000, 1300), "JPEG"),
        "progressive jpeg": saved(image, "JPEG", progressive=True),
        "cmyk jpeg": saved(image.convert("CMYK"), "JPEG"),
        "grey jpeg": saved(image.convert("L"), "JPEG"),
        "png": saved(image, "PNG"),
        "png of one bit": saved(image.convert("1"), "PNG"),
        "palette png": saved(palette, "PNG"),
        "transparent palette png": saved(palette, "PNG", transparency=bytes(range(0, 160, 10))),
        "png with alpha": saved(alpha, "PNG"),
        "grey png with alpha": saved(alpha.convert("LA"), "PNG"),
        "png of 16 bits": saved(deep(), "PNG"),
        "turned png of 16 bits": saved(deep(), "PNG", exif=turned(6)),
        "png with long texts": saved(image, "PNG", pnginfo=long_texts()),
        "png with damaged exif": saved(image, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "animated gif": saved(image, "GIF", save_all=True, append_images=[colours(seed=9)]),
        "webp": saved(image, "WEBP"),
        "webp with alpha": saved(alpha, "WEBP"),
        "bmp": saved(image, "BMP"),
        "mpo": saved(image, "MPO", save_all=True, append_images=[colours(seed=9)]),
        "tiff": saved(image, "TIFF"),
        "one pixel": saved(colours(1, 1), "PNG"),
        "one row": saved(colours(3000, 1), "PNG"),
        "one column": saved(colours(1, 3000), "PNG"),
    }
    return found | {f"orientation {k}": saved(image, "JPEG", exif=turned(k)) for k in range(1, 9)}

"""Runs a network that ``mlgcn export --format onnx`` wrote: ``python onnx_network.py model.onnx photo.jpg``.

The program prints the three most probable labels of an image. It requires onnxruntime, NumPy and Pillow, and neither
torch nor mlgcn_pyg. The logits are those of ``mlgcn predict``.
"""

import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

# not EPS, for example: its files are programs, which Pillow runs
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
Image.MAX_IMAGE_PIXELS = 32_000_000  # Pillow raises for twice as many
PAGE = Path(__file__).with_name("onnx_page.html")  # of the server
MAX_INPUT = 4096**2  # pixels of the images that a network requires
MAX_SIDE = 65_535  # in pixels, as in JPEG; Pillow needs much time and memory for millions of rows
MAX_SCANS = 64  # of a progressive JPEG file; each takes a pass over all pixels, and may have no more than 30 bytes
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # of programs that generate images
REFUSED: dict[type[Exception], tuple[int, str]] = {
    UnidentifiedImageError: (415, f"no image of a known format ({', '.join(FORMATS)})"),
    Image.DecompressionBombError: (413, "an image of more than 64,000,000 pixels"),
}


class ImageError(ValueError):
    """Raised for an image that is refused.

    Args:
        status: the HTTP status that states the reason.
        reason: the reason.
    """

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status

    @property
    def answer(self) -> str:
        """The reason, and how to send an image, since forms and JSON are no images either."""
        hint = "; the body must be the bytes of the image, as of curl --data-binary @photo.jpg"
        return f"{self}{hint if self.status in (415, 422) else ''}"


@dataclass(frozen=True)
class Label:
    """A label of an image, which is predicted if its logit is above the threshold in the file, or 0 without one."""

    label: str
    probability: float
    logit: float
    predicted: bool


class OnnxNetwork:
    """A network in an ONNX file, which several threads may use.

    Args:
        path: the file.
    """

    def __init__(self, path: str):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal errors only; errors are also raised
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        meta = {key: json.loads(text) for key, text in self.session.get_modelmeta().custom_metadata_map.items()}
        self.label_names, (self.height, self.width) = meta["label_names"], meta["image_size"]
        self.mean, self.std = np.array(meta["mean"]), np.array(meta["std"])
        self.thresholds = meta["thresholds"] or [0.0] * len(self.label_names)
        # one image at a time bounds the memory; in one thread, because allocators keep memory for each thread
        self._worker = ThreadPoolExecutor(1)
        if not 0 < self.height * self.width <= MAX_INPUT:
            raise ValueError(f"images of {self.height} × {self.width} pixels")
        logits = self._logits(np.zeros((self.height, self.width, 3)))
        if not len(logits) == len(self.label_names) == len(self.thresholds):
            raise ValueError("the network and its metadata have different numbers of labels")

    def labels(self, content: bytes) -> list[Label]:
        """Returns the labels of an image, the most probable first.

        Args:
            content: the bytes of an image file.

        Raises:
            ImageError: if they cannot be decoded.
        """
        logits = self._worker.submit(lambda: self._logits(np.asarray(self._resized(content)) / 255)).result()
        rows = zip(self.label_names, np.exp(-np.logaddexp(0, -logits)), logits, self.thresholds, strict=True)
        found = [Label(name, float(p), float(z), bool(z > threshold)) for name, p, z, threshold in rows]
        return sorted(found, key=lambda label: -label.logit)

    def _logits(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the logits (C,) float64 of the pixels (height, width, 3) of an image, which are in [0, 1]."""
        with np.errstate(all="ignore"):  # the logits are checked
            images = ((pixels - self.mean) / self.std).transpose(2, 0, 1)[None].astype(np.float32)
        logits = self.session.run(["logits"], {"images": images})[0][0].astype(float)
        if not np.isfinite(logits).all():
            raise ArithmeticError("the logits of the network are not finite")
        return logits

    def _resized(self, content: bytes) -> Image.Image:
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if max(image.size) > MAX_SIDE:
                    raise ImageError(413, f"an image of more than {MAX_SIDE:,} pixels a side")
                if image.format in ("JPEG", "MPO") and content.count(b"\xff\xda") > MAX_SCANS:
                    raise ImageError(422, f"a JPEG file of more than {MAX_SCANS} scans")
                upright = _upright(image)
                rgb = upright if upright.mode == "RGB" else upright.convert("RGB")
                return rgb.resize((self.width, self.height), Image.Resampling.BILINEAR)
        except ImageError:
            raise
        except Exception as error:  # decoders raise many types of exceptions for damaged files
            status, reason = REFUSED.get(type(error), (422, f"an image that cannot be decoded: {error}"))
            raise ImageError(status, reason) from error


def _upright(image: Image.Image) -> Image.Image:
    """Returns an image with 8 bits per channel, turned as its EXIF orientation states."""
    image.load()
    with suppress(Exception):  # damaged metadata; the pixels are valid
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode[0] not in "IF":
        return image
    if image.format != "PNG":
        raise ImageError(415, "a grey image with more than 8 bits per pixel that is no PNG file")
    return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))  # 16 bits; convert() would clip at 255


def open_network(path: str) -> OnnxNetwork:
    """Returns the network in a file, or ends the program with one line that states why there is none."""
    try:
        return OnnxNetwork(path)
    except Exception as error:  # onnxruntime raises many types of exceptions
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        sys.exit(f"expected an ONNX file that mlgcn export wrote, found {path!r} ({reason})")


if __name__ == "__main__":
    model, photo = sys.argv[1:] if len(sys.argv) == 3 else sys.exit(__doc__)
    try:
        labels = open_network(model).labels(Path(photo).read_bytes())
    except (OSError, ImageError) as error:
        sys.exit(f"expected an image, found {photo!r} ({error})")
    for found in labels[:3]:
        print(f"{found.label}: {found.probability:.3f}")

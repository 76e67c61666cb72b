"""Finds images in folders and decodes them in batches. Images that cannot be decoded are reported."""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg.checks import check_path
from mlgcn_pyg.datasets import ImageError, eval_transform, read_image
from mlgcn_pyg.datasets.images import register_heif
from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.loading import load_batches
from mlgcn_pyg.values import shown

# extensions of images in folders; a file that is passed by name may have any extension
EXTENSIONS = (
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
LISTED = 10  # other extensions that are counted each
HEIF = (".heic", ".heif", ".hif")


def find_images(images: str | Path | Sequence[str | Path]) -> list[Path]:
    """Returns the given files and the images in the given folders, without duplicates.

    Folders are searched recursively, and the files of a folder are sorted. Otherwise the order of ``images`` is kept.
    Hidden files and folders in folders are ignored. Links to folders are not followed. A warning counts the files in
    folders that are not images, by extension.

    Args:
        images: files and folders, or one of them.

    Raises:
        InputError: if a path does not exist, or is a FIFO, socket or device; if a folder cannot be read; or if a folder
            holds no image.
    """
    files: dict[Path, None] = {}
    others: Counter[str] = Counter()
    for path in _paths(images):
        if path.is_dir():
            found, left = _search(path)
            others += left
            if not found:
                fix = f"files ending in {', '.join(_extensions())} are read" + _heif_advice(left)
                raise InputError("images", "a folder that contains images", f"none in {path}", fix)
            files |= dict.fromkeys(found)
        elif path.exists():
            files[existing_file("images", path)] = None
        else:
            raise InputError("images", "files and folders that exist", f"nothing at {path}")
    if others:
        warnings.warn(_left_out(others), InputWarning, stacklevel=2)
    return list(files)


def _paths(images: str | Path | Sequence[str | Path]) -> list[Path]:
    if isinstance(images, str | os.PathLike):
        images = [Path(images)]
    if not isinstance(images, Iterable) or getattr(images, "shape", None) == ():
        raise InputError("images", "files and folders", shown(images))
    return [check_path("images", path) for path in images]


def _search(folder: Path) -> tuple[list[Path], Counter[str]]:
    """The images in a folder, sorted, and how many files of each other kind are in it."""
    found: list[Path] = []
    others: Counter[str] = Counter()
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            if path.exists() and not path.is_file():
                others["special"] += 1  # opening it could wait forever
            elif path.name.lower().endswith(_extensions()):
                found.append(path)
            else:
                others[path.suffix.lower()] += 1
    return sorted(found), others


def _extensions() -> tuple[str, ...]:
    return EXTENSIONS + HEIF if register_heif() else EXTENSIONS


def _left_out(others: Counter[str]) -> str:
    words = {"": "without an extension", "special": "FIFOs, sockets or devices"}
    kinds = [f"{count:,} {words.get(kind, kind)}" for kind, count in others.most_common(LISTED)]
    more = [f"{len(others) - LISTED} more extensions"] if len(others) > LISTED else []
    files = "file" if others.total() == 1 else "files"
    return f"left out {others.total():,} {files} in folders: {', '.join(kinds + more)}{_heif_advice(others)}"


def _heif_advice(others: Counter[str]) -> str:
    return '; for HEIC, pip install "mlgcn_pyg[heif]"' if any(kind in others for kind in HEIF) else ""


def _unreadable(error: OSError) -> None:
    """Raises an InputError for an error that ``os.walk`` would ignore."""
    raise InputError("images", "folders that can be read", f"{error.filename} ({error.strerror})") from error


class Photographs(Dataset[tuple[Tensor, str]]):
    """Images as items (pixels (3, height, width), error).

    ``error`` is empty, or the reason why the image could not be read. In that case the pixels are zero, so that all
    items have the same shape.
    """

    def __init__(self, images: Sequence[Path | Image.Image], image_size: tuple[int, int]):
        self.images, self.image_size, self.transform = images, image_size, eval_transform(image_size)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        try:
            return self.transform(read_image(self.images[index])), ""
        except ImageError as error:
            return torch.zeros(3, *self.image_size), str(error)


@dataclass(frozen=True)
class Batch:
    """B images, of which b could be read.

    Attributes:
        images: the B files or Pillow images.
        pixels: (b, 3, height, width), the transformed images that could be read, in order.
        errors: B entries: the reason why the image could not be read, or None.
    """

    images: Sequence[Path | Image.Image]
    pixels: Tensor
    errors: Sequence[str | None]


def photograph_batches(
    images: Sequence[Path | Image.Image],
    image_size: tuple[int, int],
    batch_size: int,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """Yields batches of decoded and transformed images, in order."""
    data, start = Photographs(images, image_size), 0
    batches = load_batches(data, batch_size=batch_size, num_workers=num_workers, pin_memory=pin_memory)
    for pixels, errors in batches:
        readable = [k for k, error in enumerate(errors) if not error]
        batch = images[start : start + len(errors)]
        yield Batch(batch, pixels if len(readable) == len(batch) else pixels[readable], [e or None for e in errors])
        start += len(batch)

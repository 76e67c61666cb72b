"""Finds images in folders and decodes them in batches. Images that cannot be decoded are reported."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg.datasets import ImageError, eval_transform, read_image
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.loading import load_batches

# extensions of images in folders; a file that is passed by name may have any extension
EXTENSIONS = (
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga",
    ".tif", ".tiff", ".webp",
)  # fmt: skip


def find_images(images: Sequence[str | Path]) -> list[Path]:
    """Returns the given files and the images in the given folders, without duplicates.

    Folders are searched recursively, and the files of a folder are sorted. Otherwise the order of ``images`` is kept.
    Hidden files in folders are ignored. Links to folders are not followed.

    Args:
        images: files and folders.

    Raises:
        InputError: if a path does not exist, a folder cannot be read, or a folder holds no image.
    """
    files: dict[Path, None] = {}
    for path in map(Path, images):
        if path.is_dir():
            below = sorted(_images_below(path))
            if not below:
                fix = f"files ending in {', '.join(EXTENSIONS)} are read"
                raise InputError("images", "a folder that contains images", f"none in {path}", fix)
            files |= dict.fromkeys(below)
        elif path.exists():
            files[path] = None
        else:
            raise InputError("images", "files and folders that exist", f"nothing at {path}")
    return list(files)


def _images_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder, onerror=_unreadable):
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and name.lower().endswith(EXTENSIONS) and not path.is_fifo():
                yield path


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

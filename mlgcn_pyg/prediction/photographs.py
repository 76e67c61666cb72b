"""Photographs without labels: found in folders, decoded in batches, the broken ones reported and left out."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mlgcn_pyg.datasets import ImageError, read_image
from mlgcn_pyg.errors import InputError

# what a folder is searched for; a file that is named itself may end as it likes
ENDINGS = (
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga",
    ".tif", ".tiff", ".webp",
)  # fmt: skip


def find_images(paths: Sequence[Path]) -> list[Path]:
    """The files among ``paths`` and the images in the folders among them, at any depth, in order; each once.

    Hidden files in folders are passed over, and so are links to other folders. Raises InputError for a path that is
    not there, a folder that cannot be read and one without images.
    """
    found = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(_images_below(path))
            if not inside:
                raise InputError("images", "a folder with images in it", f"none in {path}", f"it may have {_ENDINGS}")
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        else:
            raise InputError("images", "files and folders that exist", f"no {path}")
    return list(found)


_ENDINGS = ", ".join(ENDINGS)


def _images_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder, onerror=_raise):
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and name.lower().endswith(ENDINGS) and not path.is_fifo():
                yield path


def _raise(error: OSError) -> None:
    """A folder that cannot be listed would be left out without a word."""
    raise InputError("images", "folders that can be read", f"{error.filename} ({error.strerror})") from error


class Photographs(Dataset):
    """Item k is (transformed image, None), or (None, why it could not be read)."""

    def __init__(self, paths: Sequence[Path], transform: Callable):
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor | None, str | None]:
        try:
            return self.transform(read_image(self.paths[index])), None
        except ImageError as error:
            return None, str(error)


def photograph_batches(
    paths: Sequence[Path], transform: Callable, batch_size: int, num_workers: int = 0, pin_memory: bool = False
) -> Iterator[tuple[Sequence[Path], Tensor | None, list[str | None]]]:
    """Yields the paths of a batch, the images (at most B, 3, height, width) that could be read, in order (None where
    there is none), and for each path None or the reason why not."""
    options = {"num_workers": num_workers, "pin_memory": pin_memory, "collate_fn": _collate}
    start = 0
    for images, errors in DataLoader(Photographs(paths, transform), batch_size, **options):
        yield paths[start : start + len(errors)], images, errors
        start += len(errors)


def _collate(items: list[tuple[Tensor | None, str | None]]) -> tuple[Tensor | None, list[str | None]]:
    images = [image for image, _ in items if image is not None]
    return torch.stack(images) if images else None, [error for _, error in items]

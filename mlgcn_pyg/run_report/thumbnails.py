"""Small pictures of the images of a run, from the folder of its photographs."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from PIL import Image

from mlgcn_pyg.checks import check_path
from mlgcn_pyg.datasets.disk_names import DiskNames
from mlgcn_pyg.datasets.images import ImageError, read_image
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.page.content import Thumbnail

SIDE, BYTES = 160, 8000  # of a picture
QUALITIES = (80, 65, 50, 35, 20)  # of JPEG, until a picture is small enough
ENDINGS = ("", ".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG")  # some names of images have no ending
# folders below that of VOC 2007 and COCO 2014
FOLDERS = ("", "VOCdevkit/VOC2007/JPEGImages", "JPEGImages", "val2014", "train2014")
COCO_NAMES = ("COCO_val2014_{:012d}", "COCO_train2014_{:012d}", "{:012d}")
TRIED = 20  # images without a file, after which the folder is not that of the photographs


class Thumbnails:
    """Makes pictures of images, each once. An image that is missing or damaged has none.

    Args:
        names: the N names of the images, which are the ids in a feature file.
        root: the folder of the photographs, as given to ``mlgcn extract``; None makes no pictures.
    """

    def __init__(self, names: Sequence[str], root: str | Path | None = None):
        self.names, self.root = names, None if root is None else check_path("root", root)
        self._disk, self._made = DiskNames(), dict[int, Thumbnail]()
        self._found = self._missing = 0
        if self.root is not None and not self.root.is_dir():
            raise InputError("root", "a folder that exists", f"no folder {root}")

    def __call__(self, row: int) -> Thumbnail:
        """Returns the picture of a row."""
        if row not in self._made:
            self._made[row] = Thumbnail(self.names[row], self._picture(self.names[row]))
        return self._made[row]

    def _picture(self, name: str) -> bytes | None:
        if self.root is None:
            return None
        path = next(filter(os.path.isfile, _paths(self.root, name, self._disk)), None)
        if path is not None:
            self._found += 1
            return picture(path)
        self._missing += 1
        if not self._found and self._missing >= min(TRIED, len(self.names)):
            expected = "the folder of the photographs, whose names are the ids in the feature file"
            raise InputError("root", expected, f"no file of {name!r} or others in {self.root}")
        return None


def picture(path: str | Path, side: int = SIDE) -> bytes | None:
    """Returns a small JPEG file of an image file; None if it cannot be decoded.

    Args:
        path: the image, which is only read.
        side: the longest side in pixels.
    """
    try:
        image = read_image(path, 2 * side)
    except ImageError:
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    image.info.clear()  # Pillow would write the comment of the photograph, which may be long and private
    content = b""
    for quality in QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        content = file.getvalue()
        if len(content) <= BYTES:
            break
    return content


def _paths(root: Path, name: str, disk: DiskNames) -> Iterator[Path]:
    """The files that an image may be, none of them outside of the folder."""
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        return
    numbered = [form.format(int(name)) for form in COCO_NAMES] if name.isascii() and name.isdigit() else []
    for folder in FOLDERS:
        for stem in (name, *numbered):
            for ending in ENDINGS:
                yield disk.find_listed(root / folder / f"{stem}{ending}", f"{stem}{ending}")

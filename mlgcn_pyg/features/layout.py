"""Checks where the parts of a feature file are stored and how large they claim to be, before they are read.

HDF5 follows links to other files, and allocates what a damaged or hostile file of a few bytes claims to hold.
"""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.header import num_batches
from mlgcn_pyg.files.regular import open_file

_FIRST_PARTS = ("features", "targets", "label_names", "ids")
PARTS = {1: _FIRST_PARTS, 2: (*_FIRST_PARTS, "done", "checksums")}
REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])  # to a text in a heap
LARGEST_SIDE = 1 << 24  # views and features of a file without images


def has_part(file: Any, name: str) -> bool:
    """Returns whether there is a part or a link of this name. In contrast to ``in``, it does not follow links."""
    return bool(file.id.links.exists(name.encode()))


def check_storage(file: Any, name: str, path: Path) -> None:
    """Checks that a part is a dataset whose content is in the file itself.

    Raises:
        InputError: if it is a group or a link, or if its content is in other files.
    """
    if file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise _elsewhere(name, path)
    if not isinstance(file[name], h5py.Dataset):
        expected = "a feature file in the documented format"
        raise InputError("path", expected, f"{name} that is no dataset in {path}")
    stored = file[name].id.get_create_plist()
    if stored.get_layout() == h5py.h5d.VIRTUAL or stored.get_external_count():
        raise _elsewhere(name, path)


def _elsewhere(name: str, path: Path) -> InputError:
    return InputError("path", "features, targets and names within one file", f"{name} of {path} in a different file")


def check_sizes(file: Any, batch_size: int | None, path: Path) -> None:
    """Compares the shapes of all parts with each other and with the size of the file.

    Args:
        file: the open HDF5 file.
        batch_size: the number of images per batch; None in version 1, which has no batches.
        path: the path of the file.

    Raises:
        InputError: if shapes do not fit together, or the file is too small for them.
    """
    images, views, width = file["features"].shape
    shapes = {name: file[name].shape for name in PARTS[1 if batch_size is None else 2]}
    labels = shapes["label_names"]
    if len(labels) != 1 or shapes["targets"] != (images, *labels) or shapes["ids"] != (images,):
        found = f"targets {shapes['targets']}, ids {shapes['ids']}, label names {labels} for {images} rows in {path}"
        raise InputError("path", "targets, ids and label names that fit the features", found)
    if batch_size is not None:
        batches = num_batches(images, batch_size)
        if shapes["done"] != (batches,) or shapes["checksums"] != (batches, 32):
            found = f"{shapes['done']} and {shapes['checksums']} in {path}"
            raise InputError("path", f"done and checksums of {batches} batches", found)
    size = path.stat().st_size
    claimed = {name: math.prod(shape) * file[name].id.get_type().get_size() for name, shape in shapes.items()}
    too_large = [name for name, count in claimed.items() if count > size]
    if too_large or max(views, width) > max(size, LARGEST_SIDE):
        found = (
            f"{path}, which is truncated: {size:,} bytes, fewer than its {too_large[0] if too_large else 'features'}"
        )
        raise InputError("path", "a complete file", found)


def read_texts(file: Any, name: str, path: Path) -> tuple[str, ...]:
    """Reads a list of texts, whose total length is first compared with the size of the file."""
    dataset = file[name]
    texts = dataset.asstr()
    if h5py.check_string_dtype(dataset.dtype).length is not None:  # a fixed length, included in the checked size
        return tuple(texts[...].tolist())
    size_left = path.stat().st_size
    if (offset := dataset.id.get_offset()) is not None:
        with open_file("path", path) as stream:
            stream.seek(offset)
            length = int(np.fromfile(stream, REFERENCE, len(dataset))["length"].sum(dtype=np.int64))
        if length > size_left:
            raise ValueError(f"{name} of {length} bytes")
        return tuple(texts[...].tolist())
    read = []
    for row in range(len(dataset)):
        read.append(texts[row])
        if (size_left := size_left - len(read[-1])) < 0:
            raise ValueError(f"{name} that are larger than the file")
    return tuple(read)

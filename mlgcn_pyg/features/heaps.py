"""Checks the heaps in which HDF5 keeps texts: the library never returns from reading one with a damaged size.

A heap is ``GCOL``, its version, its size, and then objects: index, size, and content padded to a multiple of 8 bytes.
Object 0 is the free space; its size includes its head.
"""

import mmap
import struct
from pathlib import Path
from typing import Any

import h5py

from mlgcn_pyg.errors import InputError

SIGNATURE = b"GCOL\x01\0\0\0"
HEAD = struct.Struct("<HHIQ")  # of an object: index, references, reserved, size


def check_heaps(file: Any, path: Path) -> None:
    """Checks that the objects of every heap outside the rows of ``/features`` follow one another.

    Args:
        file: the open HDF5 file.
        path: its path.

    Raises:
        InputError: if a heap is damaged.
    """
    features = file.get("features")
    if not isinstance(features, h5py.Dataset):
        return  # not a feature file
    rows = features.id.get_offset() or 0
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for start, stop in ((0, rows), (rows + features.id.get_storage_size() if rows else 0, len(data))):
            place = data.find(SIGNATURE, start, stop)
            while place >= 0:
                if not _is_intact(data, place):
                    raise InputError("path", "texts that can be read", f"damaged texts in {path}")
                place = data.find(SIGNATURE, place + 8, stop)


def _is_intact(data: mmap.mmap, place: int) -> bool:
    end = place + int.from_bytes(data[place + 8 : place + 16], "little")
    place += 16
    while place + HEAD.size <= min(end, len(data)):
        index, _, _, size = HEAD.unpack_from(data, place)
        step = HEAD.size + -(-size // 8) * 8 if index else size
        if not step:
            return False
        place += step
    return place <= end <= len(data)

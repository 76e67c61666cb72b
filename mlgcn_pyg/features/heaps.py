"""Texts of an HDF5 file lie in heaps, and the library goes round for ever in one with a damaged size: looked at first.

A heap is ``GCOL``, its version, its own size, and objects one after the other: index, size, content to a multiple of
8 bytes. Object 0 is free space, whose size counts its head.
"""

import mmap
import struct
from pathlib import Path

import h5py

from mlgcn_pyg.errors import InputError

SIGNATURE, HEAD = b"GCOL\x01\0\0\0", struct.Struct("<HHIQ")  # of an object: index, references, nothing, size


def check_heaps(file: h5py.File, path: Path) -> None:
    """InputError for a heap outside the rows of ``/features`` whose objects do not follow one another."""
    features = file.get("features")
    if not isinstance(features, h5py.Dataset):
        return  # none of our files
    rows = features.id.get_offset() or 0
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for start, stop in ((0, rows), (rows + features.id.get_storage_size() if rows else 0, len(data))):
            place = data.find(SIGNATURE, start, stop)
            while place >= 0:
                if not _is_whole(data, place):
                    raise InputError("cache", "texts that can be read", f"damaged ones in {path}")
                place = data.find(SIGNATURE, place + 8, stop)


def _is_whole(data: mmap.mmap, place: int) -> bool:
    end = place + int.from_bytes(data[place + 8 : place + 16], "little")
    place += 16
    while place + HEAD.size <= min(end, len(data)):
        index, _, _, size = HEAD.unpack_from(data, place)
        step = HEAD.size + -(-size // 8) * 8 if index else size
        if not step:
            return False
        place += step
    return place <= end <= len(data)

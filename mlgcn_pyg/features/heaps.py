"""Checks the global heaps in which HDF5 stores strings, since the HDF5 library loops forever in a damaged heap.

A heap consists of the signature ``GCOL``, a version, the size of the heap, and a list of objects. An object consists of
a header with its index and size, and of its content, padded to a multiple of 8 bytes. Object 0 is the free space; only
its size includes the header.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.layout import has_part
from mlgcn_pyg.files.regular import open_file

SIGNATURE = b"GCOL\x01\0\0\0"
ATTRIBUTE_HEADER = struct.Struct("<BxHHH")  # version, sizes of the name, the type and the shape
LARGEST_OBJECT = 1 << 16  # bytes at the start of the file, where the attributes of the file are
TEXTS = ("format", "meta", "header")  # attributes
OBJECT_HEADER = struct.Struct("<HHIQ")  # index, references, reserved, size


def check_heaps(file: Any, path: Path) -> None:
    """Checks that every heap outside the rows of ``/features`` consists of complete objects.

    Args:
        file: the open HDF5 file.
        path: the path of the file.

    Raises:
        InputError: if a heap is damaged.
    """
    features = file["features"] if has_part(file, "features") else None
    if not isinstance(features, h5py.Dataset):
        return  # not a feature file
    rows_start = features.id.get_offset() or 0
    rows_stop = rows_start + features.id.get_storage_size() if rows_start else 0
    with open_file("path", path) as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if any(length > len(data) for name in TEXTS for length in _claimed_lengths(data, name)):
            raise InputError("path", "strings that can be read", f"damaged strings in {path}")
        for start, stop in ((0, rows_start), (rows_stop, len(data))):
            position, end = data.find(SIGNATURE, start, stop), 0
            while position >= 0:
                # a heap within a heap is damage; to follow each of them would take quadratic time
                if position < end or not (end := _end_if_intact(data, position)):
                    raise InputError("path", "strings that can be read", f"damaged strings in {path}")
                position = data.find(SIGNATURE, position + 8, stop)


def _claimed_lengths(data: mmap.mmap, name: str) -> Iterator[int]:
    """Yields the lengths of the text attributes of this name. HDF5 would allocate whatever they claim.

    An attribute is a header, and then its name, type and shape, each padded to a multiple of 8 bytes, and the reference
    to the text, which begins with the length.
    """
    name_bytes = name.encode() + b"\0"
    start = data.find(name_bytes, ATTRIBUTE_HEADER.size, LARGEST_OBJECT)
    while start >= 0:
        version, *sizes = ATTRIBUTE_HEADER.unpack_from(data, start - ATTRIBUTE_HEADER.size)
        position = start + sum(-(-size // 8) * 8 for size in sizes)
        if version == 1 and sizes[0] == len(name_bytes) and position + 4 <= len(data):
            yield int.from_bytes(data[position : position + 4], "little")
        start = data.find(name_bytes, start + 1, LARGEST_OBJECT)


def _end_if_intact(data: mmap.mmap, position: int) -> int:
    """Returns the end of a heap; 0 if the heap is damaged."""
    end = position + int.from_bytes(data[position + 8 : position + 16], "little")
    position += 16
    while position + OBJECT_HEADER.size <= min(end, len(data)):
        index, _, _, size = OBJECT_HEADER.unpack_from(data, position)
        step = OBJECT_HEADER.size + -(-size // 8) * 8 if index else size
        if not step:
            return 0
        position += step
    return end if position <= end <= len(data) else 0

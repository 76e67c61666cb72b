"""The feature file, version 2: one HDF5 file, readable with any HDF5 library.

========================  ======================  ==============================================================
``/features``             (N, V, D) f16 or f32    contiguous, allocated at creation; V views per image, view 0 the
                                                  evaluation view; little-endian
``/targets``              (N, C) int8             1 present, 0 absent, −1 unknown
``/label_names``          (C,) UTF-8              different strings
``/ids``                  (N,) UTF-8              different strings that name the images
``/done``                 (K,) uint8              1 where batch k, the rows kB … (k+1)B, had reached the disk
``/checksums``            (K, 32) uint8           SHA-256 of batch k's rows as they lie in the file
attribute ``format``      string                  ``mlgcn_pyg.features``
attribute ``version``     integer                 2
attribute ``batch_size``  integer                 B, images per batch; K = ⌈N/B⌉
attribute ``header``      string                  SHA-256 of everything above but ``features``, ``done`` and
                                                  ``checksums`` (see :func:`header_digest`)
attribute ``meta``        JSON                    provenance: backbone, sha256 of its weights, pooling, transform,
                                                  image size, precision, data set's digest, seed, versions, …
========================  ======================  ==============================================================

Writers
    MUST write under another name and rename when every batch is done, so that a file under its final name is whole;
    MUST have the whole structure on the disk before the first row, and write rows in place from then on;
    MUST have a batch's rows on the disk before ``done`` says so;
    MUST NOT write NaN or Inf; MUST take B as part of what the file is, since rows depend on their batch in rounding.
Readers
    MUST refuse other formats and newer versions, files that miss a part, a ``header`` that does not fit, and, under
    the final name, a batch that is not done; MAY map ``/features`` into memory; MAY check the checksums.

Version 1 had neither ``done`` nor ``checksums``, ``batch_size`` and ``header``; it is still read.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mlgcn_pyg.checks import check_choice, check_label_names, check_positive, check_targets, check_text
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import enough_disk
from mlgcn_pyg.system import preallocate, sync

FORMAT, VERSION = "mlgcn_pyg.features", 2
DTYPES = ("float16", "float32")


@dataclass(frozen=True)
class Contents:
    """What a feature file says of itself; offsets are bytes into the file, None where there is nothing."""

    version: int
    shape: tuple[int, int, int]
    dtype: np.dtype
    targets: np.ndarray
    label_names: tuple[str, ...]
    ids: tuple[str, ...]
    meta: dict
    batch_size: int
    done: np.ndarray
    checksums: np.ndarray | None  # None in version 1
    offset: int | None
    identity: tuple[int, int]  # device and inode: another file may get the name
    done_offset: int | None = None
    checksums_offset: int | None = None

    @property
    def num_batches(self) -> int:
        return num_batches(self.shape[0], self.batch_size)

    @property
    def row_bytes(self) -> int:
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    def rows(self, batch: int) -> tuple[int, int]:
        """First and last + 1 row of a batch."""
        return batch * self.batch_size, min((batch + 1) * self.batch_size, self.shape[0])


def num_batches(num_images: int, batch_size: int) -> int:
    return math.ceil(num_images / batch_size)


def checksum(rows) -> bytes:
    """SHA-256 of rows as bytes."""
    return hashlib.sha256(rows).digest()


def header_digest(
    shape: Sequence[int],
    dtype: str,
    batch_size: int,
    targets: np.ndarray,
    label_names: Sequence[str],
    ids: Sequence[str],
    meta: str,
) -> str:
    """SHA-256 over one line of JSON, [shape, dtype, batch_size, label_names, ids, meta], and the targets' bytes."""
    line = json.dumps([list(map(int, shape)), str(dtype), int(batch_size), list(label_names), list(ids), meta])
    sha = hashlib.sha256(line.encode())
    sha.update(np.ascontiguousarray(targets, np.int8))
    return sha.hexdigest()


def create(
    path: Path,
    shape: tuple[int, int, int],
    dtype: str,
    targets,
    label_names: Sequence[str],
    ids: Sequence[str],
    meta: dict,
    batch_size: int,
) -> None:
    """Makes a file with everything but its rows, which are allocated, and has it on the disk.

    Raises InputError for parts that do not fit together or that the format cannot hold, and for a full disk.
    """
    check_choice("dtype", dtype, DTYPES)
    check_positive("views", shape[1])
    check_positive("num_features", shape[2])
    targets = check_targets("targets", targets).cpu().numpy()
    names = check_label_names(label_names, targets.shape[1])
    for what, rows in (("targets", len(targets)), ("ids", len(ids))):
        if rows != shape[0]:
            raise InputError(what, f"{shape[0]} rows, one per image", rows)
    if other := [name for name in ids if not isinstance(name, str)]:
        found = f"{type(other[0]).__name__} {other[0]}"
        raise InputError("ids", "strings that name the images", found, "give [str(id) for id in ids]")
    if len(set(ids)) != len(ids):
        raise InputError("ids", "a different id for every image", f"{len(ids) - len(set(ids))} repeated")
    _check_texts("label_names", names)
    _check_texts("ids", ids)
    meta, batches = _as_json(meta), num_batches(shape[0], check_positive("batch_size", batch_size))
    _claim(path, targets.nbytes + len(meta) + 33 * batches + sum(64 + 4 * len(name) for name in (*names, *ids)))
    # the file is locked by its writer: HDF5's own lock would collide with that one
    with h5py.File(path, "w", locking=False) as file:
        header = header_digest(shape, dtype, batch_size, targets, names, ids, meta)
        file.attrs.update({"format": FORMAT, "version": VERSION, "batch_size": batch_size, "header": header})
        file.attrs["meta"] = meta
        file["targets"] = targets
        file.create_dataset("label_names", data=list(names), dtype=h5py.string_dtype())
        file.create_dataset("ids", data=list(ids), dtype=h5py.string_dtype())
        file["done"] = np.zeros(batches, np.uint8)
        file["checksums"] = np.zeros((batches, 32), np.uint8)
        _allocate(file, shape, np.dtype(dtype).newbyteorder("<"))
    with open(path, "rb+") as file:
        sync(file.fileno())


def _check_texts(argument: str, texts: Sequence[str]) -> None:
    for text in texts:
        if "\0" in check_text(argument, text):
            raise InputError(argument, "text without NUL, which ends a text in HDF5", ascii(text))


def _as_json(meta: dict) -> str:
    try:
        if isinstance(meta, dict):
            return json.dumps(meta, sort_keys=True)
        found = type(meta).__name__
    except (TypeError, ValueError) as error:
        found = first_line(error)
    raise InputError("meta", "a dict of what JSON can hold", found)


def _claim(path: Path, size: int) -> None:
    """A full disk shows here; in HDF5's hands it would be a flood of errors, and some of them none of Python's."""
    with open(path, "wb+") as file, enough_disk(path, size, "free some and run again"):
        preallocate(file.fileno(), 0, size + (1 << 15))  # and what HDF5 needs for itself


def _allocate(file: h5py.File, shape: tuple[int, int, int], dtype: np.dtype) -> None:
    """Contiguous storage, allocated now and never filled: the file's structure does not change afterwards."""
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_layout(h5py.h5d.CONTIGUOUS)
    options.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    options.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, b"features", h5py.h5t.py_create(dtype), space, options)

"""The feature file, format version 2: one HDF5 file, readable with any HDF5 library.

========================  ======================  ==============================================================
``/features``             (N, V, D) f16 or f32    features of N images, V views each; view 0 is the evaluation
                                                  view; contiguous, little-endian
``/targets``              (N, C) int8             1 present, 0 absent, −1 unknown
``/label_names``          (C,) UTF-8              label names, all different
``/ids``                  (N,) UTF-8              image names, all different
``/done``                 (K,) uint8              1 if batch k, the rows kB … (k+1)B − 1, is written
``/checksums``            (K, 32) uint8           SHA-256 of the bytes of each batch
attribute ``format``      string                  ``mlgcn_pyg.features``
attribute ``version``     integer                 2
attribute ``batch_size``  integer                 B, images per batch; K = ⌈N/B⌉
attribute ``header``      string                  SHA-256 of the rest of the table except ``features``, ``done`` and
                                                  ``checksums`` (see :func:`header_digest`)
attribute ``meta``        JSON object             provenance: backbone, SHA-256 of its weights, pooling, transform,
                                                  image size, precision, digest of the data set, seed, versions, …
========================  ======================  ==============================================================

The words MUST, MUST NOT and MAY are used as in RFC 2119.

Writers
    * MUST write to a temporary name, and MUST rename the file only after every batch is done.
    * MUST allocate every dataset, and flush the file to the disk, before they write the first row.
    * MUST NOT change the structure of the file afterwards: rows are written in place.
    * MUST flush the rows of a batch to the disk before they set its ``done`` flag.
    * MUST NOT write NaN or Inf.
    * MUST NOT change the batch size when they resume: the rounding of a row depends on its batch.

Readers
    * MUST refuse other formats, newer versions, a missing part, and a ``header`` that does not match.
    * MUST refuse a file under its final name in which a batch is not done.
    * MAY map ``/features`` into memory.
    * MAY verify the checksums.

Version 1 had no ``done``, ``checksums``, ``batch_size`` and ``header``. It is still read.

Guarantees
    * A file under its final name is complete.
    * After a crash or a power failure, the writer keeps each batch whose rows match their checksum, and no other.
    * Two writers of one file exclude each other, also from different machines if the file system has shared locks.

    Linux: tested. macOS and Windows: the code is written for them, but not tested on them. There, disk space is claimed
    by writing zeros, which detects a full disk before the work on most file systems. Windows cannot flush a folder, so
    a power failure may undo the final rename; the unfinished file is then still complete, and the next run renames it.
    Windows does not replace a file that a program has open or mapped, and the next run repeats the rename.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mlgcn_pyg.checks import check_choice, check_label_names, check_positive, check_targets, check_text
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import enough_disk
from mlgcn_pyg.system import preallocate, sync

FORMAT, VERSION = "mlgcn_pyg.features", 2
DTYPES = ("float16", "float32")
HDF5_SIZE = 1 << 15  # bytes that the HDF5 library needs for its own structures


@dataclass(frozen=True, kw_only=True)
class Header:
    """The content of a feature file except its rows.

    Attributes:
        shape: (N, V, D) of the features.
        dtype: type of the features, little-endian.
        targets: (N, C) int8.
        label_names: C strings.
        ids: N strings.
        meta: provenance.
        batch_size: B, images per batch.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    targets: np.ndarray
    label_names: tuple[str, ...]
    ids: tuple[str, ...]
    meta: dict[str, Any]
    batch_size: int

    @property
    def num_batches(self) -> int:
        """K."""
        return num_batches(self.shape[0], self.batch_size)

    @property
    def row_bytes(self) -> int:
        """Bytes of the features of one image."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    def rows(self, batch: int) -> tuple[int, int]:
        """Returns the first row of a batch and the row after its last."""
        return batch * self.batch_size, min((batch + 1) * self.batch_size, self.shape[0])


@dataclass(frozen=True, kw_only=True)
class Contents(Header):
    """A feature file that was read, except its rows.

    Attributes:
        version: format version.
        done: (K,) uint8; in version 1, one entry for the whole file.
        checksums: (K, 32) uint8; no row in version 1.
        offset: position of ``/features`` in the file, in bytes; 0 if it is empty.
        done_offset: position of ``/done``.
        checksums_offset: position of ``/checksums``.
        identity: device and inode, which identify the file: the path may be given to a different file.
    """

    version: int
    done: np.ndarray
    checksums: np.ndarray
    offset: int
    identity: tuple[int, int]
    done_offset: int = 0
    checksums_offset: int = 0

    @property
    def has_checksums(self) -> bool:
        """False for version 1."""
        return self.version > 1


def num_batches(num_images: int, batch_size: int) -> int:
    """Returns K = ⌈N/B⌉."""
    return math.ceil(num_images / batch_size)


def checksum(rows: bytes | np.ndarray) -> bytes:
    """Returns the SHA-256 digest of rows."""
    return hashlib.sha256(rows.data if isinstance(rows, np.ndarray) else rows).digest()


def header_digest(header: Header, meta: str) -> str:
    """Returns the SHA-256 digest of one line of JSON followed by the bytes of the targets.

    The line is ``[shape, dtype, batch_size, label_names, ids, meta]``.

    Args:
        header: all parts but ``meta``.
        meta: the attribute ``meta`` as it is stored.
    """
    shape, names, ids = [int(size) for size in header.shape], list(header.label_names), list(header.ids)
    line = json.dumps([shape, header.dtype.name, header.batch_size, names, ids, meta])
    sha = hashlib.sha256(line.encode())
    sha.update(np.ascontiguousarray(header.targets, np.int8).data)
    return sha.hexdigest()


def checked_header(
    shape: tuple[int, int, int],
    dtype: str,
    targets: Any,
    label_names: Sequence[str],
    ids: Sequence[str],
    meta: dict[str, Any],
    batch_size: int,
) -> Header:
    """Returns the header of a new file.

    Raises:
        InputError: if the parts do not fit together, or if the format cannot hold one of them.
    """
    check_choice("dtype", dtype, DTYPES)
    if min(shape[1:]) < 1:
        raise InputError("features", "at least one view and one feature per image", f"shape {tuple(shape)}")
    targets = check_targets("targets", targets).cpu().numpy()
    names = check_label_names(label_names, targets.shape[1])
    for argument, count in (("targets", len(targets)), ("ids", len(ids))):
        if count != shape[0]:
            raise InputError(argument, f"{shape[0]} rows, one per image", count)
    if not_texts := [name for name in ids if not isinstance(name, str)]:
        found = f"{type(not_texts[0]).__name__} {not_texts[0]}"
        raise InputError("ids", "strings that name the images", found, "pass [str(id) for id in ids]")
    if len(set(ids)) != len(ids):
        raise InputError("ids", "a different id for every image", f"{len(ids) - len(set(ids))} repeated")
    _check_texts("label_names", names)
    _check_texts("ids", ids)
    return Header(
        shape=shape,
        dtype=np.dtype(dtype).newbyteorder("<"),
        targets=targets,
        label_names=tuple(names),
        ids=tuple(ids),
        meta=meta,
        batch_size=check_positive("batch_size", batch_size),
    )


def create(path: Path, header: Header) -> None:
    """Creates a file with everything but its rows, allocates the rows, and flushes the file to the disk.

    Raises:
        InputError: if JSON cannot hold ``meta``, or if the disk is full.
    """
    meta, batches, texts = _as_json(header.meta), header.num_batches, (*header.label_names, *header.ids)
    _claim(path, header.targets.nbytes + len(meta) + 33 * batches + sum(64 + 4 * len(text) for text in texts))
    # the writer holds a lock already, with which HDF5's own would collide
    with h5py.File(path, "w", locking=False) as file:
        attributes = {"format": FORMAT, "version": VERSION, "batch_size": header.batch_size}
        file.attrs.update(attributes | {"header": header_digest(header, meta)})
        file.attrs["meta"] = meta
        file["targets"] = header.targets
        file.create_dataset("label_names", data=list(header.label_names), dtype=h5py.string_dtype())
        file.create_dataset("ids", data=list(header.ids), dtype=h5py.string_dtype())
        file["done"] = np.zeros(batches, np.uint8)
        file["checksums"] = np.zeros((batches, 32), np.uint8)
        _allocate(file, header)
    with open(path, "rb+") as stream:
        sync(stream.fileno())


def _check_texts(argument: str, texts: Sequence[str]) -> None:
    for text in texts:
        if "\0" in check_text(argument, text):
            raise InputError(argument, "text without NUL, which ends a text in HDF5", ascii(text))


def _as_json(meta: dict[str, Any]) -> str:
    try:
        if isinstance(meta, dict):
            return json.dumps(meta, sort_keys=True)
        found = type(meta).__name__
    except (TypeError, ValueError) as error:
        found = first_line(error)
    raise InputError("meta", "a dict that JSON can hold", found)


def _claim(path: Path, size: int) -> None:
    """Detects a full disk early: HDF5 would print many errors, and raise some that are not OSErrors."""
    with open(path, "wb+") as file, enough_disk(path, size, "free disk space and run again"):
        preallocate(file.fileno(), 0, size + HDF5_SIZE)


def _allocate(file: Any, header: Header) -> None:
    """Allocates contiguous storage without filling it: the structure of the file does not change afterwards."""
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_layout(h5py.h5d.CONTIGUOUS)
    options.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    options.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(header.shape)
    h5py.h5d.create(file.id, b"features", h5py.h5t.py_create(header.dtype), space, options)

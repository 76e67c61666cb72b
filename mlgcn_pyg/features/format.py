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
                                                  ``checksums`` (:func:`~mlgcn_pyg.features.header.header_digest`)
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
    * MUST refuse parts that are links, virtual, or stored in other files.
    * MUST compare the shapes of all parts with each other and with the size of the file before they read them.
    * MAY map ``/features`` into memory.
    * MAY verify the checksums.

Version 1 had no ``done``, ``checksums``, ``batch_size`` and ``header``. It is still read.

Guarantees
    * A file under its final name is complete.
    * After a crash or a power failure, the writer keeps each batch whose rows match their checksum, and no other.
    * Two writers of one file exclude each other, also from different machines if the file system has shared locks.

    The guarantees are tested on Linux. The code is also written for macOS and Windows, but was not run on them. There
    it claims disk space by writing zeros, which detects a full disk early on most file systems. Windows cannot
    flush a folder, so a power failure may undo the final rename; the next run repeats it. Windows does not replace a
    file that a program has open or mapped, so the rename may fail; the next run repeats it.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.features.header import Header, header_digest
from mlgcn_pyg.files.atomic import enough_disk
from mlgcn_pyg.system import preallocate, sync

FORMAT, VERSION = "mlgcn_pyg.features", 2
HDF5_SIZE = 1 << 15  # bytes that the HDF5 library needs for its own structures


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


def _as_json(meta: dict[str, Any]) -> str:
    try:
        if isinstance(meta, dict):
            return json.dumps(meta, sort_keys=True)
        found = type(meta).__name__
    except (TypeError, ValueError) as error:
        found = first_line(error)
    raise InputError("meta", "a dict that JSON can hold", found)


def _claim(path: Path, size: int) -> None:
    """Detects a full disk early, since HDF5 would print many errors and raise errors that are not OSErrors."""
    with open(path, "wb+") as file, enough_disk(path, size, "free disk space and run again"):
        preallocate(file.fileno(), 0, size + HDF5_SIZE)


def _allocate(file: Any, header: Header) -> None:
    """Allocates contiguous storage for the rows without filling it, after which the file's structure is final."""
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_layout(h5py.h5d.CONTIGUOUS)
    options.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    options.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(header.shape)
    h5py.h5d.create(file.id, b"features", h5py.h5t.py_create(header.dtype), space, options)

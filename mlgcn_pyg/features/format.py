"""The feature file, version 1: one HDF5 file, readable with any HDF5 library.

====================  ======================  ==================================================================
``/features``         (N, V, D) f16 or f32    contiguous, preallocated; V views per image, view 0 the plain one
``/targets``          (N, C) int8             1 present, 0 absent, −1 unknown
``/label_names``      (C,) UTF-8              different strings
``/ids``              (N,) UTF-8              different strings that name the images
attribute ``format``  string                  ``mlgcn_pyg.features``
attribute ``version`` integer                 1
attribute ``meta``    JSON                    provenance: backbone, weights digest, transform, pooling, versions, …
====================  ======================  ==================================================================

Writers MUST create the file under another name and rename it when every row is written, so that a file under its
final name is complete. Readers MUST refuse other formats and newer versions, and MAY map ``/features`` into memory.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mlgcn_pyg.checks import (
    InputError,
    bad_input,
    check_choice,
    check_label_names,
    check_positive,
    check_targets,
    first_line,
)

FORMAT, VERSION = "mlgcn_pyg.features", 1
DTYPES = ("float16", "float32")


@dataclass(frozen=True)
class Contents:
    """What a feature file says of itself; ``offset`` is where its rows begin, None if it has none."""

    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int | None
    targets: np.ndarray
    label_names: tuple[str, ...]
    ids: tuple[str, ...]
    meta: dict


def create(
    path: Path,
    shape: tuple[int, int, int],
    dtype: str,
    targets,
    label_names: Sequence[str],
    ids: Sequence[str],
    meta: dict,
) -> h5py.Dataset:
    """A new file with all but its rows written; returns the open, allocated ``/features`` (``.file`` closes it)."""
    check_choice("dtype", dtype, DTYPES)
    check_positive("num_features", shape[2])
    targets = check_targets("targets", targets).cpu().numpy()
    names = check_label_names(label_names, targets.shape[1])
    for what, rows in (("targets", len(targets)), ("ids", len(ids))):
        if rows != shape[0]:
            raise bad_input(what, f"{shape[0]} rows, one per image", rows)
    if len(set(ids)) != len(ids):
        raise bad_input("ids", "a different id for every image", f"{len(ids) - len(set(ids))} repeated")
    file = h5py.File(path, "w")
    file.attrs.update({"format": FORMAT, "version": VERSION, "meta": json.dumps(meta, sort_keys=True)})
    file["targets"] = targets
    file.create_dataset("label_names", data=list(names), dtype=h5py.string_dtype())
    file.create_dataset("ids", data=list(ids), dtype=h5py.string_dtype())
    return _allocate(file, shape, np.dtype(dtype))


def _allocate(file: h5py.File, shape: tuple[int, int, int], dtype: np.dtype) -> h5py.Dataset:
    """Contiguous storage, allocated now and never filled: the file's structure does not change afterwards."""
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_layout(h5py.h5d.CONTIGUOUS)
    options.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    options.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(file.id, b"features", h5py.h5t.py_create(dtype), space, options))


def read(path: Path) -> Contents:
    """Everything but the rows. Raises InputError for a foreign, newer, incomplete or inconsistent file."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise bad_input("cache", "an HDF5 feature file", f"{path} ({first_line(error)})") from error
    with file:
        if file.attrs.get("format") != FORMAT:
            raise bad_input("cache", "a feature file written by this package", f"another HDF5 file, {path}")
        if file.attrs.get("version") != VERSION:
            raise bad_input(
                "cache",
                f"format version {VERSION}",
                f"version {file.attrs.get('version')} in {path}",
                fix="use a newer mlgcn_pyg",
            )
        missing = [name for name in ("features", "targets", "label_names", "ids") if name not in file]
        if missing or "meta" not in file.attrs:
            raise bad_input("cache", "a complete feature file", f"no {', '.join(missing) or 'meta'} in {path}")
        try:
            contents = _read_contents(file, path)
            _check(contents, path)
        except InputError:
            raise
        except Exception as error:  # parts of other kinds than the format's
            raise bad_input(
                "cache", "a feature file as the format describes", f"{path} ({first_line(error)})"
            ) from error
    return contents


def _read_contents(file: h5py.File, path: Path) -> Contents:
    features = file["features"]
    if features.ndim != 3 or features.dtype not in (np.dtype("<f2"), np.dtype("<f4")) or features.chunks is not None:
        found = f"shape {features.shape}, {features.dtype}" + (", chunked" if features.chunks else "")
        raise bad_input("cache", "contiguous features (N, V, D) in float16 or float32", f"{found} in {path}")
    return Contents(
        shape=features.shape,
        dtype=features.dtype,
        offset=features.id.get_offset(),
        targets=file["targets"][...],
        label_names=tuple(file["label_names"].asstr()[...].tolist()),
        ids=tuple(file["ids"].asstr()[...].tolist()),
        meta=json.loads(file.attrs["meta"]),
    )


def _check(contents: Contents, path: Path) -> None:
    num_images, num_labels = contents.shape[0], len(contents.label_names)
    if contents.targets.shape != (num_images, num_labels) or len(contents.ids) != num_images:
        found = f"targets {contents.targets.shape}, {len(contents.ids)} ids, {num_labels} labels for {num_images} rows"
        raise bad_input("cache", "targets, ids and label names that fit the features", f"{found} in {path}")
    check_targets("targets", contents.targets, num_labels)
    size = int(np.prod(contents.shape)) * contents.dtype.itemsize
    if size and (contents.offset is None or contents.offset + size > path.stat().st_size):
        raise bad_input("cache", "a whole file", f"{path} cut short")

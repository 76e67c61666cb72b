"""Opening a feature file: everything but its rows, and every reason to refuse it."""

import json
import os
from pathlib import Path

import h5py
import numpy as np

from mlgcn_pyg.checks import check_label_names, check_targets
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.features.format import FORMAT, VERSION, Contents, header_digest, num_batches
from mlgcn_pyg.features.heaps import check_heaps

PARTS = {1: ("features", "targets", "label_names", "ids")}
PARTS[2] = (*PARTS[1], "done", "checksums")
ATTRIBUTES = {1: ("meta",), 2: ("meta", "batch_size", "header")}


class NewerFormat(InputError):
    """A file of a format version that this package does not know."""


def read(path: Path, *, complete: bool = True) -> Contents:
    """Everything but the rows of a feature file.

    Args:
        path: the file. complete: refuse a file in which batches are missing.

    Raises:
        InputError: a foreign, newer, incomplete, cut or inconsistent file.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError("cache", "an HDF5 feature file", f"{path} ({first_line(error)})") from error
    with file:
        try:
            check_heaps(file, path)
            version = _check_kind(file, path)
            contents = _contents(file, version, path)
            _check(contents, path)
            if version > 1:
                _check_header(file, contents, path)
        except InputError:
            raise
        except Exception as error:  # parts of other kinds than the format's
            raise InputError(
                "cache", "a feature file as the format describes", f"{path} ({first_line(error)})"
            ) from error
    if complete and (contents.done != 1).any():
        count = int((contents.done != 1).sum())
        fix = "mlgcn cache repair, then mlgcn extract again"
        raise InputError("cache", "a finished file", f"{count} of {len(contents.done)} batches missing in {path}", fix)
    return contents


def identity(handle: int) -> tuple[int, int]:
    """What tells an open file from all others, whatever their names."""
    status = os.fstat(handle)
    return status.st_dev, status.st_ino


def _check_kind(file: h5py.File, path: Path) -> int:
    if file.attrs.get("format") != FORMAT:
        raise InputError("cache", "a feature file written by this package", f"another HDF5 file, {path}")
    version = file.attrs.get("version")
    if version not in PARTS:
        expected = f"format version {VERSION} or older"
        raise NewerFormat("cache", expected, f"version {version} in {path}", "use a newer mlgcn_pyg")
    missing = [name for name in PARTS[version] if name not in file]
    missing += [name for name in ATTRIBUTES[version] if name not in file.attrs]
    if missing:
        raise InputError("cache", "a complete feature file", f"no {', '.join(missing)} in {path}")
    return int(version)


def _contents(file: h5py.File, version: int, path: Path) -> Contents:
    features = file["features"]
    if features.ndim != 3 or features.dtype not in (np.dtype("<f2"), np.dtype("<f4")) or features.chunks is not None:
        found = f"shape {features.shape}, {features.dtype}" + (", chunked" if features.chunks else "")
        raise InputError("cache", "contiguous features (N, V, D) in float16 or float32", f"{found} in {path}")
    common = {
        "version": version,
        "shape": features.shape,
        "dtype": features.dtype,
        "targets": file["targets"][...],
        "label_names": tuple(file["label_names"].asstr()[...].tolist()),
        "ids": tuple(file["ids"].asstr()[...].tolist()),
        "meta": json.loads(file.attrs["meta"]),
        "offset": features.id.get_offset(),
        "identity": identity(file.id.get_vfd_handle()),
    }
    if version == 1:
        return Contents(**common, batch_size=max(1, features.shape[0]), done=np.ones(1, np.uint8), checksums=None)
    done, checksums = file["done"], file["checksums"]
    return Contents(
        **common,
        batch_size=int(file.attrs["batch_size"]),
        done=done[...],
        checksums=checksums[...],
        done_offset=done.id.get_offset(),
        checksums_offset=checksums.id.get_offset(),
    )


def _check(contents: Contents, path: Path) -> None:
    num_images, num_labels = contents.shape[0], len(contents.label_names)
    if contents.targets.shape != (num_images, num_labels) or len(contents.ids) != num_images:
        found = f"targets {contents.targets.shape}, {len(contents.ids)} ids, {num_labels} labels for {num_images} rows"
        raise InputError("cache", "targets, ids and label names that fit the features", f"{found} in {path}")
    if contents.targets.dtype != np.int8:
        raise InputError("cache", "targets of type int8", f"{contents.targets.dtype} in {path}")
    check_targets("targets", contents.targets, num_labels)
    check_label_names(contents.label_names, num_labels)
    if len(set(contents.ids)) != num_images:
        raise InputError("cache", "different ids", f"{num_images - len(set(contents.ids))} repeated in {path}")
    if not isinstance(contents.meta, dict):
        raise InputError("cache", "a JSON object as meta", f"{type(contents.meta).__name__} in {path}")
    size = num_images * contents.row_bytes
    if size and (contents.offset is None or contents.offset + size > path.stat().st_size):
        raise InputError("cache", "a whole file", f"{path} cut short")


def _check_header(file: h5py.File, contents: Contents, path: Path) -> None:
    if contents.batch_size < 1:
        raise InputError("cache", "a batch_size of at least 1", f"{contents.batch_size} in {path}")
    batches = num_batches(contents.shape[0], contents.batch_size)
    kinds = [(contents.done, (batches,)), (contents.checksums, (batches, 32))]
    if any(part.shape != shape or part.dtype != np.uint8 for part, shape in kinds):
        found = f"{contents.done.shape} and {contents.checksums.shape} in {path}"
        raise InputError("cache", f"done and checksums of {batches} batches", found)
    if batches and (contents.done_offset is None or contents.checksums_offset is None):
        raise InputError("cache", "contiguous done and checksums", f"chunked ones in {path}")
    dtype = contents.dtype.name
    parts = (contents.targets, contents.label_names, contents.ids, file.attrs["meta"])
    if header_digest(contents.shape, dtype, contents.batch_size, *parts) != file.attrs["header"]:
        fix = "extract it again with --overwrite, or take it from a backup"
        raise InputError("cache", "targets, names and provenance as they were written", f"changed ones in {path}", fix)

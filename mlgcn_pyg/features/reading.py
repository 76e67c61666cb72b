"""Reads a feature file except its rows, and rejects every file that the format does not allow."""

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mlgcn_pyg.checks import check_targets
from mlgcn_pyg.errors import Argument, InputError, first_line, renamed_arguments
from mlgcn_pyg.features.format import FORMAT, VERSION
from mlgcn_pyg.features.header import Contents, header_digest
from mlgcn_pyg.features.heaps import check_heaps
from mlgcn_pyg.features.layout import PARTS, check_sizes, check_storage, has_part, read_texts
from mlgcn_pyg.files.regular import open_file
from mlgcn_pyg.labels import check_label_names

ATTRIBUTES: dict[int, tuple[str, ...]] = {1: ("meta",), 2: ("meta", "batch_size", "header")}


class NewerFormat(InputError):
    """Raised for a file of a format version that this package does not know."""


def read_contents(path: Path, *, complete: bool = True) -> Contents:
    """Reads a feature file except its rows.

    Args:
        path: the file.
        complete: whether to reject a file in which batches are missing.

    Raises:
        InputError: if the file is not a feature file, of a newer version, incomplete, truncated or inconsistent.
    """
    try:
        # the stream comes first: if the file is replaced in between, the identity is the old one, and rows are refused
        with open_file("path", path) as stream, h5py.File(path, "r", locking=False) as file:
            contents = _checked_contents(file, identity(stream.fileno()), path)
    except OSError as error:
        raise InputError("path", "an HDF5 feature file", f"{path} ({first_line(error)})") from error
    if complete and (missing := int((contents.done != 1).sum())):
        found = f"{missing} of {len(contents.done)} batches missing in {path}"
        raise InputError("path", "a finished file", found, "repair the file, then extract it again")
    return contents


def identity(handle: int) -> tuple[int, int]:
    """Returns the device and inode of an open file, which identify it under any name."""
    status = os.fstat(handle)
    return status.st_dev, status.st_ino


def _checked_contents(file: Any, file_identity: tuple[int, int], path: Path) -> Contents:
    try:
        if has_part(file, "features"):
            check_storage(file, "features", path)
        check_heaps(file, path)
        version = _check_kind(file, path)
        contents = _contents(file, version, file_identity, path)
        _check(contents, path)
        if version > 1:
            _check_batches(contents, path)
            _check_digest(file, contents, path)
    except InputError:
        raise
    except Exception as error:  # h5py raises almost anything for parts of an unexpected kind
        found = f"{path} ({first_line(error)})"
        raise InputError("path", "a feature file in the documented format", found) from error
    return contents


def _check_kind(file: Any, path: Path) -> int:
    if "format" not in file.attrs or _attribute(file, "format") != FORMAT:
        raise InputError("path", "a feature file written by this package", f"a different HDF5 file, {path}")
    version = _attribute(file, "version") if "version" in file.attrs else None
    if version not in PARTS:
        expected = f"format version {VERSION} or older"
        raise NewerFormat("path", expected, f"version {version} in {path}", "use a newer mlgcn_pyg")
    missing = [name for name in PARTS[version] if not has_part(file, name)]
    missing += [name for name in ATTRIBUTES[version] if name not in file.attrs]
    if missing:
        raise InputError("path", "a complete feature file", f"no {', '.join(missing)} in {path}")
    for name in PARTS[version]:
        check_storage(file, name, path)
    features = file["features"]
    if features.ndim != 3 or features.dtype not in (np.dtype("<f2"), np.dtype("<f4")) or features.chunks is not None:
        found = f"shape {features.shape}, {features.dtype}" + (", chunked" if features.chunks else "")
        raise InputError("path", "contiguous features (N, V, D) in float16 or float32", f"{found} in {path}")
    return int(version)


def _contents(file: Any, version: int, file_identity: tuple[int, int], path: Path) -> Contents:
    features = file["features"]
    batched = version > 1
    batch_size = int(_attribute(file, "batch_size")) if batched else max(1, features.shape[0])
    if batch_size < 1:
        raise InputError("path", "a batch_size of at least 1", f"{batch_size} in {path}")
    check_sizes(file, batch_size if batched else None, path)
    return Contents(
        version=version,
        shape=features.shape,
        dtype=features.dtype,
        targets=_integers(file, "targets"),
        label_names=read_texts(file, "label_names", path),
        ids=read_texts(file, "ids", path),
        meta=json.loads(_attribute(file, "meta")),
        batch_size=batch_size,
        done=_integers(file, "done") if batched else np.ones(1, np.uint8),
        checksums=_integers(file, "checksums") if batched else np.zeros((0, 32), np.uint8),
        offset=features.id.get_offset() or 0,
        done_offset=(file["done"].id.get_offset() or 0) if batched else 0,
        checksums_offset=(file["checksums"].id.get_offset() or 0) if batched else 0,
        identity=file_identity,
    )


def _attribute(file: Any, name: str) -> Any:
    """Reads an attribute that must be a string or an integer, since HDF5 crashes on some damaged types."""
    if not isinstance(file.attrs.get_id(name).get_type(), h5py.h5t.TypeStringID | h5py.h5t.TypeIntegerID):
        raise TypeError(f"attribute {name} is neither text nor an integer")
    return file.attrs[name]


def _integers(file: Any, name: str) -> np.ndarray:
    """Reads an array that must contain integers; see :func:`_attribute`."""
    if not isinstance(file[name].id.get_type(), h5py.h5t.TypeIntegerID):
        raise TypeError(f"{name} are not integers")
    array: np.ndarray = file[name][...]
    return array


def _check(contents: Contents, path: Path) -> None:
    num_images, num_labels = contents.shape[0], len(contents.label_names)
    if contents.targets.dtype != np.int8:
        raise InputError("path", "targets of type int8", f"{contents.targets.dtype} in {path}")
    with renamed_arguments(targets="path", label_names="path"):
        check_targets("targets", contents.targets, num_labels)
        check_label_names(contents.label_names, num_labels)
    if len(set(contents.ids)) != num_images:
        raise InputError("path", "unique ids", f"{num_images - len(set(contents.ids))} repeated in {path}")
    if not isinstance(contents.meta, dict):
        raise InputError("path", "a JSON object as meta", f"{type(contents.meta).__name__} in {path}")
    size = num_images * contents.row_bytes
    if size and not 0 < contents.offset <= path.stat().st_size - size:
        raise InputError("path", "a complete file", f"{path}, which is truncated")


def _check_batches(contents: Contents, path: Path) -> None:
    if any(part.dtype != np.uint8 for part in (contents.done, contents.checksums)):
        found = f"{contents.done.dtype} and {contents.checksums.dtype} in {path}"
        raise InputError("path", f"done and checksums of {contents.num_batches} batches as uint8", found)
    if contents.num_batches and not (contents.done_offset and contents.checksums_offset):
        raise InputError("path", "contiguous done and checksums", f"chunked ones in {path}")


def _check_digest(file: Any, contents: Contents, path: Path) -> None:
    if header_digest(contents, _attribute(file, "meta")) != _attribute(file, "header"):
        found = f"changes in {path} since it was written"
        fix = ("extract it again with ", Argument("overwrite", True), ", or restore a backup")
        raise InputError("path", "targets, names and provenance as they were written", found, fix)

"""The header of a feature file: everything but its rows."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlgcn_pyg.checks import check_choice, check_positive, check_targets, check_text
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.labels import check_label_names

DTYPES = ("float16", "float32")


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
        """The number of batches, K."""
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
    """The content of an existing feature file except its rows.

    Attributes:
        version: format version.
        done: (K,) uint8; in version 1, one entry for the whole file.
        checksums: (K, 32) uint8; (0, 32) in version 1.
        offset: position of ``/features`` in the file, in bytes; 0 if there are no features.
        done_offset: position of ``/done``.
        checksums_offset: position of ``/checksums``.
        identity: device and inode, which identify the file even if a different file replaces it at its path.
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
        """Whether the file has checksums; False for version 1."""
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
        header: the other parts.
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


def _check_texts(argument: str, texts: Sequence[str]) -> None:
    for text in texts:
        if "\0" in check_text(argument, text):
            raise InputError(argument, "text without NUL characters, which end strings in HDF5", ascii(text))

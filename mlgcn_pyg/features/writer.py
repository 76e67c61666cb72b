"""Rows into a feature file that survives being killed at any moment.

The file has its whole structure before the first row (:func:`mlgcn_pyg.features.format.create`); from then on batches
are written in place, without HDF5, each followed by its checksum. What a crash leaves is judged by the checksums
alone: a batch is good if its rows are what was hashed, whichever of the two reached the disk first.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.format import checksum
from mlgcn_pyg.features.reading import read
from mlgcn_pyg.files import enough_disk, publish
from mlgcn_pyg.system import BINARY, preallocate, read_at, sync_data, write_at

SYNC_SECONDS, SYNC_BYTES = 10.0, 1 << 28  # what a power failure may cost, and how much is in flight at most
HASHED_ASIDE = 1 << 20  # bytes of a batch above which its checksum may come some batches late


class FeatureWriter:
    """Writes batches of rows into the file at ``path``, made by ``format.create``; a context manager.

    Args:
        path: the file in the making.
        reserve: claim the disk space of all rows now, so that a full disk shows before the work and not after it.
        fix: what to do where the disk is full.

    Raises:
        InputError: a file that is none of this format, or a disk without room.
    """

    def __init__(
        self, path: Path, reserve: bool = True, fix: str = "free some and run again: finished batches are kept"
    ):
        self.path, self.contents, self.fix = path, read(path, complete=False), fix
        self.pending, self.dirty, self.synced = [], 0, time.monotonic()
        self.hasher, self.hashing = ThreadPoolExecutor(2), []
        self.handle = os.open(path, os.O_RDWR | BINARY)
        size = self.contents.shape[0] * self.contents.row_bytes
        if size and reserve:
            self._with_room(lambda: preallocate(self.handle, self.contents.offset, size))

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            if self.handle is not None:
                self.sync()
        except OSError:
            if kind is None:  # else the first error says more than that the disk is still full
                raise
        finally:
            self.close()

    def close(self) -> None:
        if self.handle is not None:
            self.hasher.shutdown()
            os.close(self.handle)
            self.handle = None

    def proven(self, progress: Callable[[int, str], None] | None = None) -> np.ndarray:
        """(K,) bool: batches whose rows are what their checksums say, found by reading them."""
        good = np.zeros(self.contents.num_batches, bool)
        for batch in self.contents.checksums.any(axis=1).nonzero()[0].tolist():
            good[batch] = checksum(self.read(batch)) == self.contents.checksums[batch].tobytes()
            if progress:
                progress(self.contents.rows(batch)[1], "checking what is there")
        return good

    def read(self, batch: int) -> bytes:
        """The bytes of a batch's rows."""
        start, stop = self.contents.rows(batch)
        size = (stop - start) * self.contents.row_bytes
        return read_at(self.handle, size, self.contents.offset + start * self.contents.row_bytes)

    def write(self, batch: int, rows: np.ndarray) -> None:
        """Rows (B, V, D) of a batch, in the file's dtype, and soon their checksum; they must not change any more."""
        start, stop = self.contents.rows(batch)
        rows = np.ascontiguousarray(rows, self.contents.dtype)
        assert rows.shape == (stop - start, *self.contents.shape[1:]), (rows.shape, batch)
        large = rows.nbytes >= HASHED_ASIDE  # then other threads hash while this one goes on
        self.hashing.append((batch, self.hasher.submit(checksum, rows)))
        self._with_room(lambda: write_at(self.handle, rows, self.contents.offset + start * self.contents.row_bytes))
        self._with_room(lambda: self._write_checksums(keep=4 if large else 0))
        self.pending.append(batch)
        self.dirty += rows.nbytes
        if self.dirty >= SYNC_BYTES or time.monotonic() - self.synced >= SYNC_SECONDS:
            self.sync()

    def _write_checksums(self, keep: int = 0) -> None:
        """Those of the batches before the last ``keep``."""
        while len(self.hashing) > keep:
            batch, digest = self.hashing.pop(0)
            write_at(self.handle, digest.result(), self.contents.checksums_offset + 32 * batch)

    def sync(self) -> None:
        """Has all rows so far on the disk, and then the word that they are."""
        if self.pending:
            self._with_room(self._write_checksums)
            sync_data(self.handle)
            self.mark(self.pending, True)
        self.pending, self.dirty, self.synced = [], 0, time.monotonic()

    def mark(self, batches: list[int], done: bool) -> None:
        """Sets the done map of some batches; a batch that is not done loses its checksum first."""
        for batch in batches:
            if not done:
                write_at(self.handle, bytes(32), self.contents.checksums_offset + 32 * batch)
            write_at(self.handle, bytes([done]), self.contents.done_offset + batch)

    def finish(self, path: Path) -> None:
        """Gives the file its final name; the caller has written every batch or proven it good."""
        self.sync()
        if self.contents.num_batches:
            write_at(self.handle, b"\1" * self.contents.num_batches, self.contents.done_offset)
        self.close()
        publish(self.path, path)

    def _with_room(self, act: Callable[[], None]) -> None:
        with enough_disk(self.path, self.contents.shape[0] * self.contents.row_bytes, self.fix):
            act()


def merge(writer: FeatureWriter, other: Path, missing: list[int]) -> list[int]:
    """Copies batches of the same images that are proven good in another file; returns the batches still missing."""
    ours, left = writer.contents, []
    with FeatureWriter(other, reserve=False) as source:
        theirs, good = source.contents, source.proven()
        for batch in missing:
            rows = slice(*ours.rows(batch))
            if batch < len(good) and good[batch] and ours.ids[rows] == theirs.ids[slice(*theirs.rows(batch))]:
                writer.write(batch, np.frombuffer(source.read(batch), ours.dtype).reshape(-1, *ours.shape[1:]))
            else:
                left.append(batch)
    return left


def storable(features: Tensor, dtype: str, ids: Sequence[str]) -> np.ndarray:
    """Features (B, ...) as ``dtype``; InputError, naming the image, where a value is not finite or does not fit."""
    limit = float(np.finfo(dtype).max)
    if features.is_complex():
        raise InputError("features", "real numbers", features.dtype)
    features = features.detach()
    if features.dtype not in (torch.float16, torch.float32, torch.float64):
        features = features.float()  # NumPy knows no bfloat16
    # the extremes tell in one pass; as numbers of Python, for in a half type the limit itself may round to Inf
    lowest, highest = map(float, features.aminmax()) if features.numel() else (0.0, 0.0)
    if not -limit <= lowest <= highest <= limit:  # NaN fails as well
        row = int((~(features.double().abs() <= limit)).flatten(1).any(dim=1).nonzero()[0])
        worst = float(features[row].abs().max())
        fix = "store float32 instead" if np.isfinite(worst) else "check the weights and the image"
        raise InputError(
            "features",
            f"finite values that {dtype} can hold (at most {limit:g})",
            f"{worst:g} in row {row} (image {ids[row]})",
            fix=fix,
        )
    return features.cpu().numpy().astype(dtype)

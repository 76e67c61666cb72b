"""Writes rows into a feature file. The process may be killed at any moment without damage to written batches.

:func:`mlgcn_pyg.features.format.create` creates the file with everything but its rows. Batches are then written in
place without HDF5, each followed by its checksum. After a crash, a batch is kept if its rows match its checksum,
whichever of the two reached the disk first.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.header import checksum
from mlgcn_pyg.features.reading import read_contents
from mlgcn_pyg.files.atomic import enough_disk, publish
from mlgcn_pyg.system import BINARY, preallocate, read_at, sync_data, write_at

SYNC_SECONDS = 10.0  # at most this many seconds of work are lost in a power failure
SYNC_BYTES = 1 << 28  # at most this many bytes of rows are not flushed
LARGE_BATCH = 1 << 20  # bytes; the checksums of larger batches are computed in threads and written a few batches later
KEPT = "free disk space and run again; finished batches are kept"


class FeatureWriter:
    """Writes batches of rows into a file that ``format.create`` has created. A context manager.

    Args:
        path: the unfinished file.
        reserve: whether to claim disk space for all rows at the start, so that a full disk is detected early.
        fix: the suggestion in the error for a full disk.

    Raises:
        InputError: if the file is not a feature file with checksums, or if the disk is full.
    """

    def __init__(self, path: Path, reserve: bool = True, fix: str = KEPT):
        self.path, self.contents, self.fix = path, read_contents(path, complete=False), fix
        if not self.contents.has_checksums:
            raise InputError("path", "a file with checksums, of format version 2", f"version 1 in {path}")
        self.pending: list[int] = []
        self.hashing: list[tuple[int, Future[bytes]]] = []
        self.dirty, self.synced = 0, time.monotonic()
        self.hasher = ThreadPoolExecutor(2)
        self.handle = os.open(path, os.O_RDWR | BINARY)
        self.closed = False
        size = self.contents.shape[0] * self.contents.row_bytes
        if size and reserve:
            try:
                self._with_room(lambda: preallocate(self.handle, self.contents.offset, size))
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self.closed:
                self.sync()
        except OSError:
            if kind is None:  # otherwise the error in the block is the cause
                raise
        finally:
            self.close()

    def close(self) -> None:
        """Closes the file without flushing it."""
        if not self.closed:
            self.hasher.shutdown()
            os.close(self.handle)
            self.closed = True

    def verified(self, progress: Callable[[int, str], None] | None = None) -> np.ndarray:
        """Reads all batches and returns (K,) bool: whether the rows of each batch match its checksum."""
        good = np.zeros(self.contents.num_batches, bool)
        for batch in np.flatnonzero(self.contents.checksums.any(axis=1)).tolist():
            good[batch] = checksum(self.read_batch(batch)) == self.contents.checksums[batch].tobytes()
            if progress:
                progress(self.contents.rows(batch)[1], "verifying")
        return good

    def read_batch(self, batch: int) -> bytes:
        """Reads the rows of a batch as bytes."""
        start, stop = self.contents.rows(batch)
        size = (stop - start) * self.contents.row_bytes
        return read_at(self.handle, size, self.contents.offset + start * self.contents.row_bytes)

    def write_batch(self, batch: int, rows: np.ndarray) -> None:
        """Writes the rows of a batch, and its checksum soon afterwards.

        Args:
            batch: the number of the batch.
            rows: (B, V, D), which must not change afterwards.

        Raises:
            ValueError: if the shape of ``rows`` is not that of the batch.
            InputError: if the disk is full.
        """
        start, stop = self.contents.rows(batch)
        shape = (stop - start, *self.contents.shape[1:])
        if rows.shape != shape:
            raise ValueError(f"rows of batch {batch} have shape {rows.shape} instead of {shape}")
        rows = np.ascontiguousarray(rows, self.contents.dtype)
        large = rows.nbytes >= LARGE_BATCH
        self.hashing.append((batch, self.hasher.submit(checksum, rows)))
        place = self.contents.offset + start * self.contents.row_bytes
        self._with_room(lambda: write_at(self.handle, rows.data, place))
        self._with_room(lambda: self._write_checksums(keep=4 if large else 0))
        self.pending.append(batch)
        self.dirty += rows.nbytes
        if self.dirty >= SYNC_BYTES or time.monotonic() - self.synced >= SYNC_SECONDS:
            self.sync()

    def _write_checksums(self, keep: int = 0) -> None:
        """Writes the checksums of all batches but the last ``keep``."""
        while len(self.hashing) > keep:
            batch, digest = self.hashing.pop(0)
            write_at(self.handle, digest.result(), self.contents.checksums_offset + 32 * batch)

    def sync(self) -> None:
        """Flushes all rows to the disk, then marks their batches as done."""
        if self.pending:
            self._with_room(self._write_checksums)
            sync_data(self.handle)
            for batch in self.pending:
                write_at(self.handle, b"\1", self.contents.done_offset + batch)
        self.pending, self.dirty, self.synced = [], 0, time.monotonic()

    def discard(self, batches: Sequence[int]) -> None:
        """Removes the checksums of batches, and then marks the batches as not done."""
        for batch in batches:
            write_at(self.handle, bytes(32), self.contents.checksums_offset + 32 * batch)
            write_at(self.handle, b"\0", self.contents.done_offset + batch)
        sync_data(self.handle)

    def finish(self, path: Path) -> None:
        """Marks all batches, which must be written or verified, as done, and renames the file to ``path``."""
        self.sync()
        if self.contents.num_batches:
            write_at(self.handle, b"\1" * self.contents.num_batches, self.contents.done_offset)
        self.close()
        publish(self.path, path)

    def _with_room(self, act: Callable[[], None]) -> None:
        with enough_disk(self.path, self.contents.shape[0] * self.contents.row_bytes, self.fix):
            act()


def merge(writer: FeatureWriter, path: Path, missing: list[int]) -> list[int]:
    """Copies verified batches of the same images from another file.

    Args:
        writer: the writer of the file that receives the batches.
        path: the other file.
        missing: the batches to copy.

    Returns:
        The batches that are still missing.
    """
    target, still_missing = writer.contents, []
    with FeatureWriter(path, reserve=False) as source:
        good = source.verified()
        for batch in missing:
            ids = target.ids[slice(*target.rows(batch))]
            if batch < len(good) and good[batch] and ids == source.contents.ids[slice(*source.contents.rows(batch))]:
                rows = np.frombuffer(source.read_batch(batch), target.dtype)
                writer.write_batch(batch, rows.reshape(-1, *target.shape[1:]))
            else:
                still_missing.append(batch)
    return still_missing


def storable(features: Tensor, dtype: str, ids: Sequence[str]) -> np.ndarray:
    """Converts features to the type in which they are stored.

    Args:
        features: (B, ...).
        dtype: ``"float16"`` or ``"float32"``.
        ids: B names of the images, for the error.

    Raises:
        InputError: if a value is not finite or too large for ``dtype``; the error names the image.
    """
    limit = float(np.finfo(dtype).max)
    if features.is_complex():
        raise InputError("features", "real numbers", features.dtype)
    features = features.detach()
    if features.dtype not in (torch.float16, torch.float32, torch.float64):
        features = features.float()  # NumPy has no bfloat16
    # one pass; compared as Python numbers, since float16 may round the limit to Inf
    lowest, highest = map(float, features.aminmax()) if features.numel() else (0.0, 0.0)
    if not -limit <= lowest <= highest <= limit:  # false for NaN too
        row = int((~(features.double().abs() <= limit)).flatten(1).any(dim=1).nonzero()[0])
        worst = float(features[row].abs().max())
        expected = f"finite values that {dtype} can hold (at most {limit:g})"
        fix = "store float32 instead" if np.isfinite(worst) else "check the weights and the image"
        raise InputError("features", expected, f"{worst:g} in row {row} (image {ids[row]})", fix)
    return features.cpu().numpy().astype(dtype)

"""The rows of a feature file: mapped into memory, or read into the memory of a device in one pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.header import Contents
from mlgcn_pyg.features.reading import identity

CHUNK = 1 << 26  # bytes that pass through pinned memory at a time


class Rows:
    """The location of the rows (N, V, D) of a feature file. The file is not kept open.

    Targets and names that were read earlier belong to the rows of that file only. Every method therefore raises an
    InputError if ``path`` has become a different file in the meantime.

    Args:
        path: the file.
        contents: what was read from it.
    """

    def __init__(self, path: Path, contents: Contents):
        self.path, self.identity = path, contents.identity
        self.shape, self.dtype, self.offset = contents.shape, contents.dtype, contents.offset

    @contextmanager
    def opened(self) -> Iterator[FileIO]:
        """Opens the file for reading, unbuffered."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                if identity(file.fileno()) == self.identity:
                    yield file
                    return
            found = f"a different file, which has replaced {self.path}"
        except FileNotFoundError:
            found = f"no file {self.path}"
        raise InputError("path", "the file that was opened", found, "open the cache again")

    def mapped(self) -> np.ndarray:
        """Maps the rows (N, V, D) into memory, read-only."""
        if not self.shape[0]:  # nothing to map
            return np.zeros(self.shape, self.dtype)
        with self.opened() as file:
            return np.memmap(file, self.dtype, "r", self.offset, self.shape)

    def read_into(self, out: Tensor) -> None:
        """Reads all rows into ``out``, which is faster than a copy of :meth:`mapped`.

        The rows reach a GPU through a buffer of pinned memory, so that the host never holds all rows.

        Args:
            out: (N, V, D), contiguous, of the file's dtype.
        """
        if not out.numel():
            return
        data, staged = out.view(-1).view(torch.uint8), out.device.type != "cpu"
        size = min(len(data), CHUNK) if staged else 0
        buffer = torch.empty(size, dtype=torch.uint8, pin_memory=out.device.type == "cuda")
        with self.opened() as file:
            file.seek(self.offset)
            for piece in data.split(CHUNK):
                self._read(file, buffer[: len(piece)] if staged else piece)
                if staged:
                    piece.copy_(buffer[: len(piece)])  # synchronous, since the next piece uses the same buffer

    def _read(self, file: FileIO, piece: Tensor) -> None:
        view = piece.numpy().data
        while len(view):
            count = file.readinto(view)
            if not count:
                raise InputError("path", "a complete file", f"{self.path}, which is truncated")
            view = view[count:]

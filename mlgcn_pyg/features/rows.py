"""The rows of a feature file: mapped into memory, or read into it, or into a GPU's, in one pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.format import Contents
from mlgcn_pyg.features.reading import identity

CHUNK = 1 << 26  # bytes that pass through pinned memory at a time


class Rows:
    """Where the rows (N, V, D) of the feature file at ``path`` lie; no handle is kept.

    What was read of the file before, its targets and names, goes with its own rows only. So every method raises
    InputError where another file has the name by now.
    """

    def __init__(self, path: Path, contents: Contents):
        self.path, self.identity = path, contents.identity
        self.shape, self.dtype, self.offset = contents.shape, contents.dtype, contents.offset

    @contextmanager
    def opened(self) -> Iterator[FileIO]:
        """The file, for reading; unbuffered."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                if identity(file.fileno()) == self.identity:
                    yield file
                    return
            found = f"another one under {self.path} by now"
        except FileNotFoundError:
            found = f"no file {self.path} any more"
        raise InputError("cache", "the file that was opened", found, "open the cache again")

    def mapped(self) -> np.ndarray:
        """(N, V, D), read-only."""
        if not self.shape[0]:  # nothing to map
            return np.zeros(self.shape, self.dtype)
        with self.opened() as file:
            return np.memmap(file, self.dtype, "r", self.offset, self.shape)

    def read_into(self, out: Tensor) -> None:
        """Fills ``out`` (N, V, D), contiguous and of the file's dtype; faster than copying out of a mapping.

        A GPU's memory is filled through one piece of pinned memory: the whole is never held on the host.
        """
        if not out.numel():
            return
        numbers, staged = out.view(-1).view(torch.uint8), out.device.type != "cpu"
        size = min(len(numbers), CHUNK) if staged else 0
        buffer = torch.empty(size, dtype=torch.uint8, pin_memory=out.device.type == "cuda")
        with self.opened() as file:
            file.seek(self.offset)
            for piece in numbers.split(CHUNK):
                self._read(file, buffer[: len(piece)] if staged else piece)
                if staged:
                    piece.copy_(buffer[: len(piece)])  # and waits: the next piece goes through the same memory

    def _read(self, file: FileIO, piece: Tensor) -> None:
        view = memoryview(piece.numpy())
        while len(view):
            count = file.readinto(view)
            if not count:
                raise InputError("cache", "a whole file", f"{self.path} cut short")
            view = view[count:]

"""Batches as worker processes send them.

A queue of worker processes pickles what it sends in a separate thread. If that fails, the thread prints a traceback,
and the main process waits for the batch forever. A parcel is pickled before it enters the queue.
"""

import pickle
import warnings
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch.multiprocessing  # noqa: F401  # registers how tensors are sent in shared memory
from torch import Tensor

from mlgcn_pyg.errors import Argument, InputError, first_line

_in_shared_memory = True  # of this worker process: whether its tensors can be sent that way
_warnings: list[tuple[str, type[Warning]]] = []  # of this worker process, since its last parcel


class Parcel:
    """A pickled batch, and the warnings of the worker process that made it.

    Args:
        content: the batch. If it cannot be sent, the parcel holds an InputError in its place.
    """

    def __init__(self, content: Any):
        self.warnings = list(_warnings)
        _warnings.clear()
        try:
            self.content: Any = _pickled(content)
        except Exception as error:  # pickling raises nearly anything
            expected = "batches that worker processes can send"
            fix = ("load without worker processes, ", Argument("num_workers", 0))
            self.content = pickle.dumps(InputError("num_workers", expected, first_line(error), fix))
        self.is_open = False

    def pin_memory(self) -> "Parcel":
        """Opens the parcel and copies its tensors to pinned memory. Data loaders call this in a thread of their own."""
        self.content, self.is_open = _pinned(self._unpickled()), True
        return self

    def open(self) -> Any:
        """Returns the batch, and repeats the warnings of the worker process.

        Raises:
            RuntimeError: if the worker process ended before its tensors were received.
        """
        for text, category in self.warnings:
            warnings.warn(text, category, stacklevel=3)
        return self.content if self.is_open else self._unpickled()

    def _unpickled(self) -> Any:
        try:
            return ForkingPickler.loads(self.content)
        except (OSError, EOFError) as error:
            raise RuntimeError(f"a DataLoader worker ended before its batch was received ({error})") from error


def collect_warnings() -> None:
    """Makes a worker process send its warnings with its parcels, to be shown once by the main process."""

    def collect(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        _warnings.append((str(message), category))

    warnings.showwarning = collect


def _pickled(content: Any) -> bytes:
    """The batch with its tensors in shared memory if that is possible, else with their values.

    Shared memory requires a free file descriptor per tensor, and a socket whose path, in the folder for temporary
    files, is at most 107 characters long.
    """
    global _in_shared_memory
    if _in_shared_memory:
        try:
            return bytes(ForkingPickler.dumps(content))
        except (OSError, RuntimeError):
            _in_shared_memory = False  # each failure would leave a file descriptor open
    return pickle.dumps(content, pickle.HIGHEST_PROTOCOL)


def _pinned(content: Any) -> Any:
    if isinstance(content, Tensor):
        return content.pin_memory()
    if isinstance(content, dict):
        return {key: _pinned(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)) and not hasattr(content, "_fields"):
        return type(content)(map(_pinned, content))
    return content

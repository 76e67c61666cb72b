"""The processes that ``torchrun`` or ``accelerate launch`` starts, and values that they share."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist

from mlgcn_pyg.errors import Argument, InputError, first_line

T = TypeVar("T")
PATIENCE = timedelta(days=7)  # a process may have to wait until another process has computed its images


class Ranks:
    """The rank of this process, and communication with the other processes of a launcher. A context manager.

    The processes exchange only small values, through gloo on every device. Without a launcher there is one process.

    Attributes:
        rank: number of this process, from 0 (``RANK``).
        size: number of processes (``WORLD_SIZE``).
        local_rank: number of this process on its machine (``LOCAL_RANK``).

    Raises:
        InputError: if ``WORLD_SIZE`` is above 1 and other environment variables of a launcher are missing.
    """

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self._group: Any = None  # torch returns a number instead of a group in processes outside the group
        self._started_here = False
        if self.size > 1:
            self._started_here = not dist.is_initialized()
            if self._started_here:
                _start()
            self._group = dist.new_group(backend="gloo", timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._started_here and dist.is_initialized():
            dist.destroy_process_group()

    def device(self, device: torch.device) -> torch.device:
        """Returns the device of this process: ``"cuda"`` stands for a different GPU in each process of a machine.

        Raises:
            InputError: if there are fewer GPUs than processes.
        """
        if device != torch.device("cuda"):
            return device
        if self.local_rank >= (count := torch.cuda.device_count()):
            found = f"{count} GPUs for process {self.local_rank} (from 0) of this machine"
            fix = ("start fewer processes, or pass ", Argument("device", "cpu"))
            raise InputError("device", "a GPU for every process", found, fix)
        return torch.device("cuda", self.local_rank)

    def share(self, make: Callable[[], T]) -> T:
        """Calls ``make()`` in the first process, and returns its result in all processes.

        An InputError that ``make`` raises is raised in all processes.
        """
        if self.size == 1:
            return make()
        result: list[Any] = list(_attempt(make)) if self.rank == 0 else [None, None]
        dist.broadcast_object_list(result, src=0, group=self._group)
        if result[1] is not None:
            raise result[1]
        shared: T = result[0]
        return shared

    def gather(self, make: Callable[[], T]) -> list[T]:
        """Calls ``make()`` in every process, and returns all results in the first process, none in the others.

        An InputError that ``make`` raises in one process is raised in all processes.
        """
        if self.size == 1:
            return [make()]
        result, error = _attempt(make)
        errors: list[InputError | None] = [None] * self.size
        dist.all_gather_object(errors, error, group=self._group)
        for raised in errors:
            if raised is not None:
                raise raised
        results: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(result, results, dst=0, group=self._group)
        return results or []

    def maximum(self, number: int) -> int:
        """Returns the maximum of ``number`` over all processes."""
        if self.size == 1:
            return number
        largest = torch.tensor(number)
        dist.all_reduce(largest, dist.ReduceOp.MAX, group=self._group)
        return int(largest)

    def barrier(self) -> None:
        """Waits until all processes have called this method."""
        if self.size > 1:
            dist.barrier(group=self._group)


def _start() -> None:
    try:
        dist.init_process_group("gloo", timeout=PATIENCE)
    except ValueError as error:  # a variable is missing
        expected, fix = "the other variables of a launcher too", "start with torchrun, or unset WORLD_SIZE"
        raise InputError("WORLD_SIZE", expected, first_line(error), fix) from error


def _attempt(make: Callable[[], T]) -> tuple[T | None, InputError | None]:
    """Returns the result of ``make()``, or the InputError that it raises."""
    try:
        return make(), None
    except InputError as error:
        return None, error

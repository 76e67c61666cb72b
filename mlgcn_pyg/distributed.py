"""The processes of a ``torchrun`` or ``accelerate launch``, and what they must agree on."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist

from mlgcn_pyg.errors import InputError, first_line

T = TypeVar("T")
PATIENCE = timedelta(days=7)  # a process may wait for the images of another


class Ranks:
    """This process among those that a launcher started; a context manager.

    Only small values are exchanged, over gloo on every device. Without a launcher there is one process.

    Attributes:
        rank: number of this process, from 0 (``RANK``).
        size: number of processes (``WORLD_SIZE``).
        local_rank: number of this process on its machine (``LOCAL_RANK``).

    Raises:
        InputError: if ``WORLD_SIZE`` is above 1 and the other variables of a launcher are missing.
    """

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self._group: Any = None  # torch returns a number instead of a group in processes outside it
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

    def share(self, make: Callable[[], T]) -> T:
        """Returns the result of ``make()`` on the first process to all processes.

        The others do not call ``make``. An InputError that it raises is raised in all processes.
        """
        if self.size == 1:
            return make()
        result: list[Any] = [None, None]
        if self.rank == 0:
            try:
                result[0] = make()
            except InputError as error:
                result[1] = error
        dist.broadcast_object_list(result, src=0, group=self._group)
        if result[1] is not None:
            raise result[1]
        shared: T = result[0]
        return shared

    def most(self, number: int) -> int:
        """Returns the largest of the processes' numbers to all processes."""
        if self.size == 1:
            return number
        largest = torch.tensor(number)
        dist.all_reduce(largest, dist.ReduceOp.MAX, group=self._group)
        return int(largest)

    def barrier(self) -> None:
        """Returns when all processes have called it."""
        if self.size > 1:
            dist.barrier(group=self._group)


def _start() -> None:
    try:
        dist.init_process_group("gloo", timeout=PATIENCE)
    except ValueError as error:  # a variable is missing
        fix = "start with torchrun, or unset WORLD_SIZE"
        raise InputError("WORLD_SIZE", "a launcher's other variables with it", first_line(error), fix) from error

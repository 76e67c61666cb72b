"""The processes of a ``torchrun`` or ``accelerate launch``, and what they must agree on."""

import os
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist

from mlgcn_pyg.errors import InputError, first_line


class Ranks:
    """This process among those that the launcher started (``RANK`` of ``WORLD_SIZE``); 0 of 1 without a launcher.

    Only small facts travel between them, over gloo, whatever the devices are. A context manager.
    """

    def __init__(self):
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self.group, self.ours = None, False
        if self.size > 1:
            patience = timedelta(days=7)  # a rank may wait for another's photographs
            self.ours = not dist.is_initialized()
            if self.ours:
                self._init(patience)
            self.group = dist.new_group(backend="gloo", timeout=patience)

    def _init(self, patience: timedelta) -> None:
        try:
            dist.init_process_group("gloo", timeout=patience)
        except ValueError as error:  # a variable is missing
            fix = "start with torchrun, or unset WORLD_SIZE"
            raise InputError("WORLD_SIZE", "a launcher's other variables with it", first_line(error), fix) from error

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(self, *_) -> None:
        if self.ours and dist.is_initialized():
            dist.destroy_process_group()

    def share(self, make: Callable):
        """The result of ``make()`` on the first process, everywhere; an InputError there is raised everywhere."""
        box = [None, None]
        if self.rank == 0:
            try:
                box[0] = make()
            except InputError as error:
                box[1] = error.args
                if self.size == 1:
                    raise
        if self.size > 1:
            dist.broadcast_object_list(box, src=0, group=self.group)
        if box[1] is not None:
            raise InputError(*box[1])
        return box[0]

    def most(self, number: int) -> int:
        """The largest of the processes' numbers, everywhere."""
        if self.size == 1:
            return number
        box = torch.tensor(number)
        dist.all_reduce(box, dist.ReduceOp.MAX, group=self.group)
        return int(box)

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier(group=self.group)

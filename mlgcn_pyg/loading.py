"""Batches from a data set, decoded by worker processes, whose errors and signals are those of the run."""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.system import obey_only, signals_blocked

ENDING = frozenset({signal.SIGINT, signal.SIGTERM})  # the signals that end a run


def load_batches(
    dataset: Dataset,
    *,
    batch_size: int | None = None,
    batches: Sequence[Sequence[int]] | None = None,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Any]:
    """Yields collated batches of a data set in order.

    Worker processes end with the run and not before it: launchers send signals to every process of a run, and the run
    still needs images to finish its step.

    Args:
        dataset: a map-style data set.
        batch_size: items per batch, in the order of the data set. None with ``batches=None`` yields single items.
        batches: the items of each batch, in place of ``batch_size``.
        num_workers: worker processes; 0 decodes in this process.
        pin_memory: copy batches to pinned memory.

    Raises:
        InputError: what the data set raised for an item, with its fields, from a worker process too.
    """
    guarded, single = _Guarded(dataset), batch_size is None and batches is None
    options = {"batch_size": batch_size} if batches is None else {"batch_sampler": batches}
    own = torch.Generator()  # the loader draws a number that nothing here depends on
    with signals_blocked(ENDING):  # workers start with these signals blocked
        loader: DataLoader = DataLoader(
            guarded,
            num_workers=num_workers,
            pin_memory=pin_memory,
            generator=own,
            collate_fn=_as_it_is if single else _collate,
            worker_init_fn=_follow_the_run,
            **options,
        )
        items = iter(loader)
    for item in items:
        if isinstance(item, InputError):
            raise item
        yield item


class _Guarded(Dataset):
    """A data set that returns the InputError of an item: torch would rebuild it from its text alone."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except InputError as error:
            return error


def _collate(items: list) -> Any:
    failed = next((item for item in items if isinstance(item, InputError)), None)
    return default_collate(items) if failed is None else failed


def _as_it_is(item: Any) -> Any:
    return item


def _follow_the_run(worker: int) -> None:
    """Ends this worker when its run ends it, and ignores signals from any other process."""
    run = multiprocessing.parent_process()
    if run is None or run.pid is None:
        raise RuntimeError("a worker without a process that started it")
    obey_only(run.pid, ENDING)

"""Loads batches in worker processes, which pass errors on with their fields and end when the run ends."""

import multiprocessing
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info

from mlgcn_pyg.allocator import keep_freed_memory
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.parcels import Parcel, collect_warnings
from mlgcn_pyg.system import ENDING, obey_only, signals_blocked
from mlgcn_pyg.typing import LabeledDataset


def load_batches(
    dataset: Dataset | LabeledDataset,
    *,
    batch_size: int | None = None,
    batches: Sequence[Sequence[int]] | None = None,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Any]:
    """Yields collated batches of a data set in order.

    Launchers send signals to every process of a run, but the run still needs batches to finish its step. Worker
    processes therefore ignore SIGINT and SIGTERM, except a SIGTERM that the run sends (see
    :func:`mlgcn_pyg.system.obey_only` for macOS and Windows).

    Args:
        dataset: a map-style data set.
        batch_size: items per batch, in the order of the data set. If ``batch_size`` and ``batches`` are both None,
            single items are yielded.
        batches: indices of the items of each batch; replaces ``batch_size``.
        num_workers: worker processes; 0 loads in this process.
        pin_memory: whether to copy batches to pinned memory.

    Raises:
        InputError: if the data set raises one for an item, also in a worker process; the fields are kept. Also if a
            worker process cannot send a batch.
    """
    guarded, single = _Guarded(dataset), batch_size is None and batches is None
    options = {"batch_size": batch_size} if batches is None else {"batch_sampler": batches}
    generator = torch.Generator()  # the loader draws a seed from it, and leaves torch's default generator unchanged
    with signals_blocked(ENDING):  # workers start with these signals blocked
        loader: DataLoader = DataLoader(
            guarded,
            num_workers=num_workers,
            pin_memory=pin_memory,
            generator=generator,
            collate_fn=_send_item if single else _send_batch,
            worker_init_fn=_follow_the_run,
            **options,
        )
        items = iter(loader)
    for received in items:
        item = received.open() if isinstance(received, Parcel) else received
        if isinstance(item, InputError):
            raise item
        yield item


class _Guarded(Dataset):
    """Returns the InputError of an item instead of raising it, since torch would keep only the error's text."""

    def __init__(self, dataset: Dataset | LabeledDataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except InputError as error:
            return error


def _send_batch(items: list) -> Any:
    failed = next((item for item in items if isinstance(item, InputError)), None)
    return _send_item(default_collate(items) if failed is None else failed)


def _send_item(item: Any) -> Any:
    return item if get_worker_info() is None else Parcel(item)


def _follow_the_run(worker: int) -> None:
    """Makes a worker process obey only the process that started it, and keep freed memory."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        raise RuntimeError("a worker process requires a parent process")
    obey_only(parent.pid, ENDING)
    keep_freed_memory()
    collect_warnings()

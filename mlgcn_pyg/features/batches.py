"""Yields features and targets in batches, from a device that holds all rows or streamed from a file in windows.

Both kinds of source give the same batches. The order of an epoch and the view of each image are functions of
(seed, epoch) alone (:mod:`mlgcn_pyg.features.epochs`), so that resuming an epoch requires only the number of the step.
A *row* is an index into the table (N·V, D) of all views of all images.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import psutil
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_finite, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.epochs import WINDOW, epoch_rows
from mlgcn_pyg.typing import RowSource

if TYPE_CHECKING:
    from mlgcn_pyg.features.cache import FeatureCache

GROUP = 64  # batches whose targets are gathered by one call
VIEWS = ("first", "mean")
ALL_VIEWS = "all"

Item = TypeVar("Item")
Value = TypeVar("Value")


class ResidentRows:
    """Features and targets that are held on a device. A batch is one gather, without any work per image.

    Args:
        features: (N, D) or (N, V, D).
        targets: (N, C) int8, on the same device.

    Attributes:
        features: (N·V, D).
        targets: (N, C).

    >>> source = ResidentRows(torch.arange(6.0).view(3, 2), torch.eye(3, dtype=torch.int8))
    >>> batches = list(source.batches(batch_size=2, seed=0, epoch=1))
    >>> [tuple(features.shape) for features, targets in batches], sum(targets.sum() for _, targets in batches).item()
    ([(2, 2), (1, 2)], 3)
    """

    def __init__(self, features: Tensor, targets: Tensor):
        features = features.unsqueeze(1) if features.dim() == 2 else features
        self.num_images, self.num_views, self.num_features = features.shape
        self.features, self.targets = features.flatten(0, 1), targets
        self.device = features.device

    def row_batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Yields the rows (B,) of each batch of an epoch, from batch ``start`` on.

        Every image occurs once per epoch, with one drawn view. The last batch may be shorter.
        """
        if self.num_images:
            rows = epoch_rows(self.num_images, self.num_views, seed, epoch).to(self.device)
            yield from rows.split(check_positive("batch_size", batch_size))[start:]

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features (B, D) as stored and targets (B, C). A CUDA graph can capture it."""
        return self.features.index_select(0, rows), self.targets.index_select(0, self._images(rows))

    def batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features (B, D) as stored and targets (B, C) of each batch of :meth:`row_batches`."""
        for group in self.row_batches(batch_size * GROUP, seed, epoch, start // GROUP):
            # targets are small, so one gather for many batches is faster
            group_targets = self.targets.index_select(0, self._images(group))
            pairs = zip(group.split(batch_size), group_targets.split(batch_size), strict=True)
            for rows, targets in islice(pairs, start % GROUP, None):
                yield self.features.index_select(0, rows), targets
            start = 0

    def blocks(self, views: str = "first", size: int = 8192) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features (n, D) and targets (n, C) of ``size`` images at a time, in the order of the images.

        Args:
            views: ``"first"`` takes view 0. ``"mean"`` averages all views, which for a linear classifier equals
                averaging its logits. ``"all"`` yields features (n, V, D).
            size: images per block.
        """
        check_choice("views", views, (*VIEWS, ALL_VIEWS))
        if self.num_images:
            for features, targets in zip(self._by_image().split(size), self.targets.split(size), strict=True):
                yield one_view(features, views), targets

    def sample(self, most_images: int) -> Tensor:
        """Returns features (n, V, D) of at most ``most_images`` evenly spaced images, on the CPU."""
        images = torch.from_numpy(_evenly_spaced(self.num_images, most_images))
        return self._by_image()[images.to(self.device)].cpu()

    def _images(self, rows: Tensor) -> Tensor:
        return rows if self.num_views == 1 else rows // self.num_views

    def _by_image(self) -> Tensor:
        return self.features.unflatten(0, (self.num_images, self.num_views))


class StreamedRows:
    """Features of a cache that is larger than memory, with the interface and the batches of :class:`ResidentRows`.

    One window of rows is on the device. Meanwhile, a thread reads the next window, into pinned memory for CUDA. A
    window is read in blocks of consecutive images, and its rows are put in order on the device.

    Args:
        cache: the feature cache.
        device: the device of the batches.
        window: number of rows on the device at a time; at least the batch size.

    Raises:
        InputError: when rows are read, if a batch is larger than the window, or if features are not finite.
    """

    def __init__(self, cache: "FeatureCache", device: str | torch.device = "cpu", window: int = WINDOW):
        self.cache, self.device, self.window = cache, torch.device(device), check_positive("window", window)
        self.num_images, self.num_views, self.num_features = cache.features.shape
        self.targets = cache.targets
        dtype = torch.from_numpy(np.zeros(0, cache.features.dtype)).dtype
        size = min(window, self.num_images)
        # fixed storage: a captured CUDA graph gathers from these addresses
        self._window_rows = ResidentRows(
            torch.zeros(size, self.num_features, dtype=dtype, device=self.device),
            torch.zeros(size, self.targets.size(1), dtype=torch.int8, device=self.device),
        )

    def row_batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Yields the rows (B,) of each batch, valid until the next batch is requested."""
        if check_positive("batch_size", batch_size) > self.window:
            raise InputError("batch_size", f"at most {self.window} if features are streamed", batch_size)
        if not self.num_images:
            return
        steps = self.window // batch_size  # per window
        rows_of_epoch = epoch_rows(self.num_images, self.num_views, seed, epoch)
        windows = rows_of_epoch.split(steps * batch_size)[start // steps :]
        skipped = start % steps
        for features, targets, rows in _read_ahead(self._read, windows):
            self._window_rows.features[: len(rows)].copy_(features, non_blocking=True)
            self._window_rows.targets[: len(rows)].copy_(targets, non_blocking=True)
            yield from rows.to(self.device).split(batch_size)[skipped:]
            skipped = 0

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features (B, D) as stored and targets (B, C). A CUDA graph can capture it."""
        return self._window_rows.gather(rows)

    def batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features (B, D) as stored and targets (B, C) of each batch of :meth:`row_batches`."""
        return map(self.gather, self.row_batches(batch_size, seed, epoch, start))

    def blocks(self, views: str = "first", size: int = 8192) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features (n, D) and targets (n, C) in the order of the images; see :meth:`ResidentRows.blocks`."""
        check_choice("views", views, (*VIEWS, ALL_VIEWS))
        starts = range(0, self.num_images, size)
        for features, targets in _read_ahead(lambda start: self._read_slice(start, start + size), starts):
            yield one_view(features.to(self.device), views), targets.to(self.device)

    def sample(self, most_images: int) -> Tensor:
        """Returns features (n, V, D) of at most ``most_images`` evenly spaced images, on the CPU."""
        return torch.from_numpy(self.cache.features[_evenly_spaced(self.num_images, most_images)])

    def _read_slice(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        features = torch.from_numpy(np.array(self.cache.features[start:stop]))
        self._check(features, torch.arange(start, start + len(features)))
        return features, self.targets[start:stop]

    def _read(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns features and targets in the order of the file, and the position of each row of ``rows`` in them."""
        rows, order = rows.sort()
        images, views = rows // self.num_views, rows % self.num_views
        array = self.cache.features
        if isinstance(array, np.ndarray):
            features = torch.from_numpy(array[images.numpy(), views.numpy()])
        else:  # several joined files, which are indexed by image only
            features = torch.from_numpy(array[images.numpy()][np.arange(len(images)), views.numpy()])
        self._check(features, images)
        targets = self.targets[images]
        if self.device.type == "cuda":
            features, targets = features.pin_memory(), targets.pin_memory()
        return features, targets, torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))

    def _check(self, features: Tensor, images: Tensor) -> None:
        check_finite("cache", features, rows=images, place=f" in {self.cache.path}")


def open_rows(cache: "FeatureCache", device: str | torch.device = "cpu", stream: bool | None = None) -> RowSource:
    """Opens the rows of a cache on ``device``: streamed if they exceed half of the free memory, else resident.

    Args:
        cache: the feature cache.
        device: the device of the batches.
        stream: True streams the rows, False loads them. Both give the same batches. Default: depends on free memory.

    Raises:
        InputError: if features are not finite.
    """
    device = torch.device(device)
    if stream is None:
        size = int(np.prod(cache.features.shape)) * np.dtype(cache.features.dtype).itemsize
        free = psutil.virtual_memory().available  # a loaded cache passes through the machine's memory in any case
        if device.type == "cuda":
            free = min(free, torch.cuda.mem_get_info(device)[0])
        stream = size > free / 2
    if stream:
        return StreamedRows(cache, device)
    features, targets = cache.load(device)
    check_finite("cache", features, place=f" in {cache.path}")
    return ResidentRows(features, targets)


def one_view(features: Tensor, views: str) -> Tensor:
    """Returns the first view (n, D) of features (n, V, D) as stored, or the mean of all views in at least float32.

    If ``views`` is ``"all"``, it returns ``features``.
    """
    if check_choice("views", views, (*VIEWS, ALL_VIEWS)) == ALL_VIEWS:
        return features
    if views == "first" or features.size(1) == 1:
        return features[:, 0]
    return features.to(torch.promote_types(features.dtype, torch.float32)).mean(dim=1)


def _evenly_spaced(count: int, most: int) -> np.ndarray:
    return np.arange(0, count, max(1, -(-count // most)))


def _read_ahead(read: Callable[[Item], Value], items: Iterable[Item]) -> Iterator[Value]:
    """Yields ``read(item)`` for each item; a thread reads the next item while the caller uses this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        reading = None
        for item in items:
            done, reading = reading, pool.submit(read, item)
            if done is not None:
                yield done.result()
        if reading is not None:
            yield reading.result()

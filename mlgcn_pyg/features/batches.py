"""Shuffled batches at the speed of memory: from a device that holds every row, or streamed in windows of rows.

The order of an epoch and the view of each image are functions of (seed, epoch) alone. So a streamed pass is the loaded
pass, batch for batch, and going on in the middle of an epoch needs the number of the step and nothing else.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch
from torch import Tensor

from mlgcn_pyg.checks import all_finite, check_choice, check_finite, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.seeding import derived_seed

if TYPE_CHECKING:
    from mlgcn_pyg.features.cache import FeatureCache

BLOCK = 32  # neighbouring rows that travel together, so that a disk reads runs and not single rows
WINDOW = 16_384  # rows shuffled among each other: what streaming holds in memory (64 MiB of float16 at D = 2048)
RUN = 64  # batches whose targets are gathered together
VIEWS = ("first", "mean")


def epoch_order(num_rows: int, seed: int, epoch: int) -> Tensor:
    """The order (N,) in which an epoch sees the rows: a permutation that depends on (seed, epoch) alone.

    Up to 16,384 rows it is uniform. Beyond that, blocks of 32 neighbours are shuffled, and the rows within each window
    of 16,384, so that a window can be read in runs.

    >>> epoch_order(5, seed=0, epoch=1).sort().values.tolist()
    [0, 1, 2, 3, 4]
    """
    generator = _generator("order", seed, epoch)
    if num_rows <= WINDOW:
        return torch.randperm(num_rows, generator=generator)
    blocks = torch.randperm(-(-num_rows // BLOCK), generator=generator)
    rows = (blocks.view(-1, 1) * BLOCK + torch.arange(BLOCK)).flatten()
    rows = rows[rows < num_rows]
    return torch.cat([window[torch.randperm(len(window), generator=generator)] for window in rows.split(WINDOW)])


def epoch_views(num_rows: int, num_views: int, seed: int, epoch: int) -> Tensor:
    """The view (N,) in 0…V−1 that an epoch takes of each row, drawn uniformly from (seed, epoch) alone."""
    return torch.randint(num_views, (num_rows,), generator=_generator("views", seed, epoch))


def _generator(what: str, seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed(what, seed, epoch))


class Resident:
    """Features and targets that lie on one device; a batch is a gather by rows, without any work per image.

    Args:
        features: (N, D) or (N, V, D). targets: (N, C) int8 on the same device.

    >>> source = Resident(torch.arange(6.0).view(3, 2), torch.eye(3, dtype=torch.int8))
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
        """Rows (B,) for :meth:`gather`: every image once, the last batch shorter, from batch ``start`` on."""
        if self.num_images:
            rows = _drawn(self.num_images, self.num_views, seed, epoch).to(self.device)
            yield from rows.split(check_positive("batch_size", batch_size))[start:]

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) as stored and targets (B, C); on CUDA it may be captured in a graph."""
        images = rows if self.num_views == 1 else rows // self.num_views
        return self.features.index_select(0, rows), self.targets.index_select(0, images)

    def batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Features (B, D) as stored and targets (B, C) of one shuffled pass, one view drawn per image."""
        for rows in self.row_batches(batch_size * RUN, seed, epoch, start // RUN):
            # targets are small: many batches of them are gathered at once and cut
            targets = self.targets.index_select(0, rows if self.num_views == 1 else rows // self.num_views)
            parts = zip(rows.split(batch_size), targets.split(batch_size), strict=True)
            for own, known in islice(parts, start % RUN, None):
                yield self.features.index_select(0, own), known
            start = 0

    def blocks(self, views: str = "first", rows: int = 8192) -> Iterator[tuple[Tensor, Tensor]]:
        """The images in their own order: view 0, or the mean of all views, which for a linear classifier is the mean
        of its logits. Features (n, D), targets (n, C)."""
        features = self.features.unflatten(0, (self.num_images, self.num_views))
        if not self.num_images:
            check_choice("views", views, VIEWS)
            return
        for block, targets in zip(features.split(rows), self.targets.split(rows), strict=True):
            yield one_view(block, views), targets

    def sample(self, most_rows: int) -> Tensor:
        """At most so many images (n, V, D), evenly spaced, on the CPU."""
        features = self.features.unflatten(0, (self.num_images, self.num_views))
        return features[torch.from_numpy(_spaced(self.num_images, most_rows)).to(self.device)].cpu()


class Streamed:
    """A cache larger than memory with the face of :class:`Resident`, and the same batches.

    One window of rows is on the device; a thread reads the next one meanwhile (into pinned memory for CUDA). Every
    window is read in runs of at least 32 neighbouring images and put in order on the device.

    Args:
        cache: the file.
        device: where batches are wanted.
        window: rows held at a time, at least one batch.

    Raises:
        InputError: a batch larger than the window; NaN or Inf features, when they are read.
    """

    def __init__(self, cache: "FeatureCache", device: str | torch.device = "cpu", window: int = WINDOW):
        self.cache, self.device, self.window = cache, torch.device(device), check_positive("window", window)
        self.num_images, self.num_views, self.num_features = cache.features.shape
        self.targets = cache.targets
        dtype = torch.from_numpy(np.zeros(0, cache.features.dtype)).dtype
        held = min(window, self.num_images)
        # fixed storage: a CUDA graph gathers from these addresses
        self._held = Resident(
            torch.zeros(held, self.num_features, dtype=dtype, device=self.device),
            torch.zeros(held, self.targets.size(1), dtype=torch.int8, device=self.device),
        )

    def row_batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Rows (B,) for :meth:`gather`, good until the next ones are asked for; see :class:`Resident`."""
        if check_positive("batch_size", batch_size) > self.window:
            raise InputError("batch_size", f"at most {self.window} where features are streamed", batch_size)
        if not self.num_images:
            return
        steps = self.window // batch_size  # of one window
        windows = _drawn(self.num_images, self.num_views, seed, epoch).split(steps * batch_size)[start // steps :]
        skip = start % steps
        for features, targets, rows in _ahead(self._read, windows):
            self._held.features[: len(rows)].copy_(features, non_blocking=True)
            self._held.targets[: len(rows)].copy_(targets, non_blocking=True)
            yield from rows.to(self.device).split(batch_size)[skip:]
            skip = 0

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self._held.gather(rows)

    def batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        return map(self.gather, self.row_batches(batch_size, seed, epoch, start))

    def blocks(self, views: str = "first", rows: int = 8192) -> Iterator[tuple[Tensor, Tensor]]:
        starts = range(0, self.num_images, rows)
        for block, targets in _ahead(lambda start: self._slice(start, start + rows), starts):
            yield one_view(block.to(self.device), views), targets.to(self.device)

    def sample(self, most_rows: int) -> Tensor:
        return torch.from_numpy(self.cache.features[_spaced(self.num_images, most_rows)])

    def _slice(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        block = torch.from_numpy(np.array(self.cache.features[start:stop]))
        return self._checked(block, torch.arange(start, start + len(block))), self.targets[start:stop]

    def _read(self, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features and targets of drawn rows in the order of the file, and where each drawn row is among them."""
        drawn, order = drawn.sort()
        images, views = drawn // self.num_views, drawn % self.num_views
        stored = self.cache.features
        if isinstance(stored, np.ndarray):
            taken = stored[images.numpy(), views.numpy()]
        else:  # several files as one know rows only
            taken = stored[images.numpy()][np.arange(len(images)), views.numpy()]
        features, targets = self._checked(torch.from_numpy(taken), images), self.targets[images]
        if self.device.type == "cuda":
            features, targets = features.pin_memory(), targets.pin_memory()
        return features, targets, torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))

    def _checked(self, features: Tensor, images: Tensor) -> Tensor:
        if not all_finite(features):
            bad = ~features.flatten(1).isfinite().all(dim=1)
            found = f"NaN or Inf in {int(bad.sum())} of {len(bad)} rows, the first is row {int(images[bad][0])}"
            raise InputError(f"features of {self.cache.path}", "finite numbers", found)
        return features


def open_batches(
    cache: "FeatureCache", device: str | torch.device = "cpu", stream: bool | None = None
) -> Resident | Streamed:
    """A cache as batches on ``device``: loaded, or streamed where it would take over half of the free memory.

    Args:
        stream: True or False to decide it. Both give the same batches.
    """
    device = torch.device(device)
    if stream is None:
        size = int(np.prod(cache.features.shape)) * np.dtype(cache.features.dtype).itemsize
        free = psutil.virtual_memory().available  # a loaded cache passes through the machine's memory in any case
        if device.type == "cuda":
            free = min(free, torch.cuda.mem_get_info(device)[0])
        stream = size > free / 2
    if stream:
        return Streamed(cache, device)
    features, targets = cache.load(device)
    check_finite(f"features of {cache.path}", features)
    return Resident(features, targets)


def one_view(block: Tensor, views: str) -> Tensor:
    """(n, V, D) → (n, D): the first view as stored, or the mean of all in float32 at least."""
    if check_choice("views", views, VIEWS) == "first" or block.size(1) == 1:
        return block[:, 0]
    return block.to(torch.promote_types(block.dtype, torch.float32)).mean(dim=1)


def _drawn(num_images: int, num_views: int, seed: int, epoch: int) -> Tensor:
    """Rows (N,) of an (N·V, D) table in the order of the epoch, each with the view it drew."""
    order = epoch_order(num_images, seed, epoch)
    if num_views == 1:
        return order
    return order * num_views + epoch_views(num_images, num_views, seed, epoch)[order]


def _spaced(count: int, most: int) -> np.ndarray:
    return np.arange(0, count, max(1, -(-count // most)))


def _ahead(read: Callable, items: Iterable) -> Iterator:
    """``read(item)`` for each item, the next one read by a thread while this one is worked on."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        reading = None
        for item in items:
            done, reading = reading, pool.submit(read, item)
            if done is not None:
                yield done.result()
        if reading is not None:
            yield reading.result()

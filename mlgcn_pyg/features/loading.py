"""Photographs as batches of views, decoded by worker processes if there are any."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.loading import load_batches
from mlgcn_pyg.seeding import seeded


class ImageBatchError(InputError):
    """An item that could not be read, however far down the loader it happened."""


class Views(Dataset):
    """Item n is image n as (V, 3, height, width): the data set's own transform first, then ``view_transform``.

    The random numbers of view v are those of (seed, id of the image, v): they depend on no worker, order or batch.
    """

    def __init__(self, dataset: Dataset, views: int = 1, view_transform: Callable | None = None, seed: int = 0):
        if views > 1 and (view_transform is None or not hasattr(dataset, "image")):
            found = "none" if view_transform is None else f"a {type(dataset).__name__} without it"
            raise InputError("views", "view_transform, and a data set with image(index)", found, fix="give both")
        self.dataset, self.views, self.view_transform = dataset, views, view_transform
        self.seed = seed if views > 1 else 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Tensor:
        if self.views == 1:  # any data set will do
            return self._view(index, 0, lambda: self.dataset[index][0])[None]
        image = self.dataset.image(index)
        plain = self._view(index, 0, lambda: self.dataset.transform(image))
        others = [self._view(index, v, lambda: self.view_transform(image)) for v in range(1, self.views)]
        return torch.stack([plain, *others])

    def _view(self, index: int, view: int, make: Callable) -> Tensor:
        with seeded(self.seed, self.dataset.ids[index], view):
            picture = make()
        if not isinstance(picture, Tensor):
            raise InputError("transform", "a tensor from every image", type(picture).__name__, "use eval_transform")
        return picture


def image_batches(
    views: Views, batches: Sequence[Sequence[int]], num_workers: int, pin_memory: bool
) -> Iterator[Tensor]:
    """Yields (B, V, 3, height, width) for each list of items, in order."""
    try:
        yield from load_batches(views, batches=batches, num_workers=num_workers, pin_memory=pin_memory)
    except InputError as error:
        raise ImageBatchError(*error.args) from error


class _Problems(Dataset):
    """Item k is None if the data set's item k can be read, else the reason why not."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> str | None:
        try:
            self.dataset[index]
        except InputError as error:
            return str(error)
        return None


def broken_images(
    dataset: Dataset, num_workers: int = 0, progress: Callable[[int, str], None] | None = None
) -> dict[int, str]:
    """The items that cannot be read, {index: reason}; every image is decoded to find out."""
    broken = {}
    for row, reason in enumerate(DataLoader(_Problems(dataset), batch_size=None, num_workers=num_workers)):
        if reason is not None:
            broken[row] = reason
        if progress:
            progress(row + 1, f"looking for images that do not decode: {len(broken)}")
    return broken


def broken_error(dataset: Dataset, broken: dict[int, str]) -> InputError:
    """The refusal that names and counts them."""
    named = [dataset.ids[row] for row in broken]
    listed = ", ".join(named[:5]) + (", …" if len(named) > 5 else "")
    first = next(iter(broken.values()), "none when read again")
    return InputError(
        "dataset",
        f"{len(dataset)} images that decode",
        f"{len(broken)} that do not: {listed} (the first: {first})",
        fix="mend or remove them, or skip them with on_error='skip' (--on-error skip)",
    )

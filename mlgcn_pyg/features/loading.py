"""Loads images as batches of views, optionally in worker processes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.loading import load_batches
from mlgcn_pyg.seeding import seeded
from mlgcn_pyg.typing import LabeledDataset

Progress = Callable[[int, str], None]


class Views(Dataset[Tensor]):
    """The views (V, 3, height, width) of each image.

    View 0 is the result of the data set's transform, the others are results of ``view_transform``. The random numbers
    of view v depend only on the seed, the id of the image and v, not on the worker, the order or the batch.

    Args:
        dataset: the images. Several views require a method ``image(index)`` that returns the untransformed image.
        views: V.
        view_transform: a transform of a PIL image to a tensor. Required for several views.
        seed: seed of the views.

    Raises:
        InputError: if ``views`` > 1 without ``view_transform``, or without the method ``image``.
    """

    def __init__(
        self,
        dataset: LabeledDataset,
        views: int = 1,
        view_transform: Callable[[Any], Tensor] | None = None,
        seed: int = 0,
    ):
        if views > 1 and (view_transform is None or not hasattr(dataset, "image")):
            found = "no view_transform" if view_transform is None else f"a {type(dataset).__name__} without image()"
            expected = "view_transform, and a dataset with a method image(index), for several views"
            raise InputError("views", expected, found)
        self.dataset, self.views, self.view_transform = dataset, views, view_transform
        self.seed = seed if views > 1 else 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Tensor:
        if self.views == 1 or self.view_transform is None:  # works with any data set
            return self._view(index, 0, lambda _: self.dataset[index][0], None)[None]
        image = self.dataset.image(index)  # type: ignore[attr-defined]  # checked above
        transforms = [self.dataset.transform or _untransformed, *[self.view_transform] * (self.views - 1)]
        return torch.stack([self._view(index, v, transform, image) for v, transform in enumerate(transforms)])

    def _view(self, index: int, view: int, transform: Callable[[Any], Any], image: Any) -> Tensor:
        with seeded(self.seed, self.dataset.ids[index], view):
            transformed = transform(image)
        if not isinstance(transformed, Tensor):
            argument, fix = ("view_transform", "train_transform") if view else ("dataset", "eval_transform")
            raise InputError(argument, "images as tensors", type(transformed).__name__, f"use {fix}")
        return transformed


def _untransformed(image: Any) -> Any:
    return image


def image_batches(
    views: Views, batches: Sequence[Sequence[int]], num_workers: int, pin_memory: bool, progress: Progress | None = None
) -> Iterator[Tensor]:
    """Yields (B, V, 3, height, width) for each list of image numbers, in order.

    Raises:
        InputError: if an image cannot be decoded. All images are then decoded, so that the error names and counts the
            images that cannot be decoded.
    """
    try:
        yield from load_batches(views, batches=batches, num_workers=num_workers, pin_memory=pin_memory)
    except InputError as error:
        broken = broken_images(views.dataset, num_workers, progress)
        if not broken:  # the error is not about an image, or the image can be decoded now
            raise
        raise broken_error(views.dataset, broken) from error


class _Problems(Dataset[str | None]):
    """Item k is None if the image with index ``rows[k]`` can be decoded, else the error message."""

    def __init__(self, dataset: LabeledDataset, rows: Sequence[int]):
        self.dataset, self.rows = dataset, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> str | None:
        try:
            self.dataset[self.rows[index]]
        except InputError as error:
            return str(error)
        return None


def broken_images(
    dataset: LabeledDataset, num_workers: int = 0, progress: Progress | None = None, rows: Sequence[int] | None = None
) -> dict[int, str]:
    """Decodes images and returns those that cannot be decoded, as {row: reason}.

    Args:
        dataset: the images.
        num_workers: worker processes that decode; 0 decodes in this process.
        progress: a function that is called after each image with the number of images so far and a description.
        rows: the indices of the images to decode. Default: all images.
    """
    rows = range(len(dataset)) if rows is None else rows
    reasons = load_batches(_Problems(dataset, rows), num_workers=num_workers)
    broken = {}
    for count, (row, reason) in enumerate(zip(rows, reasons, strict=True), 1):
        if reason is not None:
            broken[row] = reason
        if progress:
            progress(count, f"looking for images that cannot be decoded: {len(broken)}")
    return broken


def broken_error(dataset: LabeledDataset, broken: dict[int, str]) -> InputError:
    """Returns the error that names and counts the images that cannot be decoded."""
    names = [dataset.ids[row] for row in broken]
    listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    first = next(iter(broken.values()))
    found = f"{len(broken)} of {len(dataset)} that cannot be decoded: {listed} (the first: {first})"
    fix = ("fix or remove them, or skip them with ", Argument("on_error", "skip"))
    return InputError("dataset", "images that can be decoded", found, fix)

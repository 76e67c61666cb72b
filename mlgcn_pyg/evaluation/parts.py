"""Folds of images, and parts of the entries of each label, for what is fitted to all others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.stratification import stratified_folds


@dataclass(frozen=True, eq=False)
class FittedPart:
    """A fold.

    Attributes:
        held_out: the numbers of the images of the fold.
        fitted: the numbers of all other images.
    """

    held_out: NDArray[np.int64]
    fitted: NDArray[np.int64]


def fitted_parts(targets: Tensor, folds: int, seed: int) -> Iterator[FittedPart]:
    """Yields the stratified folds of N images, at most one per image. A single image is held out from none.

    Raises:
        InputError: if ``folds`` is not an integer ≥ 2.
    """
    check_folds(folds)
    images = np.arange(len(targets))
    if len(images) < 2:
        yield FittedPart(images, images[:0])
        return
    for fold in stratified_folds(targets, min(folds, len(targets)), seed=seed):
        yield FittedPart(fold, np.setdiff1d(images, fold, assume_unique=True))


def parts_per_label(targets: Tensor, folds: int) -> Tensor:
    """Returns the part (N, C) of each entry: the r-th positive of a label is in part r mod ``folds``, as negatives.

    >>> import torch
    >>> parts_per_label(torch.tensor([[1], [0], [1], [0], [0]]), 2).flatten().tolist()
    [0, 0, 1, 1, 0]
    """
    positive = targets == 1
    rank = torch.where(positive, positive.cumsum(dim=0), (~positive).cumsum(dim=0)) - 1
    return rank % folds


def check_folds(folds: int) -> int:
    """Returns ``folds`` if it is an integer ≥ 2.

    Raises:
        InputError: if it is not.
    """
    if check_positive("folds", folds) < 2:
        raise InputError("folds", "an integer ≥ 2", folds)
    return folds

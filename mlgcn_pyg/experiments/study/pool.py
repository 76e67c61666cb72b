"""The images of all parts of a study, numbered one after another."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.labels import check_same_labels

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pool:
    """The images of several caches, of which each follows the last.

    Attributes:
        caches: the caches, with features of equal width.
    """

    caches: tuple[FeatureCache, ...]

    def __len__(self) -> int:
        return sum(map(len, self.caches))

    @property
    def num_features(self) -> int:
        """The width D of the features."""
        return self.caches[0].num_features

    @property
    def ids(self) -> list[str]:
        """The names of the images."""
        return [name for cache in self.caches for name in cache.ids]

    @property
    def targets(self) -> Tensor:
        """(N, C) int8."""
        return torch.cat([cache.targets for cache in self.caches])

    @property
    def starts(self) -> list[int]:
        """The number of the first image of each cache."""
        return [0, *np.cumsum([len(cache) for cache in self.caches])[:-1].tolist()]

    def views(self, rows: Indices) -> Tensor:
        """Returns all views (n, V, D) float32 of images, whose ascending numbers are ``rows``, from one cache."""
        (found,) = self._read(rows)
        return torch.from_numpy(found.astype(np.float32))

    def first_views(self, rows: Indices) -> Tensor:
        """Returns the first views (n, D) float32 of images, whose ascending numbers are ``rows``."""
        return torch.from_numpy(np.concatenate([found[:, 0] for found in self._read(rows)]).astype(np.float32))

    def _read(self, rows: Indices) -> list[NDArray[np.floating]]:
        """Returns the features of images, cache by cache."""
        found = []
        for cache, start in zip(self.caches, self.starts, strict=True):
            inside = rows[(rows >= start) & (rows < start + len(cache))]
            if len(inside):
                found.append(cache.features[inside - start])
        return found


def check_caches(caches: Mapping[str, FeatureCache]) -> None:
    """Checks that caches, by the names of arguments, have the same labels and width, images, and no images in common.

    Raises:
        InputError: if they do not.
    """
    first_name, first = next(iter(caches.items()))
    for name, cache in caches.items():
        check_same_labels(name, cache.label_names, first.label_names, f"the features {first_name}")
        if not len(cache):
            raise InputError(name, "at least one image", "none")
        if cache.num_features != first.num_features:
            expected = f"features of width {first.num_features}, as in {first_name}"
            raise InputError(name, expected, f"width {cache.num_features}")
    first_with: dict[str, str] = {}
    for name, cache in caches.items():
        if (other := first_with.setdefault(cache.digest(), name)) != name:
            raise InputError(name, f"other images than {other}", "the same")


def check_positives(name: str, targets: Tensor) -> None:
    """Checks that an image has a label.

    Raises:
        InputError: if none has.
    """
    if not (targets == 1).any():
        raise InputError(name, "an image with at least one label, since mAP is undefined without", "none")

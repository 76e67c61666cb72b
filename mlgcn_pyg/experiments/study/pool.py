"""The images of all parts of a study, numbered one after another."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlgcn_pyg.features import FeatureCache

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

"""Features on disk, read at the speed of the disk."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import bad_input, check_finite, check_positive
from mlgcn_pyg.features import format
from mlgcn_pyg.files import atomic_path, existing_file


class FeatureCache:
    """The image features of a data set with its targets: a file in :mod:`mlgcn_pyg.features.format`.

    No file handle is kept: a cache may be pickled, forked and read from many processes.

    Args:
        path: the ``.h5`` file.

    Attributes:
        features: (N, V, D) float16 or float32, mapped into memory, read-only.
        targets: (N, C) int8. label_names: C strings. ids: N strings. meta: provenance.

    Raises:
        InputError: a missing, foreign, newer, cut or inconsistent file.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "tiny.h5")
    >>> cache = FeatureCache.from_arrays(path, torch.ones(2, 4), [[1, 0], [0, -1]], ["a", "b"])
    >>> cache
    FeatureCache(2 images, 1 view, 4 features, 2 labels)
    >>> [features.shape for features, targets in cache.batches(2)]
    [torch.Size([2, 4])]
    """

    def __init__(self, path: str | Path):
        self.path = existing_file("cache", path)
        contents = format.read(self.path)
        self.targets = torch.from_numpy(contents.targets)
        self.label_names, self.ids, self.meta = contents.label_names, contents.ids, contents.meta
        if contents.offset is None:  # no row, nothing to map
            self.features = np.zeros(contents.shape, contents.dtype)
        else:
            self.features = np.memmap(self.path, contents.dtype, "r", contents.offset, contents.shape)

    @classmethod
    def from_arrays(
        cls,
        path: str | Path,
        features,
        targets,
        label_names: Sequence[str],
        *,
        ids: Sequence[str] | None = None,
        dtype: str = "float16",
        meta: dict | None = None,
    ) -> "FeatureCache":
        """Writes features (N, D) or (N, V, D) of any origin to ``path`` and opens it.

        ``ids`` are the row numbers by default. Raises InputError for NaN or Inf, values that ``dtype`` cannot hold,
        and whatever does not fit together.
        """
        features = torch.as_tensor(features)
        features = features.unsqueeze(1) if features.dim() == 2 else features
        if features.dim() != 3:
            raise bad_input("features", "shape (N, D) or (N, V, D)", f"shape {tuple(features.shape)}")
        ids = [str(row) for row in range(len(features))] if ids is None else list(ids)
        with atomic_path(path) as partial:
            rows = format.create(partial, tuple(features.shape), dtype, targets, label_names, ids, meta or {})
            with rows.file:
                if len(features):
                    rows[...] = storable(features, dtype, ids)
        return cls(path)

    @property
    def num_images(self) -> int:
        return self.features.shape[0]

    @property
    def num_views(self) -> int:
        return self.features.shape[1]

    @property
    def num_features(self) -> int:
        return self.features.shape[2]

    @property
    def num_labels(self) -> int:
        return len(self.label_names)

    def __len__(self) -> int:
        return self.num_images

    def __reduce__(self):
        return type(self), (self.path,)  # the other process maps the file itself

    def load(self, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
        """Features (N, V, D) as stored and targets (N, C) int8 on ``device``, in one pass over the file.

        Raises InputError, naming the rows, for NaN or Inf features.
        """
        features = torch.from_numpy(np.array(self.features)).to(device)
        check_finite(f"features of {self.path}", features)
        return features, self.targets.to(device)

    def batches(
        self,
        batch_size: int,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        device: str | torch.device = "cpu",
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features (B, D) float32 of view 0 and targets (B, C) int8; every row once, the last batch shorter.

        The order of a shuffled pass is drawn from ``generator`` (on the CPU; torch's own by default).
        """
        features, targets = self.load(device)
        yield from index_batches(features[:, 0], targets, check_positive("batch_size", batch_size), shuffle, generator)

    def __repr__(self) -> str:
        views = f"{self.num_views} view" + ("s" if self.num_views != 1 else "")
        return (
            f"FeatureCache({self.num_images} images, {views}, {self.num_features} features, {self.num_labels} labels)"
        )


def index_batches(
    features: Tensor, targets: Tensor, batch_size: int, shuffle: bool, generator: torch.Generator | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of rows that lie on one device, by slices or by a permutation; features in float32."""
    if not shuffle:
        for start in range(0, len(features), batch_size):
            yield features[start : start + batch_size].float(), targets[start : start + batch_size]
        return
    order = torch.randperm(len(features), generator=generator).to(features.device)
    for rows in order.split(batch_size):
        if len(rows):
            yield features[rows].float(), targets[rows]


def storable(features: Tensor, dtype: str, ids: Sequence[str]) -> np.ndarray:
    """Features (B, ...) as ``dtype``; InputError, naming the image, where a value is not finite or does not fit."""
    limit = float(np.finfo(dtype).max)
    fits = (features.abs() <= limit).flatten(1).all(dim=1)  # NaN fails as well
    if not fits.all():
        row = int((~fits).nonzero()[0])
        worst = float(features[row].abs().max())
        fix = "store float32 instead" if np.isfinite(worst) else "check the weights and the image"
        raise bad_input(
            "features",
            f"finite values that {dtype} can hold (at most {limit:g})",
            f"{worst:g} in row {row} (image {ids[row]})",
            fix=fix,
        )
    return features.detach().cpu().numpy().astype(dtype)

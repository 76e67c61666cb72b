"""Features on disk, read at the speed of the disk."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import format
from mlgcn_pyg.features.parts import JoinedRows, open_parts
from mlgcn_pyg.features.rows import Rows
from mlgcn_pyg.features.writer import FeatureWriter, storable
from mlgcn_pyg.files import atomic_path


class FeatureCache:
    """The image features of a data set with its targets: a file in :mod:`mlgcn_pyg.features.format`, or several.

    No file handle is kept: a cache may be pickled, forked and read from many processes.

    Args:
        path: the ``.h5`` file, a glob pattern, or a list of files: several files are one cache, the shards of an
            extraction in the order of their numbers.

    Attributes:
        features: (N, V, D) float16 or float32, mapped into memory, read-only.
        targets: (N, C) int8. label_names: C strings. ids: N strings.
        meta: provenance (of the first file). paths: the files.

    Raises:
        InputError: a missing, foreign, newer, unfinished, cut or inconsistent file; files that do not fit together.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "tiny.h5")
    >>> cache = FeatureCache.from_arrays(path, torch.ones(2, 4), [[1, 0], [0, -1]], ["a", "b"])
    >>> cache
    FeatureCache(2 images, 1 view, 4 features, 2 labels)
    >>> [features.shape for features, targets in cache.batches(2)]
    [torch.Size([2, 4])]
    """

    def __init__(self, path: str | Path | Sequence[str | Path]):
        parts = open_parts(path)
        self._source, self.paths = path, [file for file, _ in parts]
        self.path = Path(path) if isinstance(path, str | Path) else self.paths[0]
        first = parts[0][1]
        self.label_names, self.meta = first.label_names, first.meta
        self.ids = tuple(name for _, contents in parts for name in contents.ids)
        self.targets = torch.from_numpy(np.concatenate([contents.targets for _, contents in parts]))
        self._rows = [Rows(file, contents) for file, contents in parts]
        arrays = [rows.mapped() for rows in self._rows]
        self.features = arrays[0] if len(arrays) == 1 else JoinedRows(arrays)
        # version 1 has no checksums
        self._sums = [a if c.checksums is None else c.checksums for a, (_, c) in zip(arrays, parts, strict=True)]

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
        """Writes features (N, D) or (N, V, D) of any origin (CLIP, DINO, …) to ``path`` and opens it.

        ``ids`` are the row numbers by default; ``meta`` is what JSON can hold, to say where the features are from.
        Raises InputError for NaN or Inf, values that ``dtype`` cannot hold, and whatever does not fit together.
        """
        features = torch.as_tensor(features)
        features = features.unsqueeze(1) if features.dim() == 2 else features
        if features.dim() != 3:
            raise InputError("features", "shape (N, D) or (N, V, D)", f"shape {tuple(features.shape)}")
        ids = [str(row) for row in range(len(features))] if ids is None else list(ids)
        batch_size = max(1, (8 << 20) // max(1, 4 * features[:1].numel()))  # some megabytes to a checksum
        with atomic_path(path) as partial:
            shape = tuple(features.shape)
            format.create(partial, shape, dtype, targets, label_names, ids, meta or {}, batch_size)
            with FeatureWriter(partial, fix="free some and write it again") as writer:
                for batch, rows in enumerate(features.split(batch_size) if len(features) else ()):
                    start = batch * batch_size
                    writer.write(batch, storable(rows, dtype, ids[start : start + batch_size]))
        return cls(path)

    def digest(self) -> str:
        """sha256 that changes when features, targets or names do; features are told by the files' checksums."""
        sha = hashlib.sha256(json.dumps([self.label_names, self.ids, list(self.features.shape)]).encode())
        for content in (self.targets.numpy(), *self._sums):
            sha.update(np.ascontiguousarray(content))
        return sha.hexdigest()

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
        return type(self), (self._source,)  # the other process maps the files itself

    def load(self, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
        """Features (N, V, D) as stored and targets (N, C) int8 on ``device``, in one pass over the files.

        What is written is finite; whether it still is what was written, ``mlgcn cache verify`` finds out. Raises
        InputError where another file has taken the name since the cache was opened, or the file was cut.
        """
        shape, dtype, start = self.features.shape, self.features.dtype, 0
        if torch.device(device).type == "cpu":
            # NumPy's memory comes in large pages, which fill twice as fast as torch's
            features = torch.from_numpy(np.empty(shape, dtype))
        else:
            features = torch.from_numpy(np.empty(0, dtype)).new_empty(shape, device=device)
        for rows in self._rows:
            rows.read_into(features[start : start + rows.shape[0]])
            start += rows.shape[0]
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

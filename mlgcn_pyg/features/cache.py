"""A feature cache: the features and targets of a data set in one or more files."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.format import create
from mlgcn_pyg.features.header import checked_header
from mlgcn_pyg.features.parts import JoinedRows, open_parts
from mlgcn_pyg.features.rows import Rows
from mlgcn_pyg.features.writer import FeatureWriter, storable
from mlgcn_pyg.files.atomic import atomic_path


class FeatureCache:
    """The image features and targets of a data set, read from feature files (:mod:`mlgcn_pyg.features.format`).

    No file handle is kept: a cache may be pickled, forked and read from many processes.

    Args:
        path: a feature file, a glob pattern, or a list of files. Several files are joined; the shards of an extraction
            are sorted by their numbers.

    Attributes:
        features: (N, V, D) float16 or float32, mapped into memory, read-only.
        targets: (N, C) int8 in {-1, 0, 1}.
        label_names: C strings.
        ids: N strings that name the images.
        meta: the provenance of the first file.
        path: the file or pattern, or the first file of a list.
        paths: the files.

    Raises:
        InputError: if a file is missing, is not a feature file, or has a newer format version.
        InputError: if a file is unfinished, truncated or inconsistent.
        InputError: if several files do not belong together.

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
        self._opened, self.paths = path, [part.path for part in parts]
        self.path = Path(path) if isinstance(path, str | Path) else self.paths[0]
        first = parts[0].contents
        self.label_names, self.meta = first.label_names, first.meta
        self.ids = tuple(name for part in parts for name in part.contents.ids)
        self.targets = torch.from_numpy(np.concatenate([part.contents.targets for part in parts]))
        self._rows = [Rows(part.path, part.contents) for part in parts]
        arrays = [rows.mapped() for rows in self._rows]
        self.features: np.ndarray | JoinedRows = arrays[0] if len(arrays) == 1 else JoinedRows(arrays)
        self._digested = [
            part.contents.checksums if part.contents.has_checksums else array
            for array, part in zip(arrays, parts, strict=True)
        ]

    @classmethod
    def from_arrays(
        cls,
        path: str | Path,
        features: Any,
        targets: Any,
        label_names: Sequence[str],
        *,
        ids: Sequence[str] | None = None,
        dtype: str = "float16",
        meta: dict[str, Any] | None = None,
    ) -> "FeatureCache":
        """Writes features of any origin (CLIP, DINO, …) to a feature file and opens it.

        Args:
            path: the feature file, which is replaced atomically if it exists.
            features: (N, D) or (N, V, D).
            targets: (N, C) in {-1, 0, 1}.
            label_names: C strings.
            ids: N strings that name the images. Default: the row numbers.
            dtype: type of the stored features, ``"float16"`` or ``"float32"``.
            meta: provenance, a dict that JSON can hold.

        Raises:
            InputError: if a feature is not finite or ``dtype`` cannot hold it, if shapes do not fit together, or if the
                disk is full.
        """
        features = torch.as_tensor(features)
        features = features.unsqueeze(1) if features.dim() == 2 else features
        if features.dim() != 3:
            raise InputError("features", "shape (N, D) or (N, V, D)", f"shape {tuple(features.shape)}")
        ids = [str(row) for row in range(len(features))] if ids is None else list(ids)
        batch_size = max(1, (8 << 20) // max(1, 4 * features[:1].numel()))  # several megabytes per checksum
        with atomic_path(path) as partial:
            shape = (features.size(0), features.size(1), features.size(2))
            header = checked_header(shape, dtype, targets, label_names, ids, meta or {}, batch_size)
            create(partial, header)
            with FeatureWriter(partial, fix="free disk space and run again") as writer:
                for batch, rows in enumerate(features.split(batch_size) if len(features) else ()):
                    start = batch * batch_size
                    writer.write_batch(batch, storable(rows, dtype, ids[start : start + batch_size]))
        return cls(path)

    def digest(self) -> str:
        """Returns a SHA-256 digest of targets, names, and the checksums of the features (the features in version 1)."""
        sha = hashlib.sha256(json.dumps([self.label_names, self.ids, list(self.features.shape)]).encode())
        for content in (self.targets.numpy(), *self._digested):
            sha.update(np.ascontiguousarray(content).data)
        return sha.hexdigest()

    @property
    def num_images(self) -> int:
        """The number of images, N."""
        return self.features.shape[0]

    @property
    def num_views(self) -> int:
        """The number of views per image, V."""
        return self.features.shape[1]

    @property
    def num_features(self) -> int:
        """The number of features per view, D."""
        return self.features.shape[2]

    @property
    def num_labels(self) -> int:
        """The number of labels, C."""
        return len(self.label_names)

    def __len__(self) -> int:
        return self.num_images

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._opened,)  # the other process maps the files itself

    def load(self, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
        """Reads all features in one pass over the files. Checksums are not verified; see :func:`verify`.

        Args:
            device: the device of the tensors.

        Returns:
            Features (N, V, D) as stored, and targets (N, C) int8.

        Raises:
            InputError: if a file was replaced or truncated since the cache was opened.
        """
        shape, dtype, start = self.features.shape, self.features.dtype, 0
        if torch.device(device).type == "cpu":
            # NumPy uses large pages, which fill twice as fast as torch's memory
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
        """Yields features (B, D) float32 of view 0 and targets (B, C) int8, each row once.

        Args:
            batch_size: B; the last batch may be smaller.
            shuffle: whether to draw the order of the rows at random.
            generator: a CPU generator for the random order. Default: torch's default generator.
            device: the device of the tensors.
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
    """Yields batches of rows on one device, by slices or by a permutation; features in float32."""
    if not shuffle:
        for start in range(0, len(features), batch_size):
            yield features[start : start + batch_size].float(), targets[start : start + batch_size]
        return
    order = torch.randperm(len(features), generator=generator).to(features.device)
    for rows in order.split(batch_size):
        if len(rows):
            yield features[rows].float(), targets[rows]

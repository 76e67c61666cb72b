"""Summarises a cache without reading its features."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlgcn_pyg.features.parts import open_parts
from mlgcn_pyg.features.provenance import KEY


def describe_cache(path: str | Path | Sequence[str | Path]) -> dict[str, Any]:
    """Returns the sizes, label counts and provenance of a cache as a dict that JSON can hold.

    Args:
        path: a file, a glob pattern, or a list of files.

    Raises:
        InputError: as :class:`~mlgcn_pyg.features.FeatureCache`.
    """
    parts = open_parts(path)
    first = parts[0].contents
    targets = np.concatenate([part.contents.targets for part in parts])
    positives = (targets == 1).sum(axis=0)
    return {
        "files": [str(part.path) for part in parts],
        "bytes": sum(part.path.stat().st_size for part in parts),
        "version": first.version,
        "images": len(targets),
        "views": first.shape[1],
        "features": first.shape[2],
        "labels": len(first.label_names),
        "dtype": first.dtype.name,
        "batch_size": first.batch_size if first.has_checksums else None,
        "positives": int(positives.sum()),
        "unknown": int((targets < 0).sum()),
        "without_positive": [name for name, count in zip(first.label_names, positives, strict=True) if not count],
        "key": {name: first.meta.get(name) for name in KEY},
        "meta": {name: value for name, value in first.meta.items() if name not in KEY},
    }

"""Several feature files as one: which files, in which order, and their rows as one array."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlgcn_pyg.checks import check_same_labels
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.format import Contents
from mlgcn_pyg.features.provenance import KEY, differences, is_extracted
from mlgcn_pyg.features.reading import read
from mlgcn_pyg.files import existing_file

# features of different data may stand in one cache, features of different making may not
MAKING = tuple(name for name in KEY if name not in ("dataset_sha256", "shard", "batch_size", "seed"))


def open_parts(source: str | Path | Sequence[str | Path]) -> list[tuple[Path, Contents]]:
    """The files of a path, of a glob pattern or of a list, checked against each other and in the order of their rows.

    Shards come in the order of their numbers, other files in the order given (a pattern's by name, numbers by value).

    Raises:
        InputError: no file; shards missing or twice; other labels, sizes or making; an image in two files.
    """
    paths = matching_files(source) if isinstance(source, str | Path) else [Path(path) for path in source]
    if not paths:
        raise InputError("cache", "at least one feature file", "none")
    parts = [(existing_file("cache", path), read(path)) for path in paths]
    if len(parts) > 1:
        parts = _in_order(parts)
        _check_alike(parts)
    return parts


def matching_files(source: str | Path) -> list[Path]:
    """The file of a path, or those of a glob pattern by name, numbers by value; none in the making."""
    source = Path(source)
    if source.exists() or not glob.has_magic(str(source)):
        return [source]
    found = [path for path in glob.glob(str(source)) if not re.search(r"\.partial(\.rank[^/]*)?$", path)]
    if not found:
        raise InputError("cache", "at least one feature file", f"none for {source}")
    return sorted(
        map(Path, found),
        key=lambda path: [(not t.isdecimal(), int(t) if t.isdecimal() else t) for t in re.split(r"(\d+)", str(path))],
    )


def _in_order(parts: list[tuple[Path, Contents]]) -> list[tuple[Path, Contents]]:
    """Shards of one data set by their numbers, all of them there; anything else as it came."""
    shards = [_shard(contents.meta) for _, contents in parts]
    data = {contents.meta.get("dataset_sha256") for _, contents in parts}
    if any(shard is None for shard in shards) or len(data) > 1:
        return parts
    numbers, total = [shard[0] for shard in shards], shards[0][1]
    if any(shard[1] != total for shard in shards) or sorted(numbers) != list(range(total)):
        missing = [k for k in range(total) if k not in numbers]
        found = f"shards {sorted(numbers)}" + (f" without {missing}" if missing else " of different numbers")
        raise InputError("cache", f"each of the {total} shards once", found, "extract the missing ones")
    return sorted(parts, key=lambda part: part[1].meta["shard"][0])


def _shard(meta: dict) -> list[int] | None:
    """[i, n] of an extraction's shard; features of other origin may mean anything by the word."""
    shard = meta.get("shard")
    two = isinstance(shard, list) and len(shard) == 2 and all(type(number) is int for number in shard)
    return shard if two and is_extracted(meta) else None


def _check_alike(parts: list[tuple[Path, Contents]]) -> None:
    first_path, first = parts[0]
    for path, contents in parts[1:]:
        check_same_labels(f"cache ({path})", contents.label_names, first.label_names, str(first_path))
        sizes = [(c.shape[1:], c.dtype.name) for c in (contents, first)]
        if sizes[0] != sizes[1]:
            raise InputError(
                "cache", f"views, features and dtype {sizes[1]} as in {first_path}", f"{sizes[0]} in {path}"
            )
        made = {name: first.meta.get(name) for name in MAKING}
        if differing := differences(contents.meta, made, MAKING):
            found = f"{path} with " + "; ".join(differing).replace("asked for", f"in {first_path.name}")
            raise InputError("cache", "files that were made in the same way", found)
    seen = {}
    for path, contents in parts:
        for name in contents.ids:
            if name in seen:  # ids of one file differ
                raise InputError("cache", "each image in one file", f"{name} in {seen[name]} and {path}")
            seen[name] = path


class JoinedRows:
    """The rows of several arrays (N_k, V, D) as one, read when they are asked for; slices and lists of rows only."""

    def __init__(self, arrays: Sequence[np.ndarray]):
        self.arrays = list(arrays)
        self.ends = np.cumsum([len(array) for array in arrays])
        self.shape, self.dtype = (int(self.ends[-1]), *arrays[0].shape[1:]), arrays[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows) -> np.ndarray:
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        rows = np.asarray(rows)
        rows = rows.nonzero()[0] if rows.dtype == bool else np.where(rows < 0, rows + len(self), rows)
        out = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        for array, end in zip(self.arrays, self.ends, strict=True):
            start = end - len(array)
            here = (rows >= start) & (rows < end)
            if here.any():
                out[here] = array[rows[here] - start]
        if rows.size and (rows.max() >= len(self) or rows.min() < 0):
            raise IndexError(f"row {int(rows.max())} of {len(self)}")
        return out

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)

"""Several feature files as one cache: which files, in which order, and their rows as one array."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.header import Contents
from mlgcn_pyg.features.provenance import KEY, differences, is_extracted
from mlgcn_pyg.features.reading import read_contents
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.labels import check_same_labels

# fields in which the files of a cache must agree: the files may have different data, computed in the same way
SHARED = tuple(name for name in KEY if name not in ("dataset_sha256", "shard", "batch_size", "seed"))


class Part(NamedTuple):
    """One file of a cache."""

    path: Path
    contents: Contents


def open_parts(path: str | Path | Sequence[str | Path]) -> list[Part]:
    """Reads the files of a cache except their rows, and checks that they belong together.

    Args:
        path: a file, a glob pattern, or a list of files.

    Returns:
        The files in the order of their rows: shards by their numbers, other files in the given order, and those of a
        pattern in the order of :func:`matching_files`.

    Raises:
        InputError: if there is no file.
        InputError: if a shard is missing or repeated, or an image is in two files.
        InputError: if labels, sizes, or the way in which the features were computed differ.
    """
    paths = matching_files(path) if isinstance(path, str | Path) else [Path(file) for file in path]
    if not paths:
        raise InputError("path", "at least one feature file", "none")
    parts = [Part(existing_file("path", file), read_contents(file)) for file in paths]
    if len(parts) > 1:
        parts = _in_order(parts)
        _check_alike(parts)
    return parts


def matching_files(path: str | Path) -> list[Path]:
    """Returns the file ``path``, or the finished files that match a glob pattern.

    Files are sorted by name. Numbers within names are sorted by value.

    Raises:
        InputError: if no file matches the pattern.
    """
    path = Path(path)
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    names = [name for name in glob.glob(str(path)) if not re.search(r"\.partial(\.rank[^/\\]*)?$", name)]
    if not names:
        raise InputError("path", "at least one feature file", f"no file that matches {path}")
    return [Path(name) for name in sorted(names, key=_by_numbers)]


def _by_numbers(name: str) -> list[tuple[bool, int, str]]:
    return [(not t.isdecimal(), int(t) if t.isdecimal() else 0, t) for t in re.split(r"(\d+)", name)]


def _in_order(parts: list[Part]) -> list[Part]:
    """Sorts the shards of one data set by their numbers, and leaves other files as they are."""
    shards = [shard for part in parts if (shard := _shard(part.contents.meta)) is not None]
    data = {part.contents.meta.get("dataset_sha256") for part in parts}
    if len(shards) < len(parts) or len(data) > 1:
        return parts
    numbers, total = [number for number, _ in shards], shards[0][1]
    if any(count != total for _, count in shards) or sorted(numbers) != list(range(total)):
        missing = [k for k in range(total) if k not in numbers]
        found = f"shards {sorted(numbers)}" + (f" without {missing}" if missing else " of different counts")
        raise InputError("path", f"each of the {total} shards once", found, "extract the missing shards")
    return sorted(parts, key=lambda part: part.contents.meta["shard"][0])


def _shard(meta: dict[str, Any]) -> tuple[int, int] | None:
    """Returns (i, n) for a shard of an extraction; None for other files, whose ``shard`` may have any meaning."""
    match meta.get("shard"):
        case [int(i), int(n)] if is_extracted(meta) and not (isinstance(i, bool) or isinstance(n, bool)):
            return i, n
    return None


def _check_alike(parts: list[Part]) -> None:
    first_path, first = parts[0]
    for path, contents in parts[1:]:
        check_same_labels("path", contents.label_names, first.label_names, f"{first_path} in {path}")
        size, first_size = ((c.shape[1:], c.dtype.name) for c in (contents, first))
        if size != first_size:
            expected = f"views, features and dtype {first_size} as in {first_path}"
            raise InputError("path", expected, f"{size} in {path}")
        if differing := differences(contents.meta, first.meta, SHARED):
            texts = (difference.text(wanted_in=f"in {first_path.name}") for difference in differing)
            expected = "files that were computed in the same way"
            raise InputError("path", expected, f"{path} with {'; '.join(texts)}")
    seen: dict[str, Path] = {}
    for path, contents in parts:
        for name in contents.ids:
            if name in seen:  # ids are unique within each file
                raise InputError("path", "each image in one file", f"{name} in {seen[name]} and {path}")
            seen[name] = path


class JoinedRows:
    """The rows of several arrays as one array, which reads them when it is indexed with a slice or a list of rows.

    Args:
        arrays: arrays of shape (N_k, V, D).

    Attributes:
        shape: (ΣN_k, V, D).
        dtype: the type of all arrays.
    """

    def __init__(self, arrays: Sequence[np.ndarray]):
        self.arrays = list(arrays)
        self.ends = np.cumsum([len(array) for array in arrays])
        self.shape, self.dtype = (int(self.ends[-1]), *arrays[0].shape[1:]), arrays[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        rows = np.arange(len(self))[index] if isinstance(index, slice) else np.asarray(index)
        rows = np.flatnonzero(rows) if rows.dtype == bool else np.where(rows < 0, rows + len(self), rows)
        out = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        for array, end in zip(self.arrays, self.ends, strict=True):
            start = end - len(array)
            within = (rows >= start) & (rows < end)
            if within.any():
                out[within] = array[rows[within] - start]
        if rows.size and (rows.max() >= len(self) or rows.min() < 0):
            raise IndexError(f"row {int(rows.max())} of {len(self)}")
        return out

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

"""Is a feature file still what was written? And what to do where it is not."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.format import Contents
from mlgcn_pyg.features.parts import open_parts
from mlgcn_pyg.features.provenance import KEY, is_extracted
from mlgcn_pyg.features.reading import read
from mlgcn_pyg.features.rows import Rows
from mlgcn_pyg.features.writer import FeatureWriter
from mlgcn_pyg.files import behind_links, existing_file, locked, partial_path
from mlgcn_pyg.system import sync_folder


@dataclass
class Report:
    """What :func:`verify` found in one file.

    Attributes:
        damaged: batches whose rows are not what their checksums say. unfinished: batches never written.
        not_finite: rows with NaN or Inf. repeated: groups of images whose features are equal bit for bit, which are
            pictures twice under different names, or a constant backbone; no damage.
        checked: whether the file has checksums (version 1 has none).
    """

    path: Path
    contents: Contents
    damaged: list[int] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    not_finite: list[int] = field(default_factory=list)
    repeated: list[list[str]] = field(default_factory=list)
    checked: bool = True

    @property
    def good(self) -> bool:
        return not (self.damaged or self.unfinished or self.not_finite)

    def as_dict(self) -> dict:
        """Plain enough for JSON."""
        told = {name: getattr(self, name) for name in ("damaged", "unfinished", "not_finite", "repeated", "checked")}
        return {"file": str(self.path), "good": self.good, "images": self.contents.shape[0]} | told


def verify(path: str | Path, progress: Callable[[int, str], None] | None = None) -> Report:
    """Reads one feature file whole, finished or in the making, a batch at a time.

    Names, targets and provenance are checked against their digest when the file is opened. Raises InputError for
    files that cannot be opened at all.
    """
    path = existing_file("cache", path)
    contents = read(path, complete=False)
    report = Report(path, contents, checked=contents.checksums is not None)
    prints = np.zeros((contents.shape[0], 2), np.uint64)  # 16 bytes for each row; 0 for rows never written
    with Rows(path, contents).opened() as file:
        for start, stop, batch in _pieces(contents):
            data = _rows(file, contents, start, stop)
            if report.checked and contents.done[batch] != 1 and not contents.checksums[batch].any():
                report.unfinished.append(batch)
                continue
            if report.checked and hashlib.sha256(data).digest() != contents.checksums[batch].tobytes():
                report.damaged.append(batch)
            elif report.checked and contents.done[batch] != 1:
                report.unfinished.append(batch)
            finite = np.isfinite(data).reshape(stop - start, -1).all(axis=1)
            report.not_finite += (start + (~finite).nonzero()[0]).tolist()
            for row, values in enumerate(data, start):
                prints[row] = np.frombuffer(hashlib.blake2b(values, digest_size=16).digest(), np.uint64)
            if progress:
                progress(stop, "reading")
    report.repeated = [[contents.ids[row] for row in rows] for rows in _equal_rows(prints)]
    return report


def _equal_rows(prints: np.ndarray) -> list[list[int]]:
    """Groups of rows with the same fingerprint, in the order of their first rows."""
    order = np.lexsort((prints[:, 1], prints[:, 0]))  # equal ones stay in their order
    first = np.append(True, (prints[order[1:]] != prints[order[:-1]]).any(axis=1)).nonzero()[0]
    sizes = np.diff(np.append(first, len(order)))
    many = [order[start : start + size] for start, size in zip(first[sizes > 1], sizes[sizes > 1], strict=True)]
    return sorted(rows.tolist() for rows in many if prints[rows[0]].any())


def _pieces(contents: Contents):
    """Yields (first row, last + 1, batch): whole batches, or blocks of rows where there are none."""
    size = contents.batch_size if contents.version > 1 else 256
    for batch, start in enumerate(range(0, contents.shape[0], size)):
        yield start, min(start + size, contents.shape[0]), batch


def _rows(file, contents: Contents, start: int, stop: int) -> np.ndarray:
    file.seek(contents.offset + start * contents.row_bytes)
    count = (stop - start) * contents.row_bytes // contents.dtype.itemsize
    return np.fromfile(file, contents.dtype, count).reshape(stop - start, *contents.shape[1:])


def repair(path: str | Path, progress: Callable[[int, str], None] | None = None) -> Report:
    """Marks damaged batches and rows with NaN or Inf for recomputation.

    A finished file with such batches becomes ``<path>.partial``, since nothing unfinished keeps its final name, and
    the same ``extract_features`` as before computes those batches, and no others, again. A symbolic link to it stays.

    Raises InputError for a file without checksums, for one that no extraction made, and where both files exist.
    """
    path = behind_links(existing_file("cache", path))
    report = verify(path, progress)
    if report.good:
        return report
    _check_mendable(report)
    target = path if path.name.endswith(".partial") else partial_path(path)
    if target != path and target.exists():
        raise InputError("cache", f"no file {target}, the name for a file in the making", "one", "finish or remove it")
    batch_of = {row // report.contents.batch_size for row in report.not_finite}
    with locked(target):
        path.rename(target)  # first: if we are stopped here, extraction finds the damage by itself
        sync_folder(path.parent)
        with FeatureWriter(target, reserve=False) as writer:
            # unfinished batches are judged by their checksums: they may be good
            writer.mark(sorted(batch_of | set(report.damaged)), False)
    return report


def _check_mendable(report: Report) -> None:
    if not report.checked:
        fix = "extract it again with --overwrite"
        raise InputError("cache", "a file of format version 2, with checksums", f"version 1 in {report.path}", fix)
    if not is_extracted(report.contents.meta):
        found = f"features of another origin in {report.path}, and damage that cannot be computed away"
        raise InputError("cache", "a file of mlgcn extract", found, "write it again with FeatureCache.from_arrays")


def describe(source: str | Path | Sequence[str | Path]) -> dict:
    """What a cache, of one file or several, says of itself, plain enough for JSON; its features are not read."""
    parts = open_parts(source)
    first = parts[0][1]
    targets = np.concatenate([contents.targets for _, contents in parts])
    return {
        "files": [str(path) for path, _ in parts],
        "bytes": sum(path.stat().st_size for path, _ in parts),
        "version": first.version,
        "images": len(targets),
        "views": first.shape[1],
        "features": first.shape[2],
        "labels": len(first.label_names),
        "dtype": first.dtype.name,
        "batch_size": first.batch_size if first.version > 1 else None,
        "positives": int((targets == 1).sum()),
        "unknown": int((targets < 0).sum()),
        "without_positive": [n for n, k in zip(first.label_names, (targets == 1).sum(axis=0), strict=True) if not k],
        "key": {name: first.meta.get(name) for name in KEY},
        "meta": {name: value for name, value in first.meta.items() if name not in KEY},
    }

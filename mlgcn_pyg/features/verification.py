"""Verifies feature files against their checksums, and repairs damaged files."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.features.header import Contents, checksum
from mlgcn_pyg.features.provenance import is_extracted
from mlgcn_pyg.features.reading import read_contents
from mlgcn_pyg.features.rows import Rows
from mlgcn_pyg.features.writer import FeatureWriter
from mlgcn_pyg.files.atomic import behind_links, partial_path
from mlgcn_pyg.files.locks import locked
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.system import sync_folder


@dataclass
class Report:
    """The result of :func:`verify` for one file.

    Attributes:
        path: the file.
        contents: the content of the file except its rows.
        damaged: batches whose rows do not match their checksums.
        unfinished: batches that are not marked as done.
        not_finite: rows with NaN or Inf.
        repeated: groups of images with features that are equal bit for bit. This is not damage: an image may have
            several names, or the backbone may be constant.
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
        """Whether the file is complete and undamaged."""
        return not (self.damaged or self.unfinished or self.not_finite)

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as a dict that JSON can hold."""
        names = ("damaged", "unfinished", "not_finite", "repeated", "checked")
        header = {"file": str(self.path), "good": self.good, "images": self.contents.shape[0]}
        return header | {name: getattr(self, name) for name in names}


def verify(path: str | Path, progress: Callable[[int, str], None] | None = None) -> Report:
    """Verifies all rows of a finished or unfinished feature file, one batch at a time.

    Names, targets and provenance are compared with their digest when the file is opened.

    Args:
        path: the file.
        progress: a function that is called after each batch with the number of images read and a description.

    Returns:
        The :class:`Report`.

    Raises:
        InputError: if the file cannot be opened as a feature file.
    """
    path = existing_file("path", path)
    contents = read_contents(path, complete=False)
    report = Report(path, contents, checked=contents.has_checksums)
    fingerprints = np.zeros((contents.shape[0], 2), np.uint64)  # 16 bytes per row; 0 for a row that is not written yet
    with Rows(path, contents).opened() as file:
        for start, stop, batch in _batches(contents):
            rows = _read_rows(file, contents, start, stop)
            if report.checked and contents.done[batch] != 1 and not contents.checksums[batch].any():
                report.unfinished.append(batch)
                continue
            if report.checked and checksum(rows) != contents.checksums[batch].tobytes():
                report.damaged.append(batch)
            elif report.checked and contents.done[batch] != 1:
                report.unfinished.append(batch)
            finite = np.isfinite(rows).reshape(stop - start, -1).all(axis=1)
            report.not_finite += [start + int(k) for k in np.flatnonzero(~finite)]
            for row, values in enumerate(rows, start):
                fingerprints[row] = np.frombuffer(blake2b(values.data, digest_size=16).digest(), np.uint64)
            if progress:
                progress(stop, "reading")
    report.repeated = [[contents.ids[row] for row in rows] for rows in _equal_rows(fingerprints)]
    return report


def _equal_rows(fingerprints: np.ndarray) -> list[list[int]]:
    """Groups the rows with equal fingerprints, in the order of their first rows."""
    order = np.lexsort((fingerprints[:, 1], fingerprints[:, 0]))  # stable
    changes = (fingerprints[order[1:]] != fingerprints[order[:-1]]).any(axis=1)
    starts = np.flatnonzero(np.append(True, changes))
    sizes = np.diff(np.append(starts, len(order)))
    groups = [order[start : start + size] for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True)]
    return sorted(rows.tolist() for rows in groups if fingerprints[rows[0]].any())


def _batches(contents: Contents) -> Iterator[tuple[int, int, int]]:
    """Yields (first row, last row + 1, batch); in version 1, which has no batches, blocks of 256 rows."""
    size = contents.batch_size if contents.has_checksums else 256
    for batch, start in enumerate(range(0, contents.shape[0], size)):
        yield start, min(start + size, contents.shape[0]), batch


def _read_rows(file: FileIO, contents: Contents, start: int, stop: int) -> np.ndarray:
    file.seek(contents.offset + start * contents.row_bytes)
    count = (stop - start) * contents.row_bytes // contents.dtype.itemsize
    return np.fromfile(file, contents.dtype, count).reshape(stop - start, *contents.shape[1:])


def repair(path: str | Path, progress: Callable[[int, str], None] | None = None) -> Report:
    """Marks damaged batches as missing, so that repeating the extraction computes only these batches.

    A damaged file is renamed to ``<path>.partial``, the name of an unfinished file. If ``path`` is a symbolic link, its
    target is renamed. A file without damage is not changed.

    Args:
        path: the file, finished or unfinished.
        progress: as in :func:`verify`.

    Returns:
        The :class:`Report` of the file before the repair.

    Raises:
        InputError: if the damaged file has no checksums, or was not written by :func:`extract_features`.
        InputError: if ``path`` is a finished file, and the unfinished file exists too.
        InputError: if another process is writing the file.
    """
    path = behind_links(existing_file("path", path))
    report = verify(path, progress)
    if report.good:
        return report
    _check_repairable(report)
    target = path if path.name.endswith(".partial") else partial_path(path)
    if target != path and target.exists():
        fix = "finish or remove the unfinished file"
        raise InputError("path", f"no unfinished file besides {path}", target, fix)
    batches = {row // report.contents.batch_size for row in report.not_finite} | set(report.damaged)
    with locked(target):
        os.rename(path, target)  # renamed first: if this process ends here, the extraction still finds the damage
        sync_folder(path.parent)
        with FeatureWriter(target, reserve=False) as writer:
            writer.discard(sorted(batches))  # unfinished batches are left: the extraction verifies their checksums
    return report


def _check_repairable(report: Report) -> None:
    if not report.checked:
        fix = ("extract it again with ", Argument("overwrite", True))
        raise InputError("path", "a file of format version 2, with checksums", f"version 1 in {report.path}", fix)
    if not is_extracted(report.contents.meta):
        expected = "a file written by extract_features"
        found = f"damaged features that no extraction can compute again, in {report.path}"
        raise InputError("path", expected, found, "write it again with FeatureCache.from_arrays")

"""Extraction of zip and tar archives from untrusted sources."""

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from mlgcn_pyg.datasets.names import path_below
from mlgcn_pyg.errors import InputError, first_line

DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError,
    UnicodeError,
)  # fmt: skip

Progress = Callable[[str, int, int | None], None]


class Member(NamedTuple):
    """A regular file of an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def extract(archive: str | Path, folder: str | Path, progress: Progress | None = None) -> int:
    """Extracts the files of a zip or tar archive. A file is renamed to its final name when it is complete.

    All names are checked before anything is written. Files that exist with the expected size are skipped, so an
    interrupted extraction resumes. The checksums in a zip archive are verified. A tar archive has no checksums of its
    contents.

    Args:
        archive: the file; its format is recognised from its content.
        folder: where the files are written.
        progress: called with (description, bytes done, total bytes).

    Returns:
        The number of files that were written.

    Raises:
        InputError: if the archive is damaged; if it contains a link, a device, a duplicate file or a path outside
            ``folder``; if it would overwrite a different file; or if there is not enough free disk space.
    """
    archive, folder = Path(archive), Path(folder)
    written = done = 0
    try:
        with _members(archive) as members:
            targets = _targets(archive, members, folder)
            total = sum(member.size for member in members)
            for member, target in zip(members, targets, strict=True):
                if not _is_extracted(target, member.size):
                    _write(member, target)
                    written += 1
                done += member.size
                if progress:
                    progress(f"extracting {archive.name}", done, total)
    except DAMAGED as error:
        found, fix = f"{archive} ({first_line(error)})", "remove it and run again"
        raise InputError("archive", "a complete zip or tar archive", found, fix) from error
    return written


@contextmanager
def _members(path: Path) -> Iterator[list[Member]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            yield [_of_zip(zipped, info) for info in zipped.infolist() if not info.is_dir()]
    else:
        with tarfile.open(path) as tar:
            yield [_of_tar(tar, info) for info in tar if not info.isdir()]


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise InputError("archive", "files and folders only", f"{info.filename!r}, a link or device")
    return Member(info.filename, info.file_size, partial(archive.open, info))


def _of_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if not info.isreg():
        raise InputError("archive", "files and folders only", f"{info.name!r}, a link or device")
    return Member(info.name, info.size, partial(_tar_stream, archive, info))


def _tar_stream(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    if stream is None:
        raise tarfile.TarError(f"{info.name} is not a regular file")
    return stream


def _targets(archive: Path, members: list[Member], folder: Path) -> list[Path]:
    """Returns the path of each extracted file. Raises an InputError if a file cannot be written."""
    targets = [path_below("archive", folder, member.name) for member in members]
    if len(set(targets)) < len(targets):
        raise InputError("archive", "unique file names", f"a duplicate file in {archive}")
    needed = 0
    for member, target in zip(members, targets, strict=True):
        if not _is_extracted(target, member.size):
            needed += member.size
            if target.exists() and (target.is_dir() or target.stat().st_size):
                fix = "move it away, or choose a different folder"
                raise InputError("folder", f"no file that {archive.name} would overwrite", str(target), fix)
    check_room(folder, needed)
    return targets


def check_room(folder: Path, needed: int) -> None:
    """Raises an InputError if fewer than ``needed`` bytes are free on the disk of ``folder``."""
    if (free := shutil.disk_usage(folder).free) < needed:
        raise InputError("folder", f"{needed >> 20:,} MiB of free disk space", f"{free >> 20:,} MiB in {folder}")


def _is_extracted(target: Path, size: int) -> bool:
    return target.is_file() and target.stat().st_size == size


def _write(member: Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.partial")
    try:
        with member.open() as source, open(unfinished, "wb") as file:
            shutil.copyfileobj(source, file)
        if unfinished.stat().st_size != member.size:
            raise EOFError(f"{member.name} is truncated")
        # no fsync: after a power failure the file may be empty, and the next run writes it again
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)

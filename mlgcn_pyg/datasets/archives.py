"""Taking the files out of a zip or tar archive that nobody has reason to trust."""

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from mlgcn_pyg.datasets.names import inside
from mlgcn_pyg.errors import InputError, first_line

DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError,
    UnicodeError,
)  # fmt: skip


class Member(NamedTuple):
    """A regular file of an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def extract(path: str | Path, folder: str | Path, progress: Callable | None = None) -> int:
    """Writes the files of a zip or tar archive below ``folder``; each appears when it is whole.

    All names are judged before anything is written: an archive with one that leads out of ``folder``, with a link or a
    device, or with a file where another one lies already, is refused. Files that are there with the size they should
    have are left as they are, so that an interrupted run goes on. A zip's checksums are compared as its files are
    read; a tar has none of its contents.

    Args:
        path: the archive, its kind told by its content.
        folder: where its files go.
        progress: called with (what is being done, bytes done, bytes in all).

    Returns:
        How many files were written.

    Raises:
        InputError: what is said above, a damaged archive, or no room for its files.
    """
    path, folder = Path(path), Path(folder)
    written = done = 0
    try:
        with _members(path) as members:
            targets = _targets(path, members, folder)
            total = sum(member.size for member in members)
            for member, target in zip(members, targets, strict=True):
                if not _is_there(target, member.size):
                    _write(member, target)
                    written += 1
                done += member.size
                if progress:
                    progress(f"extracting {path.name}", done, total)
    except DAMAGED as error:
        fix = "remove it and run the same command again"
        raise InputError("archive", "a whole zip or tar archive", f"{path} ({first_line(error)})", fix) from error
    return written


@contextmanager
def _members(path: Path) -> Iterator[list[Member]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield [_of_zip(archive, info) for info in archive.infolist() if not info.is_dir()]
    else:
        with tarfile.open(path) as archive:
            yield [_of_tar(archive, info) for info in archive if not info.isdir()]


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise InputError("archive", "files and folders only", f"{info.filename!r}, a link or device")
    return Member(info.filename, info.file_size, lambda: archive.open(info))


def _of_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if not info.isreg():
        raise InputError("archive", "files and folders only", f"{info.name!r}, a link or device")
    return Member(info.name, info.size, lambda: archive.extractfile(info))


def _targets(path: Path, members: list[Member], folder: Path) -> list[Path]:
    """Where each file goes; InputError where not all of them can go there."""
    targets = [inside("archive", folder, member.name) for member in members]
    if len(set(targets)) < len(targets):
        raise InputError("archive", "each file once", f"one of them twice in {path}")
    needed = 0
    for member, target in zip(members, targets, strict=True):
        if not _is_there(target, member.size):
            needed += member.size
            if target.exists() and (target.is_dir() or target.stat().st_size):
                fix = "move it away, or take another folder"
                raise InputError("root", f"no other file than that of {path.name}", str(target), fix)
    check_room(folder, needed)
    return targets


def check_room(folder: Path, needed: int) -> None:
    """InputError where the disk of ``folder`` has fewer than ``needed`` bytes left."""
    if (free := shutil.disk_usage(folder).free) < needed:
        raise InputError("root", f"{needed >> 20:,} MiB of free disk", f"{free >> 20:,} MiB in {folder}")


def _is_there(target: Path, size: int) -> bool:
    return target.is_file() and target.stat().st_size == size


def _write(member: Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with member.open() as source, open(partial, "wb") as file:
            shutil.copyfileobj(source, file)
        if partial.stat().st_size != member.size:
            raise EOFError(f"{member.name} is cut short")
        os.replace(partial, target)  # not synced: after a power cut a file may be empty, which the next run sees
    finally:
        partial.unlink(missing_ok=True)

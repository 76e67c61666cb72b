"""Extraction of zip and tar archives from untrusted sources."""

import errno
import os
import secrets
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, Self

from mlgcn_pyg.datasets.names import path_below
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.atomic import SHORTENED, remove_leftovers
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.system import try_lock, unlock

LONGEST_HEADER = 1 << 20  # bytes; a compressed header of a tar could expand to any size
LONGEST_END = 1 << 24  # bytes after the last file of a tar; usually less than 10 KiB of zeros

Progress = Callable[[str, int, int | None], None]


class Member(NamedTuple):
    """A regular file of an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


class Extraction(NamedTuple):
    """A member and the file that is made of it."""

    member: Member
    target: Path

    def is_done(self) -> bool:
        return self.target.is_file() and self.target.stat().st_size == self.member.size


def extract(archive: str | Path, folder: str | Path, progress: Progress | None = None) -> int:
    """Extracts the files of a zip or tar archive. A file is renamed to its final name when it is complete.

    All names are checked before anything is written. Files that exist with the expected size are skipped, so an
    interrupted extraction resumes. The checksums in a zip archive and of a compressed tar archive are verified. A tar
    archive itself has no checksums of its contents.

    Args:
        archive: the file; its format is recognised from its content.
        folder: where the files are written.
        progress: called with (description, bytes done, total bytes).

    Returns:
        The number of files that were written.

    Raises:
        InputError: if the archive is damaged; if it contains a link, a device, a duplicate file, a file in the place of
            a folder, or a path outside ``folder``; if it would overwrite a different file; or if there is not enough
            free disk space.
    """
    archive, folder = existing_file("archive", archive), Path(folder)
    written = done = 0
    with ExitStack() as stack:
        with _damage_named(archive):
            plan = _plan(archive, stack.enter_context(_members(archive)), folder)
        for parent in {extraction.target.parent for extraction in plan}:
            remove_leftovers(parent / archive.name)
        total = sum(extraction.member.size for extraction in plan)
        for extraction in plan:
            if not extraction.is_done():
                with _damage_named(archive):
                    _write(extraction, archive.name[:SHORTENED])
                written += 1
            done += extraction.member.size
            if progress:
                progress(f"extracting {archive.name}", done, total)
    return written


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    """Makes an InputError of what reading a damaged archive raises, which is nearly anything."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # errors of the system, such as a full disk; but a damaged archive may ask for a negative position
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        found, fix = f"{archive} ({first_line(error)})", "remove it and run again"
        raise InputError("archive", "a complete zip or tar archive", found, fix) from error


@contextmanager
def _members(path: Path) -> Iterator[Iterable[Member]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            yield (_of_zip(zipped, info) for info in zipped.infolist() if not info.filename.endswith("/"))
    else:
        with tarfile.open(path, tarinfo=_BoundedHeader) as tar:
            yield _of_tar(tar)


class _BoundedHeader(tarfile.TarInfo):
    """A header of a tar archive. Python's loops or fills the memory if a header states an absurd size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        is_file = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
        if info.size < 0 or (info.size > LONGEST_HEADER and not is_file):
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise InputError("archive", "files and folders only", f"{info.filename!r}, a link or device")
    return Member(info.filename, info.file_size, partial(archive.open, info))


def _of_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if info.size < 0:  # stated by an extended header
            raise tarfile.ReadError(f"a file of {info.size} bytes")
        if info.isdir():
            continue
        if not info.isreg():
            raise InputError("archive", "files and folders only", f"{info.name!r}, a link or device")
        yield Member(info.name, info.size, partial(_tar_stream, archive, info))
    if archive.fileobj is not None and len(archive.fileobj.read(LONGEST_END)) == LONGEST_END:  # verifies a checksum
        raise tarfile.ReadError("no end after the last file")


def _tar_stream(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    if stream is None:
        raise tarfile.TarError(f"{info.name} is not a regular file")
    return stream


def _plan(archive: Path, members: Iterable[Member], folder: Path) -> list[Extraction]:
    """Returns where each file is extracted to. Raises an InputError if a file cannot be written.

    The free disk space is compared with each further member, because listing a tar archive decompresses it.
    """
    plan: dict[Path, Extraction] = {}
    needed = 0
    for member in members:
        extraction = Extraction(member, path_below("archive", folder, member.name))
        target = extraction.target
        if target in plan:
            raise InputError("archive", "unique file names", f"a duplicate file in {archive}")
        plan[target] = extraction
        if not extraction.is_done():
            needed += member.size
            check_room(folder, needed)
            if target.exists() and (target.is_dir() or target.stat().st_size):
                fix = "move it away, or choose a different folder"
                raise InputError("folder", f"no file that {archive.name} would overwrite", str(target), fix)
    folders = {parent for target in plan for parent in target.parents}
    if both := sorted(folders & plan.keys()):
        found = f"{plan[both[0]].member.name!r} as both in {archive}"
        raise InputError("archive", "each name as a file or as a folder", found)
    return list(plan.values())


def check_room(folder: Path, needed: int) -> None:
    """Raises an InputError if fewer than ``needed`` bytes are free on the disk of ``folder``."""
    if (free := shutil.disk_usage(folder).free) < needed:
        raise InputError("folder", f"{needed >> 20:,} MiB of free disk space", f"{free >> 20:,} MiB in {folder}")


def _write(extraction: Extraction, name: str) -> None:
    """Writes a file under a temporary name, ``name`` with random digits, which no other file has."""
    member, target = extraction
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{name}.{secrets.token_hex(4)}.partial")
    try:
        with open(unfinished, "xb") as file:
            try_lock(file.fileno())  # so that no other process takes it for one that was left
            try:
                with member.open() as source:
                    shutil.copyfileobj(source, file)
            finally:
                unlock(file.fileno())
        if unfinished.stat().st_size != member.size:
            raise EOFError(f"{member.name} is truncated")
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    # no fsync: after a power failure the file may be empty, and the next run writes it again
    os.replace(unfinished, target)

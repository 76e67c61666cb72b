"""Writes files atomically: under a temporary name in the same folder, flushed to the disk, then renamed.

A temporary name is ``.NAME.RANDOM.partial``. Such a file is created, never opened if it exists, and locked while it is
written. A killed process leaves it without the lock, and the next process that writes ``NAME`` removes it.
"""

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.system import BINARY, KEEPS_OPEN_FILES, NOFOLLOW, is_at, sync, sync_folder, try_lock, unlock

if TYPE_CHECKING:
    from torch import Tensor

SHORTENED = 50  # characters of a file's name in its temporary names, since file systems limit names to 255 bytes


@contextmanager
def atomic_path(path: str | Path, kept: tuple[type[BaseException], ...] = ()) -> Iterator[Path]:
    """Yields the path of an empty temporary file, which is renamed to ``path`` if the block ends without an exception.

    The temporary file is in the same folder. On any exception, including KeyboardInterrupt, it is removed and ``path``
    is unchanged. If ``path`` is a symbolic link, its target is replaced.

    Args:
        path: the file.
        kept: exceptions on which the temporary file is kept. The next writer of ``path`` removes it.
    """
    path = behind_links(Path(path))
    check_file_name("path", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary, is_kept = _TemporaryFile(path), False
    try:
        yield temporary.path
        if KEEPS_OPEN_FILES:
            temporary.release()
        publish(temporary.path, path)
    except kept:
        is_kept = True
        raise
    finally:
        temporary.release()
        if not is_kept:
            temporary.path.unlink(missing_ok=True)


class _TemporaryFile:
    """A new file with a temporary name for ``path``, which :func:`remove_leftovers` does not remove until release."""

    def __init__(self, path: Path):
        self.handle: int | None = None
        while self.handle is None:
            # not the process id: processes of two machines that share a disk may have the same one
            self.path = path.with_name(f".{path.name[:SHORTENED]}.{secrets.token_hex(4)}.partial")
            with suppress(FileExistsError):
                self.handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY, 0o666)
                if not (_claim(self.handle, without_locks=True) and is_at(self.handle, self.path)):
                    self.release()  # before it was locked, another process took it for one that was left

    def release(self) -> None:
        """Releases the lock."""
        if self.handle is not None:
            unlock(self.handle)
            os.close(self.handle)
            self.handle = None


def remove_leftovers(path: Path) -> None:
    """Removes the temporary files that processes left when they were killed within :func:`atomic_path`.

    Files that a process is still writing are kept. If the file system has no locks, all of them are kept.
    """
    if not path.parent.is_dir():
        return
    name = re.compile(rf"\.{re.escape(path.name[:SHORTENED])}\.[0-9a-f]{{1,8}}\.partial")
    with os.scandir(path.parent) as entries:
        found = [Path(entry) for entry in entries if name.fullmatch(entry.name)]
    for partial in found:
        with suppress(OSError):  # removed in the meantime, a link, a folder, or a file of another user
            handle = os.open(partial, os.O_RDWR | NOFOLLOW | BINARY)
            try:
                unused = _claim(handle, without_locks=False) and is_at(handle, partial)
                if unused and not KEEPS_OPEN_FILES:
                    partial.unlink()
            finally:
                unlock(handle)
                os.close(handle)
            if unused and KEEPS_OPEN_FILES:
                partial.unlink()  # fails if a process has it open


def _claim(handle: int, *, without_locks: bool) -> bool:
    """Tries to lock a temporary file; ``without_locks`` is returned if the file system has no locks.

    Where the system keeps open files, that is enough: there, a lock would also keep this process from writing.
    """
    return KEEPS_OPEN_FILES or try_lock(handle, without_locks)


def behind_links(path: Path) -> Path:
    """Returns the target of ``path`` if it is a symbolic link, else ``path``."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def partial_path(path: Path) -> Path:
    """Returns the path of the unfinished file, such as ``train.h5.partial``; symbolic links are resolved first."""
    path = behind_links(path)
    return path.with_name(path.name + ".partial")


def check_file_name(argument: str, path: Path) -> None:
    """Checks that ``path`` is a regular file or does not exist.

    Raises:
        InputError: if it is a folder, or a device such as /dev/null.
    """
    if path.exists() and not path.is_file():
        found = f"the folder {path}" if path.is_dir() else f"{path}, which is not a regular file"
        raise InputError(argument, "a file name", found)


def publish(partial: Path, path: Path) -> None:
    """Flushes a finished file to the disk, renames it to ``path``, and flushes the new name.

    Raises:
        PermissionError: on Windows, if a program has the file ``path`` open or mapped.
    """
    path = behind_links(path)
    with open(partial, "rb+") as file:
        sync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


@contextmanager
def enough_disk(path: Path, size: int, fix: str) -> Iterator[None]:
    """Turns the OSError of a full disk into an InputError about ``path``, a file of ``size`` bytes."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        found = os.strerror(error.errno)
        raise InputError("path", f"{max(size / 1e6, 0.1):,.1f} MB of disk space for {path}", found, fix) from error


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` atomically in UTF-8, without converting line ends."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def file_digest(path: str | Path) -> str:
    """Returns the SHA-256 of a file, as ``sha256sum`` prints it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensor_digest(tensors: Mapping[str, "Tensor"]) -> str:
    """Returns a SHA-256 digest of the names, dtypes, shapes and bytes of tensors."""
    import torch

    sha = hashlib.sha256()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        if value.numel():  # an empty tensor may have a stride of 0, with which it has no view as bytes
            sha.update(value.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()

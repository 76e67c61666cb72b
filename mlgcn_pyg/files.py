"""Writes files atomically (under a temporary name, flushed to the disk, then renamed), and locks files."""

import errno
import glob
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.system import BINARY, sync, sync_folder, try_lock, unlock

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path, which is renamed to ``path`` if the block ends without an exception.

    The temporary file is in the same folder. On any exception, including KeyboardInterrupt, it is removed and ``path``
    is unchanged. If ``path`` is a symbolic link, its target is replaced.
    """
    path = behind_links(Path(path))
    check_file_name("path", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # random, since processes of two machines that share a disk may have the same process id
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        publish(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """Returns the temporary files that processes left when they were killed within :func:`atomic_path`."""
    return list(path.parent.glob(f".{glob.escape(path.name)}.*.partial"))


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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an advisory lock on ``path`` within the block.

    The lock (see :func:`mlgcn_pyg.system.try_lock`) belongs to the file ``.NAME.lock`` in the same folder. The lock
    file is removed at the end. The lock file of a killed process is used again. If ``path`` is an empty file at the
    end, it is removed too.

    Raises:
        InputError: if another process, or another block in this process, holds the lock.
        OSError: if the lock file cannot be created.
    """
    lock = path.with_name(f".{path.name}.lock")
    with _holding(lock, path, "path", "a file that no other process is writing"):
        try:
            yield
        finally:
            if path.is_file() and path.stat().st_size == 0:
                path.unlink()


@contextmanager
def locked_folder(
    folder: Path | None,
    lock: str = ".lock",
    argument: str = "folder",
    expected: str = "a folder that no other run is using",
) -> Iterator[None]:
    """Holds an advisory lock on a folder within the block; see :func:`locked`.

    Args:
        folder: the folder, which is created if it does not exist. None locks nothing.
        lock: name of the lock file in the folder.
        argument: the argument that the error names.
        expected: what that argument must be, in the error.

    Raises:
        InputError: if another process, or another block in this process, holds the lock.
        OSError: if the folder or the lock file cannot be created.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with _holding(folder / lock, folder, argument, expected):
        yield


@contextmanager
def _holding(lock: Path, path: Path, argument: str, expected: str) -> Iterator[None]:
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
    try:
        # the last holder may have removed the lock file after it was opened here
        if not (try_lock(handle) and _is_at(handle, lock)):
            fix = f"wait for that process to end, or choose a different {argument}"
            raise InputError(argument, expected, f"{path} in use by another process", fix)
        try:
            yield
        finally:
            left = _remove(handle, lock)
            unlock(handle)
    finally:
        os.close(handle)
    if left:
        with suppress(OSError):  # a process that has opened it in the meantime will remove it
            lock.unlink()


def _remove(handle: int, lock: Path) -> bool:
    """Removes a lock file before its lock is released.

    Returns:
        True if the file was not removed because the system does not remove open files.
    """
    try:
        if _is_at(handle, lock) and os.fstat(handle).st_size == 0:  # a file with content is not a lock file
            lock.unlink()
    except PermissionError:
        return True
    return False


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` atomically in UTF-8, without converting line ends."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def tensor_digest(tensors: Mapping[str, "Tensor"]) -> str:
    """Returns a SHA-256 digest of the names, dtypes, shapes and bytes of tensors."""
    import torch

    sha = hashlib.sha256()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()

"""Advisory locks on files and folders, held by lock files beside or in them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.system import BINARY, NOFOLLOW, is_at, try_lock, unlock


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
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | NOFOLLOW | BINARY, 0o666)
    try:
        # the last holder may have removed the lock file after it was opened here
        if not (try_lock(handle) and is_at(handle, lock)):
            fix = f"wait for that process to end, or choose a different {argument}"
            raise InputError(argument, expected, f"{path} in use by another process", fix)
        try:
            yield
        finally:
            left = _remove(handle, lock)
    finally:
        unlock(handle)
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
        if is_at(handle, lock) and os.fstat(handle).st_size == 0:  # a file with content is not a lock file
            lock.unlink()
    except PermissionError:
        return True
    return False

"""Files that are whole or absent: written beside their final name, synced, then renamed."""

import errno
import glob
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.system import BINARY, sync, sync_folder, try_lock, unlock

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of ``path``; it becomes ``path`` only if the block ends well.

    On any exception, Ctrl-C included, the temporary file is removed and ``path`` is untouched. A symbolic link stays
    one: all this happens to the file that it points to.
    """
    path = behind_links(Path(path))
    check_file_name("path", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # not the process's number: on a shared disk two machines, or containers, may have the same
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        publish(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """What processes that were killed inside :func:`atomic_path` left beside ``path``."""
    return list(path.parent.glob(f".{glob.escape(path.name)}.*.partial"))


def behind_links(path: Path) -> Path:
    """Where the file called ``path`` is, or will be: of a symbolic link what it points to, so that the link stays."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def partial_path(path: Path) -> Path:
    """The name of a file that is made over several runs, ``train.h5.partial``; beside a link's target, not the link."""
    path = behind_links(path)
    return path.with_name(path.name + ".partial")


def check_file_name(argument: str, path: Path) -> None:
    """InputError where a file cannot be put in the place of what is there: a folder, or a device such as /dev/null."""
    if path.exists() and not path.is_file():
        what = f"the folder {path}" if path.is_dir() else f"{path}, which is no regular file"
        raise InputError(argument, "a file name", what)


def publish(partial: Path, path: Path) -> None:
    """Gives a finished file its final name; content and name have reached the disk when this returns.

    Windows refuses it while any program has the file ``path`` open or mapped.
    """
    path = behind_links(path)
    with open(partial, "rb+") as file:
        sync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


@contextmanager
def enough_disk(path: Path, size: int, fix: str) -> Iterator[None]:
    """Within the block a disk without room for the ``size`` bytes of ``path`` is an InputError that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        found = os.strerror(error.errno)
        raise InputError("path", f"{max(size / 1e6, 0.1):,.1f} MB of disk for {path}", found, fix) from error


@contextmanager
def locked(path: Path, argument: str = "path", expected: str = "a file that nobody else is writing") -> Iterator[None]:
    """Within the block no other process or thread that asks has ``path`` locked.

    The lock is that of a file ``.NAME.lock`` beside ``path`` (see :func:`mlgcn_pyg.system.try_lock`), which is removed
    at the end; one that a killed process left does not matter. If ``path`` is an empty file at the end, it is removed.

    Raises:
        InputError: if ``path`` is locked, about ``argument``; expected is ``expected``.
        OSError: if the lock file cannot be made.
    """
    with _holding(path.with_name(f".{path.name}.lock"), path, argument, expected):
        try:
            yield
        finally:
            if path.is_file() and path.stat().st_size == 0:
                path.unlink()


@contextmanager
def own_folder(
    folder: Path | None,
    lock: str = ".lock",
    argument: str = "folder",
    expected: str = "a folder that no other run is using",
) -> Iterator[None]:
    """Within the block no other run has ``folder``, which is created if it is missing; None locks nothing.

    The lock is that of the file ``lock`` in the folder; see :func:`locked`.

    Raises:
        InputError: if the folder is locked, about ``argument``; expected is ``expected``.
        OSError: if the folder or the lock file cannot be made.
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
        # a lock file without its name is one that its last holder removed just now
        if not (try_lock(handle) and _is_at(handle, lock)):
            fix = f"wait for it to end, or choose a different {argument}"
            raise InputError(argument, expected, f"{path} in use by another process", fix)
        try:
            yield
        finally:
            left = _remove(handle, lock)
            unlock(handle)
    finally:
        os.close(handle)
    if left:
        with suppress(OSError):  # another process has opened it by now, and will remove it
            lock.unlink()


def _remove(handle: int, lock: Path) -> bool:
    """Removes a lock file before its lock is released; returns whether the system refuses that for open files."""
    try:
        if _is_at(handle, lock) and os.fstat(handle).st_size == 0:  # never a file that is something else
            lock.unlink()
    except PermissionError:
        return True
    return False


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def existing_file(argument: str, path: str | Path) -> Path:
    """``path`` if it is a file that exists; InputError otherwise."""
    path = Path(path)
    if not path.is_file():
        raise InputError(
            argument, "a file that exists", "a folder: " + str(path) if path.is_dir() else f"no file {path}"
        )
    return path


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` (UTF-8) to ``path``, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def save_plain(path: str | Path, content: dict) -> None:
    """Writes tensors, numbers, strings and containers of them with ``torch.save``, whole or not at all.

    Raises OSError that names the file where the disk is full or fails.
    """
    import torch

    with atomic_path(path) as partial, open(partial, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            reason = error.__context__  # torch's own words are about its position in the file
            raise OSError(reason.errno, reason.strerror, str(path)) if isinstance(reason, OSError) else error from None


def load_plain(argument: str, path: str | Path):
    """Reads a ``torch.save`` file on the CPU with ``weights_only=True``: no code in it can run.

    Raises InputError where the file is missing, is no such file, or holds anything but plain content.
    """
    import torch

    path = existing_file(argument, path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign file may raise nearly anything
        raise InputError(
            argument, "a file of plain tensors written by torch.save", f"{path} ({first_line(error)})"
        ) from error


def tensor_digest(tensors: Mapping[str, "Tensor"]) -> str:
    """sha256 over names, types, shapes and bytes: it changes when anything does."""
    import torch

    sha = hashlib.sha256()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.flatten().view(torch.uint8).numpy())
    return sha.hexdigest()

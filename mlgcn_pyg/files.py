"""Files that are whole or absent: written beside their final name, synced, then renamed."""

import errno
import fcntl
import glob
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlgcn_pyg.errors import InputError, first_line

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
    """Gives a finished file its final name; file and name have reached the disk when this returns."""
    path = behind_links(path)
    with open(partial, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Has the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems sync names by themselves and refuse this
            raise
    finally:
        os.close(handle)


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


def write_at(handle: int, data, offset: int) -> None:
    """Writes all of ``data`` at a place of an open file."""
    view = memoryview(data).cast("B")
    while len(view):
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


@contextmanager
def locked(path: Path, argument: str = "path", what: str = "a file that nobody else is writing") -> Iterator[None]:
    """Within the block nobody else who asks has ``path`` locked; it is made if need be, and not left empty.

    Raises InputError, that ``argument`` is not ``what``, where another process holds it. On file systems without locks,
    all may enter.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(handle, path, argument, what)
        try:
            yield
        finally:
            if os.fstat(handle).st_size == 0 and _is_at(handle, path):
                path.unlink()
    finally:
        os.close(handle)


@contextmanager
def own_folder(folder: Path | None) -> Iterator[None]:
    """Within the block no other run has ``folder``, which is made if need be; None is a run that leaves nothing.

    Raises InputError where another process has it.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", "folder", "a folder that no other run is using"):
        yield


def _lock(handle: int, path: Path, argument: str, what: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        taken = not _is_at(handle, path)  # its last writer gave it its final name just now
    except BlockingIOError:
        taken = True
    except OSError:  # no locks here
        taken = False
    if taken:
        fix = f"wait for it to end, or choose another {argument}"
        raise InputError(argument, what, f"{path} in another process's hands", fix)


def _is_at(handle: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    ours = os.fstat(handle)
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


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
        partial.write_text(text, encoding="utf-8")


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

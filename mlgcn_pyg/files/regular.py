"""Opens input files. Folders, FIFOs, sockets and devices are refused: reading them can wait or continue forever."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mlgcn_pyg.errors import InputError

KINDS = {
    stat.S_IFDIR: "the folder",
    stat.S_IFIFO: "the pipe (FIFO)",
    stat.S_IFSOCK: "the socket",
    stat.S_IFCHR: "the device",
    stat.S_IFBLK: "the device",
}
# opening a FIFO would otherwise wait for a writer; a terminal must not become that of the process
WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

POINTER, LARGEST_POINTER = (
    b"version https://git-lfs.github.com/spec/",
    1024,
)  # the start of a Git LFS pointer, and bytes


def existing_file(argument: str, path: str | Path) -> Path:
    """Returns ``path`` if it is an existing regular file, or a link to one.

    Args:
        argument: the argument that the error names.
        path: the file.

    Raises:
        InputError: if there is no such file, or it is a folder, FIFO, socket or device.
    """
    path = Path(path)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(argument, "a file that exists", f"no file {path}") from None
    except (OSError, ValueError) as error:  # a name that is too long, or with a NUL character
        reason = getattr(error, "strerror", None) or error
        raise InputError(argument, "a file that exists", f"{path} ({reason})") from error
    _check_regular(argument, path, status.st_mode)
    if 0 < status.st_size < LARGEST_POINTER:
        _check_not_a_pointer(argument, path)
    return path


def open_file(argument: str, path: str | Path, buffering: int = -1) -> BinaryIO:
    """Opens an existing regular file for reading bytes, without waiting.

    Args:
        argument: the argument that the error names.
        path: the file.
        buffering: as in :func:`open`.

    Raises:
        InputError: if there is no such file, it is a folder, FIFO, socket or device, or it may not be read.
    """
    path = existing_file(argument, path)

    def opened(name: str, flags: int) -> int:
        handle = os.open(name, flags | WITHOUT_WAITING)
        try:  # the path may have been replaced since it was checked
            _check_regular(argument, path, os.fstat(handle).st_mode)
        except InputError:
            os.close(handle)
            raise
        return handle

    try:
        return open(path, "rb", buffering=buffering, opener=opened)
    except OSError as error:
        raise InputError(argument, "a file that can be read", f"{path} ({error.strerror})") from error


def _check_regular(argument: str, path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        found = f"{KINDS.get(stat.S_IFMT(mode), 'the special file')} {path}"
        raise InputError(argument, "a file that exists" if stat.S_ISDIR(mode) else "a regular file", found)


def _check_not_a_pointer(argument: str, path: Path) -> None:
    """Checks that a small file is not what Git stores in place of a large one."""
    with suppress(OSError), open(path, "rb") as file:  # an unreadable file is reported when it is opened
        if file.read(len(POINTER)) == POINTER:
            fix = "download the file itself, for instance with 'git lfs pull'"
            raise InputError(argument, "the content of a file", f"its Git LFS pointer, {path}", fix)

"""System calls that only some platforms have, each with a fallback. No other module asks what the system has.

The functions look the calls up when they are used, never when this module is imported. On Linux every call exists and
is tested. The fallbacks for macOS and Windows are tested on Linux with the calls removed, never on those systems.
"""

import errno
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends in files that are opened without it
ZEROS = 1 << 20  # bytes written at a time where disk space cannot be claimed in one call
_seek_and_use = threading.Lock()  # of the position that all users of a handle share


def try_lock(handle: int) -> bool:
    """Locks an open file without waiting; returns whether the caller may go ahead.

    The lock is advisory, exclusive and not reentrant: a second handle of the same file is refused, in the same process
    and in other threads too. A forked child shares its parent's lock until the parent calls :func:`unlock`. The system
    releases the lock when the last process that shares it ends, however it ends. On file systems without locks
    everybody may go ahead.
    """
    try:
        return lock_descriptor(handle, blocking=False)
    except OSError:
        return True


def unlock(handle: int) -> None:
    """Releases the lock of :func:`try_lock`, also from forked children that share it."""
    with suppress(OSError):
        unlock_descriptor(handle)


def read_at(handle: int, size: int, offset: int) -> bytes:
    """Reads up to ``size`` bytes at a place of an open file; fewer only at its end."""
    pieces = []
    while size > 0:
        if hasattr(os, "pread"):
            piece = os.pread(handle, size, offset)
        else:
            with _seek_and_use:
                os.lseek(handle, offset, os.SEEK_SET)
                piece = os.read(handle, size)
        if not piece:
            break
        pieces.append(piece)
        size, offset = size - len(piece), offset + len(piece)
    return b"".join(pieces)


def write_at(handle: int, data: bytes | memoryview, offset: int) -> None:
    """Writes all of ``data`` at a place of an open file."""
    view = memoryview(data).cast("B")
    while len(view):
        if hasattr(os, "pwrite"):
            written = os.pwrite(handle, view, offset)
        else:
            with _seek_and_use:
                os.lseek(handle, offset, os.SEEK_SET)
                written = os.write(handle, view)
        view, offset = view[written:], offset + written


def preallocate(handle: int, offset: int, size: int) -> None:
    """Claims the disk space of a part of an open file, whose content does not change.

    Raises OSError if the disk has no room. Where the system cannot claim space, blocks of zeros are written in the
    place of blocks of zeros: a full disk shows then too, except on file systems that do not store zeros.
    """
    if size <= 0:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, offset, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
    for start in range(offset, offset + size, ZEROS):
        count = min(ZEROS, offset + size - start)
        there, zeros = read_at(handle, count, start), bytes(count)
        if zeros.startswith(there):  # shorter beyond the end of the file
            write_at(handle, zeros, start)


def sync(handle: int) -> None:
    """Returns when the content and the length of an open file have reached the disk."""
    try:
        import fcntl

        full = fcntl.F_FULLFSYNC  # type: ignore[attr-defined]  # macOS only: its fsync does not flush the disk's cache
        fcntl.fcntl(handle, full)
    except (ImportError, AttributeError, OSError):
        os.fsync(handle)


def sync_data(handle: int) -> None:
    """Returns when the content of an open file has reached the disk; its length did not change."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(handle)
    else:
        sync(handle)


def sync_folder(folder: Path) -> None:
    """Returns when the names in a folder have reached the disk, if the system can sync a folder (Windows cannot)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems sync names by themselves and refuse this
            raise
    finally:
        os.close(handle)


@contextmanager
def signals_blocked(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """Within the block this thread, and the processes that it starts, do not receive ``signals``."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def obey_only(process: int, signals: Iterable[signal.Signals]) -> None:
    """Makes this process, a worker, ignore ``signals``; SIGTERM from ``process`` ends it.

    Only Linux reports the sender of a signal. macOS's workers ignore Ctrl-C and end on SIGTERM from anybody, Windows's
    ignore Ctrl-C, and no signal is needed to end them.
    """
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # a spawned worker does not inherit the mask
        threading.Thread(target=_await_end, args=(process,), daemon=True).start()
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _await_end(process: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != process:
        pass
    os._exit(0)

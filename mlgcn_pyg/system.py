"""System calls that some platforms lack, with their fallbacks. No other module checks which calls exist.

A call is looked up when it is used, not when this module is imported. On Linux all calls exist and are tested. The
fallbacks for macOS and Windows are tested on Linux, with the calls removed; they were not run on those systems.
"""

import errno
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

ENDING = frozenset({signal.SIGINT, signal.SIGTERM})  # the signals that end a run
BINARY = getattr(os, "O_BINARY", 0)  # without this flag, Windows translates line ends
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)  # a symbolic link is not opened; Windows lacks the flag
KEEPS_OPEN_FILES = not hasattr(os, "fork")  # Windows neither removes nor renames a file that a process has open
ZEROS = 1 << 20  # bytes written at a time if disk space cannot be claimed in one call
_seeking = threading.Lock()  # all threads that use a handle share its position
_locked: dict[int, os.stat_result] = {}  # the file of each handle whose lock a forked child would share


def try_lock(handle: int, without_locks: bool = True) -> bool:
    """Tries to lock an open file, without waiting.

    The lock is advisory, exclusive and not reentrant: it excludes every other handle of the same file, also in the same
    process and in the same thread. The system releases the lock of a process that crashes. A forked child does not
    share the lock: worker processes may live a little longer than the process that started them.

    Args:
        handle: the open file.
        without_locks: what to return if the file system has no locks.

    Returns:
        False if another handle holds the lock. True if this handle holds it.
    """
    try:
        locked = lock_descriptor(handle, blocking=False)
    except OSError:
        return without_locks
    if locked:
        _locked[handle] = os.fstat(handle)
    return locked


def unlock(handle: int) -> None:
    """Releases the lock of :func:`try_lock`, before the file is closed."""
    _locked.pop(handle, None)
    with suppress(OSError):
        unlock_descriptor(handle)


def _leave_locks() -> None:
    """Replaces the locked files of a forked child's parent by the null device, under the same handles.

    A handle that was closed without :func:`unlock` may be that of another file by now, which is not replaced.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for handle, status in _locked.items():
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle), status):
                os.dup2(null, handle)
    os.close(null)
    _locked.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_locks)


def is_at(handle: int, path: Path) -> bool:
    """Returns whether ``path`` is the name of an open file, and not a link to it."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def read_at(handle: int, size: int, offset: int) -> bytes:
    """Reads ``size`` bytes at an offset of an open file; fewer only at the end of the file."""
    pieces = []
    while size > 0:
        if hasattr(os, "pread"):
            piece = os.pread(handle, size, offset)
        else:
            with _seeking:
                os.lseek(handle, offset, os.SEEK_SET)
                piece = os.read(handle, size)
        if not piece:
            break
        pieces.append(piece)
        size, offset = size - len(piece), offset + len(piece)
    return b"".join(pieces)


def write_at(handle: int, data: bytes | memoryview, offset: int) -> None:
    """Writes all of ``data`` at an offset of an open file."""
    view = memoryview(data).cast("B")
    while len(view):
        if hasattr(os, "pwrite"):
            written = os.pwrite(handle, view, offset)
        else:
            with _seeking:
                os.lseek(handle, offset, os.SEEK_SET)
                written = os.write(handle, view)
        view, offset = view[written:], offset + written


def preallocate(handle: int, offset: int, size: int) -> None:
    """Claims disk space for ``size`` bytes of an open file from ``offset`` on, without changing its content.

    If the system has no call for this, blocks of zeros are written over themselves. This detects a full disk too,
    except on file systems that do not store zeros.

    Raises:
        OSError: if the disk is full.
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
        stored, zeros = read_at(handle, count, start), bytes(count)
        if zeros.startswith(stored):  # at the end of the file, fewer bytes are stored
            write_at(handle, zeros, start)


def sync(handle: int) -> None:
    """Flushes the content and the length of an open file to the disk."""
    try:
        import fcntl

        # macOS only: its fsync does not flush the disk's cache
        full = fcntl.F_FULLFSYNC  # type: ignore[attr-defined]
        fcntl.fcntl(handle, full)
    except (ImportError, AttributeError, OSError):
        os.fsync(handle)


def sync_data(handle: int) -> None:
    """Flushes the content of an open file to the disk. The length of the file must not have changed."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(handle)
    else:
        sync(handle)


def sync_folder(folder: Path) -> None:
    """Flushes the names of the files in a folder to the disk, if the system can do this (Windows cannot)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems flush names by themselves and refuse the call
            raise
    finally:
        os.close(handle)


@contextmanager
def signals_blocked(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """Blocks signals within the ``with`` statement, for this thread and the processes that it starts.

    On Windows, which has no such call, it does nothing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def starting_without_interrupts() -> Iterator[None]:
    """Blocks SIGINT within the ``with`` statement, which spawns worker processes of :mod:`multiprocessing`.

    A terminal sends Ctrl-C to the workers too, even while they start. They inherit the block.
    """
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # the first process would start it, which unblocks the signal
    with signals_blocked({signal.SIGINT}):
        yield


def obey_only(process: int, signals: Iterable[signal.Signals]) -> None:
    """Makes this worker process ignore ``signals``, except that a SIGTERM from the process ``process`` ends it.

    Only Linux reports the sender of a signal. On macOS, workers ignore SIGINT and end on any SIGTERM. On Windows, they
    ignore SIGINT, and are ended without a signal.
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


def send_to_main_thread(number: int) -> None:
    """Sends a signal to the main thread, from any thread. Where it can, it interrupts a blocking system call."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        signal.raise_signal(number)

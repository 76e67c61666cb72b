"""Removes from this process what another system lacks; :func:`become` is called before anything that could look for it.

The standard library and torch keep what they looked up themselves.
Windows also refuses to open a folder, and to rename, replace or remove a file that this process has open or mapped.
"""

import multiprocessing
import os
import shutil
import signal
import stat
import sys
from multiprocessing import resource_tracker

LACKS = {
    "windows": {
        "modules": ("fcntl", "resource", "termios", "pwd", "grp"),
        "os": (
            "posix_fallocate", "posix_fadvise", "fdatasync", "pread", "pwrite", "preadv", "pwritev", "fork",
            "sched_getaffinity", "getuid", "geteuid", "mkfifo", "sysconf", "statvfs", "fchmod", "fchown", "O_NONBLOCK",
        ),
        "signal": (
            "pthread_sigmask", "sigwaitinfo", "sigwait", "sigtimedwait", "SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1",
            "SIGUSR2", "SIGPIPE", "SIGALRM", "alarm", "setitimer",
        ),
    },
    "macos": {
        "modules": (),
        "os": ("posix_fallocate", "posix_fadvise", "fdatasync", "sched_getaffinity", "O_TMPFILE"),
        "signal": ("sigwaitinfo", "sigtimedwait"),
    },
}  # fmt: skip


def become(system: str) -> None:
    import psutil  # noqa: F401  # has a module for each system
    import torch.multiprocessing  # noqa: F401  # so has this

    lacks = LACKS[system]
    for name in lacks["modules"]:
        sys.modules[name] = None
    for module in (os, signal):
        for name in lacks[module.__name__]:
            vars(module).pop(name, None)
    multiprocessing.set_start_method("spawn", force=True)
    shutil._use_fd_functions = shutil._use_fd_functions and system != "windows"
    resource_tracker._HAVE_SIGMASK = hasattr(signal, "pthread_sigmask")  # the tracker is this system's own
    if system == "windows":
        _refuse_folders()
        for name, count in (("replace", 2), ("rename", 2), ("unlink", 1), ("remove", 1)):
            _refuse_open_files(name, count)


def _refuse_folders() -> None:
    real = os.open

    def refusing(path, *arguments, **options):
        if isinstance(path, str | os.PathLike) and os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    os.open = refusing


def _refuse_open_files(name: str, count: int) -> None:
    real = getattr(os, name)

    def refusing(*paths, **options):
        for path in paths[:count]:
            if is_open(path):
                raise PermissionError(13, "The process cannot access the file because it is being used", str(path))
        return real(*paths, **options)

    setattr(os, name, refusing)


def is_open(path) -> bool:
    """Whether this process has a file open or mapped."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode):
        return False
    for handle in map(int, os.listdir("/proc/self/fd")):
        try:
            if os.path.samestat(os.fstat(handle), status):
                return True
        except OSError:
            continue  # the handle of the listing
    with open("/proc/self/maps") as maps:
        return any(line.rstrip("\n").endswith(os.path.realpath(path)) for line in maps)

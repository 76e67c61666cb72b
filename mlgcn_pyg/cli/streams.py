"""What ends a program from outside: signals, and a standard output that is closed or whose reader is gone."""

import errno
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.system import send_to_main_thread


def obey_signals() -> None:
    """Makes SIGTERM and SIGHUP raise SystemExit, at which a command removes its temporary files.

    Signals that are ignored stay ignored, as those of ``nohup``.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    sys.unraisablehook = _raise_again


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _raise_again(unraisable: Any) -> None:
    """Sends a signal again that arrived where Python ignores exceptions, as in parts of an import."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _send_soon(signal.SIGINT)
    elif isinstance(unraisable.exc_value, SystemExit):
        _send_soon(signal.SIGTERM)
    else:
        sys.__unraisablehook__(unraisable)


def _send_soon(number: int) -> None:
    """Sends a signal from a thread after a moment: within the hook, Python would ignore its exception too."""
    timer = threading.Timer(0.01, send_to_main_thread, (number,))
    timer.daemon = True
    timer.start()


def exit_code(stop: BaseException) -> int:
    """Returns the exit code of a program that Ctrl-C or a signal ends.

    >>> exit_code(KeyboardInterrupt()), exit_code(SystemExit(143))
    (130, 143)
    """
    return stop.code if isinstance(stop, SystemExit) and isinstance(stop.code, int) else 130


def check_standard_output(option: str) -> None:
    """Checks that standard output is open, for a command whose result it is.

    Args:
        option: the option that the error names.

    Raises:
        InputError: if it is closed.
    """
    if sys.stdout is None:
        raise InputError(option, "an open standard output", "a closed one")


def flush_output() -> int:
    """Flushes standard output before the process ends.

    Returns:
        0; 1 if its reader has closed it, which is no error.

    Raises:
        OSError: if it cannot be written, for example because the disk is full.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit would fail again
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # Windows has EINVAL for it
            raise OSError(error.errno, error.strerror, "standard output") from error
        return 1
    return 0

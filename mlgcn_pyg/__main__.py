"""The program ``mlgcn``, which is also ``python -m mlgcn_pyg``.

This module imports nothing that takes time, so that Ctrl-C is one line while the command line is loaded.
"""

import os
import signal
from types import FrameType


def main() -> None:
    """Runs the command in ``sys.argv`` and ends the process with its exit code."""
    _open_descriptors()
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:  # in the background of a shell, Ctrl-C is ignored
        signal.signal(signal.SIGINT, _leave)
    from mlgcn_pyg.allocator import keep_freed_memory
    from mlgcn_pyg.cli.main import app

    keep_freed_memory()  # before torch allocates memory
    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app()


def _open_descriptors() -> None:
    """Opens the null device for standard streams that are closed, so that no other file takes their place."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _leave(number: int, frame: FrameType | None) -> None:
    """Ends the process before a command has started, and so before anything is written."""
    os.write(2, b"mlgcn: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()

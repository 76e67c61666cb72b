"""Keeps memory that is freed within the process, so that the next allocations do not request it from the system."""

import ctypes
import os
import sys
from contextlib import suppress

VARIABLE = "MLGCN_KEEP_FREED_MEMORY"  # "0" disables this module
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # names of parameters in <malloc.h>
NEVER = -1  # as a threshold
LARGEST = 1 << 30  # bytes; larger blocks are returned to the system when they are freed
OLD_LARGEST = 1 << 25  # the largest threshold that versions before 2.35 accept
PAD = 1 << 26  # bytes that are requested in addition each time the heap grows


def keep_freed_memory() -> bool:
    """Makes the C library keep freed memory for later allocations of this process, which reduces page faults.

    By default, glibc returns large blocks to the system as soon as they are freed. A network on a CPU then receives new
    pages for the result of each layer, and the system clears each page. With MobileNetV2, this took up to half of the
    time. This function sets glibc's options ``M_MMAP_THRESHOLD``, ``M_TRIM_THRESHOLD`` and ``M_TOP_PAD``. The memory of
    the process then stays near its peak until the process ends.

    Call it before the first large tensor is allocated. Importing the package does not call it. The program ``mlgcn``
    and the worker processes of its data loaders do.

    The function does nothing if the environment variable ``MLGCN_KEEP_FREED_MEMORY`` is ``0``, on systems without glibc
    (macOS, Windows, musl), or if a different allocator such as jemalloc or tcmalloc is preloaded.

    Returns:
        Whether the options are set.

    >>> import mlgcn_pyg.allocator
    >>> mlgcn_pyg.allocator.keep_freed_memory() in (True, False)
    True
    """
    if os.environ.get(VARIABLE) == "0" or (libc := _glibc()) is None:
        return False
    kept = any(libc.mallopt(MMAP_THRESHOLD, size) for size in (LARGEST, OLD_LARGEST))
    return bool(kept and libc.mallopt(TRIM_THRESHOLD, NEVER) and libc.mallopt(TOP_PAD, PAD))


def _glibc() -> ctypes.CDLL | None:
    """Returns glibc if this process allocates memory with it, else None."""
    if not sys.platform.startswith("linux"):
        return None
    with suppress(OSError, AttributeError):  # musl has neither the file nor the functions
        libc = ctypes.CDLL("libc.so.6")
        if libc.gnu_get_libc_version and libc.mallopt and _address(libc) == _address(ctypes.CDLL(None)):
            return libc
    return None


def _address(library: ctypes.CDLL) -> int | None:
    """Returns the address of ``malloc`` in a library. That of the process differs if an allocator is preloaded."""
    return ctypes.cast(library.malloc, ctypes.c_void_p).value

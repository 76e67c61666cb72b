"""A limit on the memory that labels may take: small files can describe or expand to very large tables."""

import numpy as np
import numpy.typing as npt

from mlgcn_pyg.errors import Argument, Fix, InputError

MAX_BYTES = 1 << 32  # 4 GiB: 50 times the targets of 1,000,000 images and 80 labels

Targets = npt.NDArray[np.int8]  # (N, C)


def check_bytes(argument: str, what: str, found: str, needed: int, max_bytes: int) -> None:
    """Checks that labels do not need more than ``max_bytes`` bytes of memory.

    Args:
        argument: the argument that the error names.
        what: what takes the memory, such as ``targets``, for the error.
        found: a description of its size, for the error.
        needed: its size in bytes.
        max_bytes: the limit.

    Raises:
        InputError: if they do.
    """
    if needed > max_bytes:
        fix: Fix = ["if the memory suffices, pass ", Argument("max_bytes", needed)]
        raise InputError(argument, f"{what} of at most {_gib(max_bytes)}", f"{found} ({_gib(needed)})", fix)


def zero_targets(argument: str, num_images: int, num_labels: int, max_bytes: int = MAX_BYTES) -> Targets:
    """Returns targets (N, C) without labels.

    Raises:
        InputError: if they need more than ``max_bytes`` bytes, or more than the free memory.

    >>> zero_targets("path", 2, 3).tolist()
    [[0, 0, 0], [0, 0, 0]]
    """
    shape = f"{num_images:,} images × {num_labels:,} labels"
    check_bytes(argument, "targets", shape, num_images * num_labels, max_bytes)
    try:
        return np.zeros((num_images, num_labels), dtype=np.int8)
    except MemoryError as error:
        found = f"{shape} ({_gib(num_images * num_labels)})"
        raise InputError(argument, "targets that fit in the memory", found) from error


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**29 else f"{size / 2**20:,.1f} MiB"

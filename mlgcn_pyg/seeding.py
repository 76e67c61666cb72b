"""Random numbers that depend only on what they are for, not on the process or the order in which they are drawn."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager


def derived_seed(*parts: int | str) -> int:
    """Returns a seed in [0, 2⁶³) that is derived from numbers and names by SHA-256.

    Similar parts give unrelated seeds.

    Args:
        parts: what the random numbers are for, such as a base seed, a file name and an epoch.

    >>> derived_seed(0, "dog.jpg", 1) == derived_seed(0, "dog.jpg", 1) != derived_seed(1, "dog.jpg", 0)
    True
    """
    text = "\n".join(f"{type(part).__name__} {part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Seeds torch (on the CPU), NumPy and ``random`` within a block, and restores their states after it.

    Args:
        parts: what the random numbers are for; see :func:`derived_seed`.

    >>> import torch
    >>> with seeded(0, "dog.jpg"):
    ...     a = torch.rand(2)
    >>> _ = torch.rand(5)
    >>> with seeded(0, "dog.jpg"):
    ...     print(torch.equal(a, torch.rand(2)))
    True
    """
    import numpy as np
    import torch

    torch_state, python_state, numpy_state = torch.get_rng_state(), random.getstate(), np.random.get_state()
    seed = derived_seed(*parts)
    try:
        torch.random.default_generator.manual_seed(seed)  # torch.manual_seed would also seed every GPU
        random.seed(seed)
        # NumPy and `random` share the Mersenne Twister: if both received the two halves of the seed in the same order,
        # they would draw the same numbers
        np.random.seed([seed >> 32, seed & 0xFFFFFFFF])
        yield
    finally:
        torch.set_rng_state(torch_state)
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block, torch computes with one thread: rounding depends on their number."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

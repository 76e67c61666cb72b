"""Random numbers that depend on what they are for, not on who draws them or when."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager


def derived_seed(*parts: int | str) -> int:
    """A seed in [0, 2⁶³) from numbers and names, by SHA-256: near inputs give unrelated seeds.

    >>> derived_seed(0, "dog.jpg", 1) == derived_seed(0, "dog.jpg", 1) != derived_seed(1, "dog.jpg", 0)
    True
    """
    text = "\n".join(f"{type(part).__name__} {part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Within the block torch (on the CPU), NumPy and ``random`` draw from ``parts``; afterwards as before.

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

    states, seed = (torch.get_rng_state(), random.getstate(), np.random.get_state()), derived_seed(*parts)
    try:
        torch.random.default_generator.manual_seed(seed)  # torch.manual_seed would also seed every GPU
        random.seed(seed)
        # The same algorithm as `random`: with the same words of seed in the same order it would draw the same.
        np.random.seed([seed >> 32, seed & 0xFFFFFFFF])
        yield
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])

"""Shards: parts of an extraction for machines that share no file system."""

from collections.abc import Sequence

from mlgcn_pyg.checks import check_count, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.header import num_batches


def shard_rows(num_images: int, batch_size: int, shard: Sequence[int] | None) -> range:
    """Returns the rows of shard i of n, which are whole consecutive batches; all rows if ``shard`` is None.

    >>> [shard_rows(10, 4, (i, 2)) for i in range(2)]
    [range(0, 4), range(4, 10)]
    """
    i, n = shard or (0, 1)
    batches = num_batches(num_images, batch_size)
    first, last = batches * i // n, batches * (i + 1) // n
    return range(first * batch_size, min(last * batch_size, num_images))


def check_shard(shard: tuple[int, int] | None) -> tuple[int, int] | None:
    """Returns ``shard`` as (i, n), or None.

    Raises:
        InputError: if it is neither None nor (i, n) with 0 ≤ i < n.
    """
    if shard is None:
        return None
    if isinstance(shard, str) or len(shard) != 2:
        raise InputError("shard", "(i, n) with 0 ≤ i < n", repr(shard))
    i, n = check_count("shard", shard[0]), check_positive("shard", shard[1])
    if i >= n:
        raise InputError("shard", "(i, n) with 0 ≤ i < n", (i, n))
    return i, n

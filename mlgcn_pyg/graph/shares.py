"""Counting the targets of a data set in several processes: each counts a share of the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.counts import CooccurrenceCounter


@dataclass(frozen=True)
class Share:
    """The counts of one process.

    Attributes:
        counter: the counts of consecutive images, of none if there are fewer images than processes.
        label_names: the label names of the data set that the process opened.
        num_images: the number of images of that data set.
    """

    counter: CooccurrenceCounter
    label_names: Sequence[str]
    num_images: int

    @classmethod
    def of(cls, targets: Tensor, label_names: Sequence[str], rank: int, size: int) -> Self:
        """Counts the images of process ``rank`` of ``size``.

        >>> import torch
        >>> targets = torch.tensor([[1, 1], [1, 0], [0, 1]])
        >>> [Share.of(targets, ("a", "b"), rank, 2).counter.num_images for rank in range(2)]
        [1, 2]
        """
        start, stop = (len(targets) * k // size for k in (rank, rank + 1))
        return cls(CooccurrenceCounter(targets.size(1)).update(targets[start:stop]), label_names, len(targets))


def merged(shares: Sequence[Share]) -> CooccurrenceCounter:
    """Returns the counts of all images.

    Args:
        shares: the share of each process, at least one.

    Raises:
        InputError: if the processes opened data sets with other labels or another number of images.
    """
    first = shares[0]
    for rank, share in enumerate(shares):
        expected = "the same labels and images in all processes"
        if tuple(share.label_names) != tuple(first.label_names):
            raise InputError("dataset", expected, f"other labels in process {rank}")
        if share.num_images != first.num_images:
            raise InputError(
                "dataset", expected, f"{first.num_images} images, and {share.num_images} in process {rank}"
            )
    return sum((share.counter for share in shares[1:]), first.counter)

"""Which images a process sees, and when: a function of (seed, epoch, step) and of nothing else."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg.loading import load_batches
from mlgcn_pyg.seeding import derived_seed
from mlgcn_pyg.training.config import ModelConfig


class Piece:
    """A part of a batch that is computed at once: item numbers, and its weight in the mean over the whole batch.

    Args:
        weight: images of it over images of the batch; 0 for a stand-in, where a process has no image of its own.
    """

    def __init__(self, items: list[int], weight: float):
        self.items, self.weight = items, weight


def batches(num_images: int, config: ModelConfig, epoch: int) -> list[Tensor]:
    """The batches (B,) of a shuffled pass over all images; a last image alone joins the batch before it, since a batch
    of one has no statistics to normalise by.

    >>> [len(batch) for batch in batches(9, ModelConfig(batch_size=4), epoch=1)]
    [4, 5]
    """
    generator = torch.Generator().manual_seed(derived_seed("images", config.seed, epoch))
    drawn = list(torch.randperm(num_images, generator=generator).split(config.batch_size))
    if len(drawn) > 1 and len(drawn[-1]) == 1:
        drawn[-2:] = [torch.cat(drawn[-2:])]
    return drawn


def shares(num_images: int, config: ModelConfig, epoch: int, rank: int = 0, size: int = 1) -> list[list[Piece]]:
    """One process's pieces of every step of an epoch: a shuffled pass in which each image is in one piece of one
    process, so that any number of processes takes the same steps.

    >>> config = ModelConfig(batch_size=4, accumulate=2)
    >>> steps = [shares(10, config, 1, rank, 2) for rank in (0, 1)]
    >>> sorted(item for own in steps for pieces in own for piece in pieces if piece.weight for item in piece.items)
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    return [_share(batch, config.accumulate, rank, size) for batch in batches(num_images, config, epoch)]


def _share(batch: Tensor, accumulate: int, rank: int, size: int) -> list[Piece]:
    own = batch[rank::size]
    if not len(own):  # the others wait for this process's gradients all the same
        return [Piece(batch[:1].tolist(), 0.0)]
    return [Piece(piece.tolist(), len(piece) / len(batch)) for piece in own.chunk(accumulate)]


def pieces_in_order(
    dataset: Dataset, steps: Sequence[Sequence[Piece]], num_workers: int, pin_memory: bool = False
) -> Iterator[list[tuple[Tensor, Tensor, float]]]:
    """Yields, for each step, its pieces as (images, targets, weight); decoded ahead where there are workers."""
    items = [piece.items for pieces in steps for piece in pieces]
    loader = load_batches(dataset, batches=items, num_workers=num_workers, pin_memory=pin_memory)
    for pieces in steps:
        yield [(*next(loader)[:2], piece.weight) for piece in pieces]

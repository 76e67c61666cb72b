"""The images that each process computes in each step, as a function of (seed, epoch, step)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.loading import load_batches
from mlgcn_pyg.seeding import derived_seed
from mlgcn_pyg.training.config import ModelConfig
from mlgcn_pyg.typing import LabeledDataset


@dataclass(frozen=True)
class Piece:
    """A part of a batch that one process computes at once.

    Attributes:
        items: the indices of its images in the data set.
        weight: its weight in the mean over the batch: the number of its images divided by the number of images in the
            batch. 0 if the process has no image of the batch and computes an arbitrary image instead.
    """

    items: list[int]
    weight: float


@dataclass(frozen=True)
class DecodedPiece:
    """A :class:`Piece` with its images.

    Attributes:
        images: (n, 3, height, width).
        targets: (n, C).
        weight: as in :class:`Piece`.
    """

    images: Tensor
    targets: Tensor
    weight: float


def batches(num_images: int, config: ModelConfig, epoch: int) -> list[Tensor]:
    """Returns the batches (B,) of a shuffled pass over all images.

    A single last image joins the batch before it, since batch normalisation cannot train on a batch of one image.

    >>> [len(batch) for batch in batches(9, ModelConfig(batch_size=4), epoch=1)]
    [4, 5]
    """
    generator = torch.Generator().manual_seed(derived_seed("images", config.seed, epoch))
    drawn = list(torch.randperm(num_images, generator=generator).split(config.batch_size))
    if len(drawn) > 1 and len(drawn[-1]) == 1:
        drawn[-2:] = [torch.cat(drawn[-2:])]
    return drawn


def shares(num_images: int, config: ModelConfig, epoch: int, rank: int = 0, size: int = 1) -> list[list[Piece]]:
    """Returns the pieces of one process for each step of an epoch.

    Each image is in exactly one piece of one process, so that the steps are the same for any number of processes.

    >>> config = ModelConfig(batch_size=4, accumulate=2)
    >>> steps = [shares(10, config, 1, rank, 2) for rank in (0, 1)]
    >>> sorted(item for share in steps for pieces in share for piece in pieces if piece.weight for item in piece.items)
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    return [_share(batch, config.accumulate, rank, size) for batch in batches(num_images, config, epoch)]


def _share(batch: Tensor, accumulate: int, rank: int, size: int) -> list[Piece]:
    share = batch[rank::size]
    if not len(share):  # the other processes wait for the gradients of this process
        return [Piece(batch[:1].tolist(), 0.0)]
    return [Piece(part.tolist(), len(part) / len(batch)) for part in share.chunk(accumulate)]


def pieces_in_order(
    dataset: LabeledDataset, steps: Sequence[Sequence[Piece]], num_workers: int, pin_memory: bool = False
) -> Iterator[list[DecodedPiece]]:
    """Yields the decoded pieces of each step. Worker processes decode the next pieces meanwhile."""
    items = [piece.items for pieces in steps for piece in pieces]
    loaded = load_batches(dataset, batches=items, num_workers=num_workers, pin_memory=pin_memory)
    for pieces in steps:
        decoded = []
        for piece in pieces:
            images, targets, _ = next(loaded)
            decoded.append(DecodedPiece(images, targets, piece.weight))
        yield decoded

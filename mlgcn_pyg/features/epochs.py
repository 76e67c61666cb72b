"""The order of images in an epoch, and the view of each image, as functions of (seed, epoch) alone."""

import torch
from torch import Tensor

from mlgcn_pyg.seeding import derived_seed

BLOCK = 32  # consecutive images that are shuffled as a unit, so that a disk reads blocks instead of single rows
WINDOW = 16_384  # images shuffled together; a streamed pass holds this many (64 MiB of float16 at D = 2048)


def epoch_order(num_images: int, seed: int, epoch: int) -> Tensor:
    """Returns the order (N,) of the images in an epoch: a permutation that depends on (seed, epoch) alone.

    Up to 16,384 images, the permutation is uniform. Beyond that, blocks of 32 consecutive images are shuffled, and then
    the images within each window of 16,384, so that a window can be read block by block.

    >>> epoch_order(5, seed=0, epoch=1).sort().values.tolist()
    [0, 1, 2, 3, 4]
    """
    generator = _generator("order", seed, epoch)
    if num_images <= WINDOW:
        return torch.randperm(num_images, generator=generator)
    blocks = torch.randperm(-(-num_images // BLOCK), generator=generator)
    images = (blocks.view(-1, 1) * BLOCK + torch.arange(BLOCK)).flatten()
    images = images[images < num_images]
    return torch.cat([window[torch.randperm(len(window), generator=generator)] for window in images.split(WINDOW)])


def epoch_views(num_images: int, num_views: int, seed: int, epoch: int) -> Tensor:
    """Returns the view (N,) of each image in an epoch, drawn uniformly from 0…V−1 by (seed, epoch) alone."""
    return torch.randint(num_views, (num_images,), generator=_generator("views", seed, epoch))


def epoch_rows(num_images: int, num_views: int, seed: int, epoch: int) -> Tensor:
    """Returns the rows (N,) of an epoch in its order: one view of each image, as indices into a table (N·V, D)."""
    order = epoch_order(num_images, seed, epoch)
    if num_views == 1:
        return order
    return order * num_views + epoch_views(num_images, num_views, seed, epoch)[order]


def _generator(name: str, seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed(name, seed, epoch))

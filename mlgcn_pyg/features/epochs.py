"""The order of images in an epoch, and the view of each: functions of (seed, epoch) alone."""

import torch
from torch import Tensor

from mlgcn_pyg.seeding import derived_seed

BLOCK = 32  # neighbouring images shuffled as a unit, so that a disk reads runs instead of single rows
WINDOW = 16_384  # images shuffled together; a streamed pass holds this many (64 MiB of float16 at D = 2048)


def epoch_order(num_images: int, seed: int, epoch: int) -> Tensor:
    """Returns the order (N,) of the images in an epoch: a permutation that depends on (seed, epoch) alone.

    Up to 16,384 images, it is a uniform permutation. Beyond that, blocks of 32 neighbouring images are shuffled, and
    then the images within each window of 16,384, so that a window can be read in runs.

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
    """Returns the view (N,) in 0…V−1 that an epoch takes of each image, drawn uniformly from (seed, epoch) alone."""
    return torch.randint(num_views, (num_images,), generator=_generator("views", seed, epoch))


def epoch_rows(num_images: int, num_views: int, seed: int, epoch: int) -> Tensor:
    """Returns the rows (N,) of a table (N·V, D) in the order of an epoch, one drawn view of each image."""
    order = epoch_order(num_images, seed, epoch)
    if num_views == 1:
        return order
    return order * num_views + epoch_views(num_images, num_views, seed, epoch)[order]


def _generator(name: str, seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed(name, seed, epoch))

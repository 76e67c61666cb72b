"""Logits of a network over a data set, computed by all processes of a run."""

from collections.abc import Callable
from itertools import islice

import torch
from torch import Tensor

from mlgcn_pyg.loading import load_batches
from mlgcn_pyg.training.model.trainee import Trainee
from mlgcn_pyg.typing import LabeledDataset


@torch.no_grad()
def model_logits(trainee: Trainee, data: LabeledDataset, after_batch: Callable[[], None] = lambda: None) -> Tensor:
    """Returns the logits (N, C) of all images in float32, on the CPU. Each image is scored by one process.

    Args:
        trainee: the network in training.
        data: the images.
        after_batch: a function that is called after each batch, equally often in every process.

    Raises:
        RuntimeError: if an image was scored twice or not at all.
    """
    trainee.share_statistics()
    accelerator, model = trainee.accelerator, trainee.evaluated_model.eval()
    own_images = range(trainee.rank, len(data), trainee.size)
    length = -(-len(data) // trainee.size)  # of the longest share; shorter shares are padded
    logits = torch.zeros(length, len(data.label_names), device=accelerator.device)
    images_at = torch.full((length,), -1, device=accelerator.device)  # the image of each row; −1 for padding
    batch_size = max(1, trainee.config.batch_size // trainee.size)
    items = [own_images[start : start + batch_size] for start in range(0, len(own_images), batch_size)]
    batches = load_batches(data, batches=items, num_workers=trainee.config.num_workers, pin_memory=trainee.on_gpu)
    for start in range(0, length, batch_size):
        for images, _, index in islice(batches, 1):  # no batch if only other processes have images left
            with accelerator.autocast():
                batch_logits = model(images.to(accelerator.device, memory_format=trainee.layout, non_blocking=True))
            rows = slice(start, start + len(images))
            logits[rows], images_at[rows] = batch_logits.float(), index.to(images_at)
        after_batch()
    logits, images_at = accelerator.gather(logits).cpu(), accelerator.gather(images_at).cpu()
    scored = images_at >= 0
    if not torch.equal(images_at[scored].sort().values, torch.arange(len(data))):
        raise RuntimeError(f"of {len(data)} images, some were scored twice or not at all")
    return torch.zeros(len(data), logits.size(1)).index_copy_(0, images_at[scored], logits[scored])

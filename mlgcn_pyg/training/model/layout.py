"""The memory layout in which a step is faster, found by a trial."""

import copy
import time

import torch

from mlgcn_pyg.seeding import seeded
from mlgcn_pyg.training.model.trainee import Trainee

STEPS = 2  # timed steps in each layout, after one that warms up
IMAGES = 4  # images of a trial on a CPU, where a step with more takes longer and the result is the same


def channels_last_is_faster(trainee: Trainee, image_size: tuple[int, int]) -> bool:
    """Times forward and backward passes of a copy of the network on random images, in turns.

    Args:
        trainee: the network in training, which is not changed.
        image_size: (height, width) of the training images.
    """
    config, device = trainee.config, trainee.accelerator.device
    if not any(isinstance(layer, torch.nn.Conv2d) for layer in trainee.model.modules()):
        return False
    share = -(-config.batch_size // (trainee.size * config.accumulate))
    with seeded("layout"):
        images = torch.randn(share if trainee.on_gpu else min(share, IMAGES), 3, *image_size).to(device)
        times: dict[torch.memory_format, list[float]] = {torch.contiguous_format: [], torch.channels_last: []}
        network = copy.deepcopy(trainee.model)
        trainee.set_mode(network)
        for _ in range(1 + STEPS):
            for layout, seconds in times.items():
                network.to(memory_format=layout)
                seconds.append(_time(trainee, network, images.contiguous(memory_format=layout)))
    plain, last = (min(seconds[1:]) for seconds in times.values())
    return last < plain


def _time(trainee: Trainee, network: torch.nn.Module, images: torch.Tensor) -> float:
    """Returns the seconds of a forward and a backward pass."""
    network.zero_grad()
    _wait(trainee)
    start = time.perf_counter()
    with trainee.accelerator.autocast():
        loss = network(images).float().square().mean()
    loss.backward()
    _wait(trainee)
    return time.perf_counter() - start


def _wait(trainee: Trainee) -> None:
    if trainee.on_gpu:
        torch.cuda.synchronize(trainee.accelerator.device)

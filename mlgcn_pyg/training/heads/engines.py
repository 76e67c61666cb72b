"""The fastest training step for each device: captured in a CUDA graph, or heads side by side on the cores of a CPU."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from mlgcn_pyg.nn import MLGCNHead
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.heads.stacked import SingleHead, stack_heads
from mlgcn_pyg.training.heads.steps import Step, trained_tensors
from mlgcn_pyg.typing import Head, RowSource, TrainingStep

TURN = 16  # steps of one head before the next head: its weights and momenta stay in the CPU's cache meanwhile
MAX_BYTES = 1 << 25  # of the features of one turn, which bounds its length for large batches


class GraphedStep:
    """A :class:`Step` that is captured once in a CUDA graph and then replayed. A shorter batch runs without the graph.

    The capture leaves parameters and momenta unchanged.

    Args:
        step: the step to capture.
        batch_size: number of images of a full batch.
    """

    def __init__(self, step: Step, batch_size: int):
        self.step = step
        self.rows = torch.zeros(batch_size, dtype=torch.int64, device=step.source.device)
        trained = [tensor for tensors in trained_tensors(step.optimizers) for tensor in tensors.values()]
        before = [tensor.detach().clone() for tensor in trained]
        side = torch.cuda.Stream(self.rows.device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # warm-up: libraries are initialised, kernels are compiled
            for _ in range(3):
                step(self.rows)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        # an explicit stream: torch's default capture stream belongs to the first GPU that ever captured
        with torch.cuda.graph(self.graph, stream=side):
            self.losses = step(self.rows)
        with torch.no_grad():
            for tensor, value in zip(trained, before, strict=True):
                tensor.copy_(value)

    def __call__(self, rows: Tensor) -> Tensor:
        """Takes a step on the images of ``rows`` (B,); returns the losses (H,) before the update."""
        if len(rows) != len(self.rows):
            return self.step(rows)
        self.rows.copy_(rows)
        self.graph.replay()
        return self.losses

    def advance(self, rows: Iterator[Tensor]) -> Tensor:
        """Takes one step on the next batch of ``rows``; returns the losses (1, H)."""
        return self(next(rows)).unsqueeze(0)

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""
        self.step.release()


class SideBySide:
    """Heads on a CPU, each trained on separate cores, for several steps at a time, over the same batches.

    The products of one step are small. Cores that share a product wait for each other at each one, and the weights of
    many heads exceed the CPU's cache. A head that keeps its cores for several steps neither waits nor is evicted, and
    its arithmetic is that of the head trained alone.

    Args:
        steps: one step per head.
        source: the source that all steps share.
        batch_size: number of images of a full batch.
    """

    def __init__(self, steps: Sequence[Step], source: RowSource, batch_size: int):
        self.steps, self.source = steps, source
        batch_bytes = batch_size * source.num_features * steps[0].dtype.itemsize
        self.turn = min(TURN, max(1, MAX_BYTES // batch_bytes))
        self.cores = torch.get_num_threads()
        self.pool = ThreadPoolExecutor(min(self.cores, len(steps)))

    def advance(self, rows: Iterator[Tensor]) -> Tensor:
        """Takes a turn of n steps on the next batches of ``rows``; returns the losses (n, H)."""
        dtype = self.steps[0].dtype
        gathered = map(self.source.gather, islice(rows, self.turn))
        batches = [(features.to(dtype), targets) for features, targets in gathered]
        losses: list[Tensor] = []
        for start in range(0, len(self.steps), self.cores):
            group = self.steps[start : start + self.cores]
            cores = self.cores // len(group)  # a last, smaller group has more cores per head
            losses += self.pool.map(lambda step, cores=cores: _take_turn(step, batches, cores), group)
        return torch.stack(losses, dim=1)

    def release(self) -> None:
        """Ends the threads, removes all gradients and leaves each parameter with its own storage."""
        self.pool.shutdown()
        torch.set_num_threads(self.cores)  # the number that threads started from now on will use
        for step in self.steps:
            step.release()


def _take_turn(step: Step, batches: Sequence[tuple[Tensor, Tensor]], cores: int) -> Tensor:
    """Takes the n steps of one head, on ``cores`` cores; returns the losses (n,)."""
    torch.set_num_threads(cores)
    return torch.cat([step.on_batch(features, targets) for features, targets in batches])


def make_step(
    heads: Sequence[Head], source: RowSource, optimizers: Sequence[torch.optim.SGD], configs: Sequence[HeadConfig]
) -> TrainingStep:
    """Returns the fastest step on the device of ``source``.

    Args:
        heads: heads that passed :func:`~mlgcn_pyg.training.heads.stacked.check_alike`.
        source: features and targets.
        optimizers: one optimizer per head.
        configs: one config per head.
    """
    batch_size = configs[0].batch_size
    if side_by_side(heads, source.device):
        each = zip(heads, optimizers, configs, strict=True)
        steps = [Step(SingleHead(head), source, [optimizer], [config]) for head, optimizer, config in each]
        return SideBySide(steps, source, batch_size)
    step = Step(stack_heads(heads), source, optimizers, configs)
    if source.device.type == "cuda" and source.num_images >= batch_size:
        with torch.cuda.device(source.device):
            return GraphedStep(step, batch_size)
    return step


def side_by_side(heads: Sequence[Head], device: torch.device) -> bool:
    """Returns whether heads are trained on separate cores. On a CPU, linear heads are fast enough as one product."""
    return device.type == "cpu" and len(heads) > 1 and isinstance(heads[0], MLGCNHead)

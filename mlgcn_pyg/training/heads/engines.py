"""Steps as each device runs them best: captured in a CUDA graph, or heads side by side on the cores of a CPU."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from mlgcn_pyg.features.batches import Resident, Streamed
from mlgcn_pyg.nn import MLGCNHead
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.heads.stacked import OneHead, make_program
from mlgcn_pyg.training.heads.steps import Step, trained_tensors

TURN = 16  # steps that a head takes before it is another's turn: its weights and momenta stay in the cache meanwhile
HELD = 1 << 25  # bytes of features that a turn may hold, where batches are large


class GraphedStep:
    """A :class:`Step`, captured once in a CUDA graph and replayed; a shorter batch runs as it is.

    Parameters and momenta are after the capture what they were before.
    """

    def __init__(self, step: Step, batch_size: int):
        self.step = step
        self.rows = torch.zeros(batch_size, dtype=torch.int64, device=step.source.device)
        kept = [tensor for tensors in trained_tensors(step.optimizers) for tensor in tensors.values()]
        before = [tensor.detach().clone() for tensor in kept]
        side = torch.cuda.Stream(self.rows.device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries set themselves up, kernels are compiled
            for _ in range(3):
                step(self.rows)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=side):  # torch's own lies on the first GPU that ever captured
            self.losses = step(self.rows)
        with torch.no_grad():
            for tensor, value in zip(kept, before, strict=True):
                tensor.copy_(value)

    def __call__(self, rows: Tensor) -> Tensor:
        if len(rows) != len(self.rows):
            return self.step(rows)
        self.rows.copy_(rows)
        self.graph.replay()
        return self.losses

    def advance(self, rows: Iterator[Tensor]) -> Tensor:
        return self(next(rows)).unsqueeze(0)

    def release(self) -> None:
        self.step.release()


class SideBySide:
    """Heads on a CPU, each trained by cores of its own, some steps at a time, over the same batches.

    The products of one step are small: cores that share them wait for each other at every one of them, and weights of
    many heads do not fit into a cache together. A head that has a core for some steps neither waits nor is evicted,
    and its arithmetic is that of the head trained alone.

    Args:
        steps: one per head, on the same source. batch_size: images of a step.
    """

    def __init__(self, steps: Sequence[Step], source: Resident | Streamed, batch_size: int):
        self.steps, self.source = steps, source
        size = batch_size * source.num_features * steps[0].dtype.itemsize
        self.turn = min(TURN, max(1, HELD // size))
        self.cores = torch.get_num_threads()
        self.pool = ThreadPoolExecutor(min(self.cores, len(steps)))

    def advance(self, rows: Iterator[Tensor]) -> Tensor:
        """As :meth:`Step.advance`, a turn of steps."""
        batches = [self.source.gather(some) for some in islice(rows, self.turn)]
        batches = [(features.to(self.steps[0].dtype), targets) for features, targets in batches]
        losses = []
        for start in range(0, len(self.steps), self.cores):
            some = self.steps[start : start + self.cores]
            own = self.cores // len(some)  # the last heads of an uneven number have more cores each
            losses += self.pool.map(lambda step, own=own: _turn(step, batches, own), some)
        return torch.stack(losses, dim=1)

    def release(self) -> None:
        self.pool.shutdown()
        torch.set_num_threads(self.cores)  # what threads begun from now on will have
        for step in self.steps:
            step.release()


def _turn(step: Step, batches: Sequence[tuple[Tensor, Tensor]], cores: int) -> Tensor:
    """Losses (n,) of n steps of one head, with so many cores for this thread's products."""
    torch.set_num_threads(cores)
    return torch.cat([step.on(*batch) for batch in batches])


def make_step(
    heads: Sequence[torch.nn.Module],
    source: Resident | Streamed,
    optimizers: Sequence[torch.optim.SGD],
    configs: Sequence[HeadConfig],
) -> Step | GraphedStep | SideBySide:
    """The step of these heads, which :func:`check_alike` has seen, as it is best run where they are."""
    batch_size = configs[0].batch_size
    if side_by_side(heads, source.device):
        one_each = zip(heads, optimizers, configs, strict=True)
        return SideBySide([Step(OneHead(head), source, [o], [c]) for head, o, c in one_each], source, batch_size)
    step = Step(make_program(heads), source, optimizers, configs)
    if source.device.type == "cuda" and source.num_images >= batch_size:
        with torch.cuda.device(source.device):
            return GraphedStep(step, batch_size)
    return step


def side_by_side(heads: Sequence[torch.nn.Module], device: torch.device) -> bool:
    """Whether heads are trained each by itself. Linear ones are small enough for one product on a CPU, too."""
    return device.type == "cpu" and len(heads) > 1 and isinstance(heads[0], MLGCNHead)

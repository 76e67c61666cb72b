"""Fast training steps: one is captured in a CUDA graph, one trains heads side by side on the cores of a CPU."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import cast

import torch
from torch import Tensor

from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.nn import LabelGNNHead, MLGCNHead
from mlgcn_pyg.nn.kernels.choice import triton_runs
from mlgcn_pyg.training.config import HeadSettings
from mlgcn_pyg.training.heads.branched import BranchedMLGCN, has_branches
from mlgcn_pyg.training.heads.stacked import SingleHead, stack_heads
from mlgcn_pyg.training.heads.stacked_heads import HeadStack
from mlgcn_pyg.training.heads.steps import Step, trained_tensors
from mlgcn_pyg.typing import Head, RowSource, TrainingStep

TURN = 16  # consecutive steps of one head, whose weights and momenta then stay in the CPU's cache
GRAPH_TURN = 16  # steps of one CUDA graph
FUSED = frozenset({"gather", "loss", "update"})  # the parts of a step on CUDA that Triton kernels compute
BRANCHED = True  # whether the images and the label graph of one ML-GCN head are computed on two streams
MAX_BYTES = 1 << 25  # limit on the features of one turn, which makes turns shorter for large batches


class GraphedStep:
    """A :class:`Step` that is captured in CUDA graphs: one of a turn of n steps, and one of a single step.

    A shorter batch runs without a graph. The capture leaves parameters and momenta unchanged.

    Args:
        step: the step to capture, which keeps the learning rates of n steps.
        batch_size: number of images of a full batch.
    """

    def __init__(self, step: Step, batch_size: int):
        self.step, self.turn = step, len(step.rates)
        self.rows = torch.zeros(self.turn, batch_size, dtype=torch.int64, device=step.source.device)
        trained = [tensor for tensors in trained_tensors(step.optimizers) for tensor in tensors.values()]
        before = [tensor.detach().clone() for tensor in trained]
        forget_accumulators(step.heads.leaves)
        stream = self._warmed_up()
        self.graph, self.losses = self._captured(1, stream)
        self.turn_graph, self.turn_losses = self._captured(self.turn, stream)
        with torch.no_grad():
            for tensor, value in zip(trained, before, strict=True):
                tensor.copy_(value)

    def _warmed_up(self) -> torch.cuda.Stream:
        """Returns a stream for the capture, on which libraries are initialised and kernels are compiled."""
        stream = torch.cuda.Stream(self.rows.device)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step(self.rows[0])
        torch.cuda.current_stream().wait_stream(stream)
        return stream

    def _captured(self, count: int, stream: torch.cuda.Stream) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """Returns a graph of ``count`` steps, and the memory (count, H) to which it writes their losses."""
        graph = torch.cuda.CUDAGraph()
        # an explicit stream: torch's default capture stream belongs to the first GPU that ever captured;
        # thread_local: other threads, such as the reader of a file, may call CUDA meanwhile
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            losses = torch.stack([self.step(self.rows[n], n) for n in range(count)])
        return graph, losses

    def advance(self, rows: Iterator[Tensor], lrs: Tensor) -> Tensor:
        """Takes a turn of n steps on the next batches of ``rows``, fewer at the end; returns their losses (n, H)."""
        batches = list(islice(rows, self.turn))
        if len(batches) == self.turn and len(batches[-1]) == self.rows.size(1):
            self.step.set_rates(lrs[: self.turn])  # in memory that the graph reads
            torch.cat(batches, out=self.rows.view(-1))
            self.turn_graph.replay()
            return self.turn_losses
        return torch.stack([self._one(batch, lr) for batch, lr in zip(batches, lrs.split(1), strict=False)])

    def _one(self, batch: Tensor, lr: Tensor) -> Tensor:
        """Takes one step on the images of ``batch`` with the learning rates (1, H); returns the losses (H,)."""
        self.step.set_rates(lr)
        if len(batch) < self.rows.size(1):
            return self.step(batch)
        self.rows[0].copy_(batch)
        self.graph.replay()
        return self.losses[0].clone()  # the next step overwrites them

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""
        self.step.release()


def forget_accumulators(leaves: Sequence[Tensor]) -> None:
    """Makes autograd create a new gradient accumulator for each leaf in the next forward pass.

    An accumulator belongs to the stream of the forward pass that created it, and lives as long as a graph refers to
    it. If the caller still holds ``loss = head(x).sum()``, the backward pass of a captured step would wait for the
    stream of that older pass, which a capture forbids. A leaf loses its accumulator when the type of its data changes.
    """
    for leaf in leaves:
        data, other = leaf.data, torch.float32 if leaf.dtype == torch.float64 else torch.float64
        leaf.data = data.new_empty(0, dtype=other)
        leaf.data = data


class SideBySide:
    """Trains several heads on a CPU, each on separate cores, with the same batches.

    The matrix products of one step are small: cores that share them would mostly wait for each other. The weights of
    many heads also exceed the CPU's cache. Each head therefore keeps its cores for several consecutive steps, called a
    turn. Its arithmetic is that of a head trained alone.

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

    def advance(self, rows: Iterator[Tensor], lrs: Tensor) -> Tensor:
        """Takes a turn of n steps on the next batches of ``rows``; returns the losses (n, H)."""
        dtype = self.steps[0].dtype
        gathered = map(self.source.gather, islice(rows, self.turn))
        batches = [(features.to(dtype), targets) for features, targets in gathered]
        losses: list[Tensor] = []
        for start in range(0, len(self.steps), self.cores):
            group = self.steps[start : start + self.cores]
            cores = self.cores // len(group)  # a smaller last group has more cores per head
            turns = [
                partial(_take_turn, step, batches, lrs[:, k : k + 1], cores) for k, step in enumerate(group, start)
            ]
            losses += self.pool.map(lambda turn: turn(), turns)
        return torch.stack(losses, dim=1)

    def release(self) -> None:
        """Stops the threads, removes all gradients and leaves each parameter with its own storage."""
        self.pool.shutdown()
        torch.set_num_threads(self.cores)  # restores the number for new threads, which the turns have changed
        for step in self.steps:
            step.release()


def _take_turn(step: Step, batches: Sequence[tuple[Tensor, Tensor]], lrs: Tensor, cores: int) -> Tensor:
    """Takes one step of a head per batch, on ``cores`` cores; returns the losses (n,) of n batches."""
    torch.set_num_threads(cores)
    losses = []
    for (features, targets), lr in zip(batches, lrs.split(1), strict=False):  # lrs of the whole epoch
        step.set_rates(lr)
        losses.append(step.on_batch(features, targets))
    return torch.cat(losses)


def make_step(
    heads: Sequence[Head],
    source: RowSource,
    optimizers: Sequence[torch.optim.Optimizer],
    configs: Sequence[HeadSettings],
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
    # a CUDA graph cannot hold the convolutions of PyG: how many self-loops they add depends on the values of the edges
    if source.device.type != "cuda" or isinstance(heads[0], LabelGNNHead):
        return Step(stack_heads(heads), source, optimizers, configs)
    fused = FUSED if triton_runs(source.device) else ()
    full = source.num_images // batch_size
    # rows of a streamed source are valid until the next batch is requested
    turn = max(1, min(GRAPH_TURN, full)) if isinstance(source, ResidentRows) else 1
    with torch.cuda.device(source.device):
        stack = _branched(heads) if BRANCHED and has_branches(heads, batch_size) else stack_heads(heads)
        step = Step(stack, source, optimizers, configs, fused=fused, turn=turn)
        return GraphedStep(step, batch_size) if full else step


def _branched(heads: Sequence[Head]) -> HeadStack:
    return BranchedMLGCN(cast("MLGCNHead", heads[0]), torch.cuda.Stream())


def side_by_side(heads: Sequence[Head], device: torch.device) -> bool:
    """Returns whether to train heads on separate cores. Linear heads are fast enough as one product on a CPU too."""
    return device.type == "cpu" and len(heads) > 1 and isinstance(heads[0], MLGCNHead | LabelGNNHead)

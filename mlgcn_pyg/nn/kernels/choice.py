"""Which kernel ``auto`` takes, and why: a small table of measurements (``benchmarks/propagation.py``)."""

import importlib.util
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from mlgcn_pyg.nn.kernels.adjacency import Adjacency

# A dense matrix wins on the CPU where C·C multiplications per column cost less than the entries do sparsely.
# Measured: a multiplication in a matrix product costs this fraction of one in a gather, weights without gradients …
DENSE_FRACTION = 0.0
# … and with them (the dense gradient of the weights is a product of its own).
DENSE_FRACTION_WEIGHT_GRADIENTS = 0.0


@dataclass(frozen=True)
class Choice:
    """The kernel and the reason in words."""

    kernel: str
    reason: str


@cache
def installed(module: str) -> bool:
    """Whether an optional module could be imported."""
    return importlib.util.find_spec(module) is not None


def choose_kernel(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor | None = None) -> Choice:
    """What ``kernel="auto"`` takes for these tensors on their device, and why.

    >>> import torch
    >>> adjacency = Adjacency(torch.tensor([[0], [1]]), num_nodes=2)
    >>> choose_kernel(torch.ones(2, 8), adjacency, torch.ones(1)).kernel
    'bag'
    """
    if x.is_cuda:
        if installed("triton"):
            return Choice("triton", "on CUDA the fused kernel reads every gathered row once and writes no message")
        return Choice("bag", "on CUDA without Triton, embedding_bag writes no message")
    return Choice("bag", "on a CPU, embedding_bag writes no message, forward or backward")

"""Which kernel ``auto`` takes, and why: a small table of measurements (``benchmarks/propagation.py``)."""

import importlib.util
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from mlgcn_pyg.nn.kernels.adjacency import Adjacency

# Measured on two CPU cores, labels 20 to 1,000,000: embedding_bag is fastest in every cell but one kind. Where weights
# need gradients, the dense product's own gradients are as fast up to this many labels.
DENSE_LABELS = 32


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
    if adjacency.num_nodes <= DENSE_LABELS and (edge_weight.requires_grad or needs_grad(self_weight)):
        return Choice("dense", f"on a CPU, up to {DENSE_LABELS} labels whose weights learn fit a dense product")
    return Choice("bag", "on a CPU, embedding_bag writes no message, forward or backward")


def needs_grad(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.requires_grad

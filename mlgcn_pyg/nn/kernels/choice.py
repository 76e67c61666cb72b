"""Selects the kernel for ``kernel="auto"``, based on measurements (``benchmarks/propagation.py``)."""

import importlib.util
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.data import MAX_DENSE
from mlgcn_pyg.nn.kernels.adjacency import Adjacency
from mlgcn_pyg.values import shown

# Measured on two CPU cores for 20 to 1,000,000 labels: embedding_bag is the fastest kernel, with two exceptions. If
# weights require gradients, the dense product is as fast up to this number of labels.
DENSE_LABELS = 32
# If most pairs of labels are edges, as with the weighting "kernel", the dense product is 2 to 6 times as fast for 80 to
# 1,000 labels, except for narrow features with constant weights.
DENSE_SHARE = 1 / 2
DENSE_WIDTH = 64


@dataclass(frozen=True)
class Choice:
    """A kernel and the reason for choosing it.

    Args:
        kernel: a key of :data:`KERNELS`.
        reason: the reason, as a sentence.
    """

    kernel: str
    reason: str


@cache
def installed(module: str) -> bool:
    """Returns whether an optional module is installed."""
    return importlib.util.find_spec(module) is not None


@torch.compiler.assume_constant_result
def triton_runs(device: torch.device) -> bool:
    """Returns whether Triton compiles and launches a kernel on this GPU, which is tried once.

    Triton compiles its launcher with the C compiler of the machine. Slim container images have none.
    """
    return _triton_runs(str(device))


@cache
def _triton_runs(device: str) -> bool:
    if not installed("triton"):
        return False
    try:
        from mlgcn_pyg.nn.kernels.fused import try_launch

        try_launch(torch.device(device))
    except Exception:  # of Triton, of the compiler, or of the driver
        return False
    return True


def choose_kernel(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor | None = None) -> Choice:
    """Returns the kernel that ``kernel="auto"`` selects for these tensors, and the reason.

    Args:
        x: the features (C, F).
        adjacency: the sparsity pattern of Â.
        edge_weight: the edge weights (E,).
        self_weight: the self weights (C,). Default: zeros.

    >>> import torch
    >>> adjacency = Adjacency(torch.tensor([[0], [1]]), num_nodes=2)
    >>> choose_kernel(torch.ones(2, 8), adjacency, torch.ones(1)).kernel
    'bag'
    """
    if not isinstance(adjacency, Adjacency):
        raise InputError("adjacency", "an Adjacency", shown(adjacency))
    for name, value in (("x", x), ("edge_weight", edge_weight), ("self_weight", self_weight)):
        if not hasattr(value, "is_cuda") and not (name == "self_weight" and value is None):
            raise InputError(name, "a tensor", shown(value))
    if x.is_cuda:
        if triton_runs(x.device):
            return Choice("triton", "on CUDA, the fused kernel reads each gathered row once and stores no messages")
        return Choice("bag", "on CUDA where Triton is missing or has no C compiler, embedding_bag stores no messages")
    learned = edge_weight.requires_grad or (self_weight is not None and self_weight.requires_grad)
    if adjacency.num_nodes <= DENSE_LABELS and learned:
        return Choice("dense", f"on a CPU, a dense product is fast for learned weights of up to {DENSE_LABELS} labels")
    num_labels = adjacency.num_nodes
    most_pairs = DENSE_LABELS < num_labels <= MAX_DENSE and adjacency.num_edges >= DENSE_SHARE * num_labels**2
    if most_pairs and (learned or x.size(1) >= DENSE_WIDTH):
        return Choice("dense", "on a CPU, a dense product is fast where most pairs of labels are edges")
    return Choice("bag", "on a CPU, embedding_bag stores no messages in the forward or the backward pass")

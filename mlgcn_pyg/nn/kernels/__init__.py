"""Propagation over a label graph of any size: one function with several kernels, chosen automatically."""

from mlgcn_pyg.nn.kernels.adjacency import Adjacency
from mlgcn_pyg.nn.kernels.choice import Choice, choose_kernel
from mlgcn_pyg.nn.kernels.dispatch import KERNELS, propagate

__all__ = ["KERNELS", "Adjacency", "Choice", "choose_kernel", "propagate"]

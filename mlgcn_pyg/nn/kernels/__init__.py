"""Propagation at every size: one signature, several kernels, a choice that can be asked why."""

from mlgcn_pyg.nn.kernels.adjacency import Adjacency
from mlgcn_pyg.nn.kernels.choice import Choice, choose_kernel
from mlgcn_pyg.nn.kernels.dispatch import KERNELS, propagate

__all__ = ["KERNELS", "Adjacency", "Choice", "choose_kernel", "propagate"]

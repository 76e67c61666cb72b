"""Kernels from PyTorch and PyTorch Geometric: messages, and a dense matrix."""

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.data import MAX_DENSE
from mlgcn_pyg.nn.kernels.adjacency import Adjacency


def gather_scatter(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor) -> Tensor:
    """Returns Âx as PyG computes it: the messages (E, F) of all edges are scattered to their receivers."""
    messages = edge_weight.view(-1, 1) * x.index_select(0, adjacency.sender)
    received = scatter(messages, adjacency.receiver, dim=0, dim_size=adjacency.num_nodes, reduce="sum")
    return received + self_weight.view(-1, 1) * x


def dense(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor) -> Tensor:
    """Returns Âx with Â as a C×C matrix, for graphs of a few hundred labels.

    Raises:
        InputError: if there are more than 16,384 labels, for which the matrix would take over 1 GiB.
    """
    if adjacency.num_nodes > MAX_DENSE:
        fix = "use kernel='auto'"
        raise InputError("kernel", f"at most {MAX_DENSE} labels for kernel 'dense'", adjacency.num_nodes, fix)
    matrix = torch.diag(self_weight).index_put((adjacency.receiver, adjacency.sender), edge_weight, accumulate=True)
    return matrix @ x

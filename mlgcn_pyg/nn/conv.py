"""The re-weighted graph convolution."""

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.kernels import Adjacency, propagate


class ReweightedConv(MessagePassing):
    r"""The graph convolution of `"Multi-Label Image Recognition with Graph Convolutional Networks"
    <https://arxiv.org/abs/1904.03582>`_ (Eq. 2), with the re-weighted propagation of Eq. 8:

    .. math::
        \mathbf{h}'_i = s_i \, \mathbf{h}_i \mathbf{W} + \sum_{j} w_{ij} \, \mathbf{h}_j \mathbf{W} \; (+ \mathbf{b})

    With :math:`s_i = 1 - p` and :math:`w_{ij} = p / \#\text{neighbours}` this is Eq. 8: every label moves the
    fraction p of the way to the mean of its neighbours. The self weights are a vector, not self-loops, so no edge
    is ever added or removed, and a label without edges is scaled by :math:`s_i` alone.

    Args:
        in_channels: width of the input; C for one-hot input given as ``x=None``.
        out_channels: width of the output.
        bias: learn an additive bias (the paper has none).
        flow: who receives. ``"target_to_source"``: ``edge_index[0]`` from ``edge_index[1]`` (weightings ``paper`` and
            ``binary``); ``"source_to_target"``: the other way (``released``). Give it ``graph.flow``.

    Given an ``edge_index`` tensor, it propagates as PyG does (message, aggregate); given an
    :class:`~mlgcn_pyg.nn.kernels.Adjacency`, by the fastest kernel and on the narrower side of W.

    Shapes:
        - **x:** (C, in_channels), or None for one-hot input (C = in_channels)
        - **edge_index:** (2, E) or an Adjacency; **edge_weight:** (E,); **self_weight:** (C,)
        - **output:** (C, out_channels)

    Raises:
        InputError: channels below 1 or an unknown flow; a shape that does not fit.

    >>> conv = ReweightedConv(1, 1)
    >>> conv.weight.data.fill_(1.0)
    tensor([[1.]])
    >>> x, edge_index = torch.tensor([[1.0], [3.0]]), torch.tensor([[0], [1]])  # 0 hears from 1
    >>> conv(x, edge_index, edge_weight=torch.tensor([0.2]), self_weight=torch.tensor([0.8, 0.8])).detach()
    tensor([[1.4000],
            [2.4000]])
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False, flow: str = "target_to_source"):
        super().__init__(aggr="sum", flow=check_choice("flow", flow, ("target_to_source", "source_to_target")))
        self.in_channels = check_positive("in_channels", in_channels)
        self.out_channels = check_positive("out_channels", out_channels)
        self.weight = torch.nn.Parameter(torch.empty(in_channels, out_channels))
        self.bias = torch.nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """U(−1/√out, 1/√out), as in the released code (Glorot's range would give 4 times its first logits)."""
        bound = self.out_channels**-0.5
        torch.nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            torch.nn.init.uniform_(self.bias, -bound, bound)

    def forward(
        self, x: Tensor | None, edge_index: Tensor | Adjacency, edge_weight: Tensor, self_weight: Tensor
    ) -> Tensor:
        if isinstance(edge_index, Adjacency):
            out = self._by_kernel(x, edge_index, edge_weight, self_weight)
        else:
            self._check(x, edge_index, edge_weight, self_weight)
            h = self.weight if x is None else x @ self.weight  # the one-hot matrix times W is W
            out = self.propagate(edge_index, x=h, edge_weight=edge_weight) + self_weight.view(-1, 1) * h
        return out if self.bias is None else out + self.bias

    def _by_kernel(self, x, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor) -> Tensor:
        if adjacency.flow != self.flow:
            raise InputError("edge_index", f"an adjacency with flow {self.flow!r}", repr(adjacency.flow))
        self._check_width(x)
        if x is None:
            return propagate(self.weight, adjacency, edge_weight, self_weight)
        if self.in_channels <= self.out_channels:  # Â(XW) = (ÂX)W
            return propagate(x, adjacency, edge_weight, self_weight) @ self.weight
        return propagate(x @ self.weight, adjacency, edge_weight, self_weight)

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        return edge_weight.view(-1, 1) * x_j

    def _check_width(self, x: Tensor | None) -> None:
        if x is not None and (x.dim() != 2 or x.size(1) != self.in_channels):
            raise InputError("x", f"shape (num_labels, {self.in_channels})", f"shape {tuple(x.shape)}")

    def _check(self, x, edge_index, edge_weight, self_weight) -> None:
        self._check_width(x)
        num_labels = self.in_channels if x is None else x.size(0)
        if edge_index.dim() != 2 or edge_index.size(0) != 2:
            raise InputError("edge_index", "shape (2, num_edges)", f"shape {tuple(edge_index.shape)}")
        if tuple(edge_weight.shape) != (edge_index.size(1),):
            raise InputError("edge_weight", f"shape ({edge_index.size(1)},)", f"shape {tuple(edge_weight.shape)}")
        if tuple(self_weight.shape) != (num_labels,):
            raise InputError("self_weight", f"shape ({num_labels},)", f"shape {tuple(self_weight.shape)}")

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.in_channels}, {self.out_channels}, flow={self.flow!r})"

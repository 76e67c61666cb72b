"""The re-weighted graph convolution."""

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing

from mlgcn_pyg.checks import check_choice, check_flag, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.gcn import LabelOperator, gcn_layer
from mlgcn_pyg.nn.kernels import Adjacency
from mlgcn_pyg.nn.kernels.adjacency import check_edge_index
from mlgcn_pyg.tensor_checks import check_floats


class ReweightedConv(MessagePassing):
    r"""The graph convolution of `"Multi-Label Image Recognition with Graph Convolutional Networks"
    <https://arxiv.org/abs/1904.03582>`_ (Eq. 2), with the re-weighted propagation of Eq. 8:

    .. math::
        \mathbf{h}'_i = s_i \, \mathbf{h}_i \mathbf{W} + \sum_{j \in \mathcal{N}(i)} w_{ij} \, \mathbf{h}_j \mathbf{W}
        \; (+ \mathbf{b})

    With the self weight :math:`s_i = 1 - p` and edge weights :math:`w_{ij} = p / |\mathcal{N}(i)|`, this is Eq. 8: the
    label :math:`i` keeps the fraction :math:`1 - p` of its own features and receives the fraction :math:`p` from its
    neighbours. The self weights are a separate vector, not self-loops. The operator never adds or removes an
    edge. A label without neighbours is scaled by :math:`s_i`.

    With an ``edge_index`` tensor, the operator computes and aggregates messages, as usual in PyG. With an
    :class:`~mlgcn_pyg.nn.kernels.Adjacency`, it uses the fastest kernel, on the narrower side of :math:`\mathbf{W}`.

    Args:
        in_channels: size of each input sample; the number of labels for one-hot input (``x=None``).
        out_channels: size of each output sample.
        bias: if set to True, the layer learns an additive bias. The paper uses no bias.
        flow: the direction of propagation, which is ``graph.flow`` for a label graph. With ``"target_to_source"``, the
            label ``edge_index[0]`` receives from ``edge_index[1]`` (weightings ``paper`` and ``binary``); with
            ``"source_to_target"``, ``edge_index[1]`` receives from ``edge_index[0]`` (weighting ``released``).

    Shapes:
        - **x:** (C, in_channels), or None for one-hot input (C = in_channels)
        - **edge_index:** (2, E), or an :class:`~mlgcn_pyg.nn.kernels.Adjacency`
        - **edge_weight:** (E,)
        - **self_weight:** (C,)
        - **output:** (C, out_channels)

    Raises:
        InputError: if a number of channels is below 1, the flow is unknown, or a shape does not match.

    >>> conv = ReweightedConv(1, 1)
    >>> conv.weight.data.fill_(1.0)
    tensor([[1.]])
    >>> x, edge_index = torch.tensor([[1.0], [3.0]]), torch.tensor([[0], [1]])  # label 0 receives from label 1
    >>> conv(x, edge_index, edge_weight=torch.tensor([0.2]), self_weight=torch.tensor([0.8, 0.8])).detach()
    tensor([[1.4000],
            [2.4000]])
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False, flow: str = "target_to_source"):
        super().__init__(aggr="sum", flow=check_choice("flow", flow, ("target_to_source", "source_to_target")))
        self.in_channels = check_positive("in_channels", in_channels)
        self.out_channels = check_positive("out_channels", out_channels)
        self.weight = torch.nn.Parameter(torch.empty(self.in_channels, self.out_channels))
        self.bias = torch.nn.Parameter(torch.empty(self.out_channels)) if check_flag("bias", bias) else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias from U(−1/√out, 1/√out), as the released code does.

        With Glorot initialisation, the initial logits would be four times as large.
        """
        bound = self.out_channels**-0.5
        torch.nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            torch.nn.init.uniform_(self.bias, -bound, bound)

    def forward(
        self, x: Tensor | None, edge_index: Tensor | Adjacency, edge_weight: Tensor, self_weight: Tensor
    ) -> Tensor:
        """Returns the propagated and transformed features (C, out_channels)."""
        self._check_features(x)
        if isinstance(edge_index, Adjacency):
            if edge_index.flow != self.flow:
                raise InputError("edge_index", f"an adjacency with flow {self.flow!r}", repr(edge_index.flow))
            out = gcn_layer(x, self.weight, LabelOperator(edge_index, edge_weight, self_weight))
        else:
            self._check_edges(x, edge_index, edge_weight, self_weight)
            h = self.weight if x is None else x @ self.weight  # the one-hot matrix times W is W
            out = self.propagate(edge_index, x=h, edge_weight=edge_weight) + self_weight.view(-1, 1) * h
        return out if self.bias is None else out + self.bias

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        """Returns the message (E, out_channels) of each edge."""
        return edge_weight.view(-1, 1) * x_j

    def _check_features(self, x: Tensor | None) -> None:
        if x is not None and not isinstance(x, Tensor):
            fix = "a label graph has one set of nodes, which send and receive"
            raise InputError("x", f"one tensor (num_labels, {self.in_channels})", type(x).__name__, fix)
        if x is not None:
            check_floats("x", x, ("num_labels", self.in_channels), self.weight)

    def _check_edges(self, x: Tensor | None, edge_index: Tensor, edge_weight: Tensor, self_weight: Tensor) -> None:
        num_labels = self.in_channels if x is None else x.size(0)
        if not isinstance(edge_index, Tensor) or edge_index.layout != torch.strided:
            layout = edge_index.layout if isinstance(edge_index, Tensor) else type(edge_index).__name__
            raise InputError("edge_index", "a tensor (2, num_edges) or an Adjacency", layout)
        check_edge_index(edge_index, num_labels)
        check_floats("edge_weight", edge_weight, (edge_index.size(1),), self.weight)
        check_floats("self_weight", self_weight, (num_labels,), self.weight)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.in_channels}, {self.out_channels}, flow={self.flow!r})"

"""The ML-GCN head: a GCN computes one classifier per label, and the classifiers are applied to image features."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_flag, check_number, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.twins import IndistinctLabels, indistinct_labels
from mlgcn_pyg.nn.conv import ReweightedConv
from mlgcn_pyg.nn.gcn import LabelOperator, gcn_factors, gcn_logits
from mlgcn_pyg.nn.graph_buffers import check_graph, check_saved_buffer, equal_values
from mlgcn_pyg.nn.kernels import Adjacency
from mlgcn_pyg.nn.learned_edges import LearnedEdges
from mlgcn_pyg.nn.linear_head import fold
from mlgcn_pyg.nn.topk import highest
from mlgcn_pyg.tensor_checks import check_floats
from mlgcn_pyg.values import shown

GRAPH_BUFFERS = ("x", "edge_index", "edge_weight", "self_weight")


class MLGCNHead(torch.nn.Module):
    r"""The head of `"Multi-Label Image Recognition with Graph Convolutional Networks"
    <https://arxiv.org/abs/1904.03582>`_ (Sec. 3.2): a GCN maps label embeddings to one classifier per label.

    .. math::
        \mathbf{H}_0 = \mathbf{x}, \quad
        \mathbf{H}_{l+1} = h(\hat{\mathbf{A}} \mathbf{H}_l \mathbf{W}_l), \quad
        \text{logits} = \mathbf{X} \, \mathbf{W}_{cls}^{\top}, \quad \mathbf{W}_{cls} = \mathbf{H}_L

    The nonlinearity :math:`h` is LeakyReLU between the layers and the identity after the last layer (Eqs. 2 and 4).
    There is no bias.

    The head computes these products in the cheapest order (:mod:`mlgcn_pyg.nn.gcn`). It propagates on the narrower side
    of :math:`\mathbf{W}_l`, computes the constant :math:`\hat{\mathbf{A}} \mathbf{x}` of the first layer once, and
    projects the features before the last propagation if this takes fewer multiplications.

    :meth:`forward` always uses the current parameters. For inference, :meth:`to_linear` folds the whole head into one
    linear layer.

    Args:
        graph: the label graph. Its embeddings, edges and weights become buffers of the head.
        num_features: size D of an image feature (``backbone.num_features``). Default: 2048, as for ResNet-101.
        hidden_channels: sizes between the layers: ``(1024,)`` for two layers, ``(1024, 1024)`` for three (Table 3).
        negative_slope: negative slope of the LeakyReLU, in [0, 1]; 0.2 in the paper.
        learn_edges: if set to True, the edge weights are learned (:class:`~mlgcn_pyg.nn.learned_edges.LearnedEdges`).
            Requires the weighting ``"paper"``.
        learn_p: if set to True, one p per label is learned. Requires the weighting ``"paper"`` and 0 < p < 1.

    Shapes:
        - **features:** (B, D)
        - **logits:** (B, C)

    Raises:
        InputError: if the label graph is invalid, a size is below 1, the negative slope is out of range, the features
            do not have the size D, or the graph does not support ``learn_edges`` or ``learn_p``.

    >>> graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5))
    >>> head = MLGCNHead(graph, num_features=8, hidden_channels=(4,))
    >>> head(torch.randn(2, 8)).shape, head.classifiers().shape, head.to_linear()
    (torch.Size([2, 3]), torch.Size([3, 8]), Linear(in_features=8, out_features=3, bias=False))
    """

    x: Tensor | None
    edge_index: Tensor
    edge_weight: Tensor
    self_weight: Tensor
    propagated_x: Tensor | None
    learned: LearnedEdges | None

    def __init__(
        self,
        graph: LabelGraph,
        num_features: int = 2048,
        hidden_channels: Sequence[int] = (1024,),
        *,
        negative_slope: float = 0.2,
        learn_edges: bool = False,
        learn_p: bool = False,
    ):
        super().__init__()
        check_graph(graph)
        self.label_names = tuple(graph.label_names)
        self.num_features = check_positive("num_features", num_features)
        if not isinstance(hidden_channels, Sequence) or isinstance(hidden_channels, str | bytes):
            raise InputError("hidden_channels", "a sequence of integers ≥ 1", shown(hidden_channels))
        self.hidden_channels = tuple(check_positive("hidden_channels", width) for width in hidden_channels)
        self.negative_slope = check_number("negative_slope", negative_slope, 0, 1)
        self.learn_edges, self.learn_p = check_flag("learn_edges", learn_edges), check_flag("learn_p", learn_p)
        self._graph = copy.copy(graph)  # without the embeddings, which may be large and are already a buffer
        self._graph.x = None
        self._graph = self._graph.clone().to("cpu")
        for name in GRAPH_BUFFERS:
            value = getattr(graph, name)  # x is None for one-hot labels
            self.register_buffer(name, None if value is None else value.detach().clone())
        if self.x is not None:
            self.x = self.x.to(graph.edge_weight.dtype)
        self.learned = LearnedEdges(graph, learn_edges, learn_p) if learn_edges or learn_p else None
        sizes = [graph.embedding_dim, *self.hidden_channels, self.num_features]
        self.convs = torch.nn.ModuleList(
            ReweightedConv(a, b, flow=graph.flow) for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self._derive()
        self._stale = False  # whether the buffers have had no values since the last call of _derive
        self.register_load_state_dict_pre_hook(MLGCNHead._before_loading)
        self.register_load_state_dict_post_hook(MLGCNHead._after_loading)

    def _derive(self) -> None:
        """Computes what follows from the buffers of the graph: the sorted edges, their receivers, and Âx."""
        self.adjacency = Adjacency(self.edge_index, self.num_labels, self._graph.flow)
        if self.learned is not None:
            self.learned.set_receivers(self.edge_index[0], self.num_labels)
        self._propagate_constant()

    def _before_loading(self, state_dict: Mapping[str, Any], prefix: str, *_: object) -> None:
        """Checks that the state dict was saved with this label graph: trained weights fit its edges only."""
        expected = {name: getattr(self._graph, name) for name in GRAPH_BUFFERS} | {"x": self.x}
        self._stale |= not equal_values(self.self_weight, expected["self_weight"])
        if self._stale:
            expected.pop("x")  # the head has no other copy of its embeddings
        for name, value in expected.items():
            check_saved_buffer(name, getattr(self, name), value, state_dict.get(prefix + name))

    def _after_loading(self, _: object) -> None:
        """Derives buffers again that had no values, or are of a different type or on another device than those loaded.

        Otherwise the tensors stay where they are, since a captured CUDA graph may refer to them.
        """
        if self.edge_index.is_meta:
            return
        value = self.propagated_x
        moved = self.adjacency.perm.device != self.edge_index.device
        if self._stale or moved or (value is not None and value.dtype != self.edge_weight.dtype):
            self._derive()
            self._stale = False

    @torch.no_grad()
    def _propagate_constant(self) -> None:
        """Computes Âx if it is constant: there are embeddings, and the edges are not learned."""
        value = None
        if self.x is not None and self.learned is None:
            value = self._operator()(self.x)
        self.register_buffer("propagated_x", value, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        dtype = self.edge_weight.dtype
        super()._apply(fn, recurse)
        if self.edge_weight.dtype != dtype and not self.edge_weight.is_meta:
            self._propagate_constant()  # Âx is computed in the new precision, not converted from the old one
        return self

    @property
    def num_labels(self) -> int:
        """The number of labels C."""
        return len(self.label_names)

    @property
    def layers(self) -> Sequence[ReweightedConv]:
        """The GCN layers."""
        return cast("Sequence[ReweightedConv]", self.convs)  # ModuleList does not know the type of its modules

    def reset_parameters(self) -> None:
        """Initialises all parameters again; learned edges are reset to those of Eq. 8."""
        for conv in self.layers:
            conv.reset_parameters()
        if self.learned is not None:
            self.learned.reset_parameters()

    def weights(self) -> tuple[Tensor, Tensor]:
        """Returns ``edge_weight`` (E,) and ``self_weight`` (C,), the current entries of Â."""
        return (self.edge_weight, self.self_weight) if self.learned is None else self.learned()

    def _operator(self) -> LabelOperator:
        return LabelOperator(self.adjacency, *self.weights())

    def _factors(self) -> tuple[Tensor, Tensor | None]:
        """Returns H and W with W_cls = HW; see :func:`~mlgcn_pyg.nn.gcn.gcn_factors`."""
        weights = [conv.weight for conv in self.layers]
        return gcn_factors(self.x, self.propagated_x, weights, self._operator(), self.negative_slope)

    def classifiers(self) -> Tensor:
        """Returns W_cls (C, D), one classifier per label."""
        h, weight = self._factors()
        return h if weight is None else h @ weight

    def forward(self, features: Tensor) -> Tensor:
        """Returns the logits (B, C) of image features (B, D)."""
        check_floats("features", features, ("batch", self.num_features), self.layers[-1].weight)
        h, weight = self._factors()
        train_head = torch.is_grad_enabled() and weight is not None and weight.requires_grad
        train_features = torch.is_grad_enabled() and features.requires_grad
        return gcn_logits(features, h, weight, train_head=train_head, train_features=train_features)

    @torch.no_grad()
    def to_linear(self) -> torch.nn.Linear:
        """Returns the head with its current parameters as one ``nn.Linear(D, C, bias=False)``."""
        return fold(self.classifiers())

    @torch.no_grad()
    def topk(self, features: Tensor, k: int, label_chunk: int = 65_536) -> tuple[Tensor, Tensor]:
        """Returns the k highest logits (B, k) of each image and their labels (B, k), without storing all B · C logits.

        Args:
            features: image features (B, D).
            k: number of labels per image, at most C.
            label_chunk: number of labels scored at a time. Logits (B, label_chunk) are stored.

        Raises:
            InputError: if a shape does not match, a number is below 1, or k is above C.
        """
        check_floats("features", features, ("batch", self.num_features), self.layers[-1].weight)
        if check_positive("k", k) > self.num_labels:
            raise InputError("k", f"at most {self.num_labels}, the number of labels", k)
        h, weight = self._factors()
        projected = features if weight is None else features @ weight.t()
        return highest(projected, h, k, check_positive("label_chunk", label_chunk))

    def base_graph(self) -> LabelGraph:
        """Returns a copy of the label graph that the head was built from, on the CPU.

        Raises:
            InputError: if the head is on the device ``"meta"``.
        """
        if any(value.is_meta for value in self.weights()):
            fix = "load a state dict with assign=True first"
            raise InputError("head", "a head with values", "a head on the device 'meta'", fix)
        graph = self._graph.clone()
        if self.x is not None:
            graph.x = self.x.cpu().clone()
        return graph

    def indistinct_labels(self) -> IndistinctLabels:
        """Returns the labels whose classifiers are equal, or 0, whatever the GCN weights of this head are."""
        graph = copy.copy(self._graph)
        graph.x = self.x
        return indistinct_labels(graph, len(self.convs))

    @torch.no_grad()
    def label_graph(self) -> LabelGraph:
        """Returns a copy of the label graph with the current weights, which may be learned, in its precision."""
        graph = self.base_graph()
        graph.edge_weight, graph.self_weight = (w.detach().to(graph.edge_weight, copy=True) for w in self.weights())
        return graph

    @torch.no_grad()
    def with_graph(self, graph: LabelGraph) -> "MLGCNHead":
        """Returns a head on a different label graph, with the trained GCN weights of this head.

        All labels share the GCN weights, so the graphs may have different labels. Learned edges and p are copied for
        labels whose names are in both graphs. For all other labels, they are initialised as in Eq. 8.

        Args:
            graph: the label graph, whose embeddings have the same size as those of this head.

        Raises:
            InputError: if the embeddings differ in size, or only one of the graphs has one-hot labels.
        """
        check_graph(graph)
        size = self.layers[0].in_channels
        if (self.x is None) != (graph.x is None) or graph.embedding_dim != size:
            kind = "one-hot " if self.x is None else ""
            found = f"width {graph.embedding_dim}" + (" (one-hot)" if graph.x is None else "")
            raise InputError("graph", f"{kind}embeddings of width {size}", found)
        head = MLGCNHead(
            graph, self.num_features, self.hidden_channels,
            negative_slope=self.negative_slope, learn_edges=self.learn_edges, learn_p=self.learn_p,
        ).to(self.layers[0].weight)  # fmt: skip
        for conv, trained in zip(head.layers, self.layers, strict=True):
            conv.weight.copy_(trained.weight)
        if head.learned is not None and self.learned is not None:
            head.learned.copy_common(graph, self.learned, self._graph)
        return head

    def extra_repr(self) -> str:
        return f"num_labels={self.num_labels}, num_edges={self.edge_index.size(1)}, num_features={self.num_features}"

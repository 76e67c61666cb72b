"""The ML-GCN head: a GCN computes one classifier per label, and the classifiers are applied to image features."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_flag, check_number, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.graph.twins import IndistinctLabels, indistinct_labels
from mlgcn_pyg.nn.conv import ReweightedConv
from mlgcn_pyg.nn.gcn import gcn_factors, gcn_hidden, gcn_logits
from mlgcn_pyg.nn.graph_buffers import check_graph
from mlgcn_pyg.nn.graph_module import GraphModule
from mlgcn_pyg.tensor_checks import check_floats
from mlgcn_pyg.values import shown


class MLGCNHead(GraphModule):
    r"""The head of `"Multi-Label Image Recognition with Graph Convolutional Networks"
    <https://arxiv.org/abs/1904.03582>`_ (Sec. 3.2): a GCN maps label embeddings to one classifier per label.

    .. math::
        \mathbf{H}_0 = \mathbf{x}, \quad
        \mathbf{H}_{l+1} = h(\hat{\mathbf{A}} \mathbf{H}_l \mathbf{W}_l), \quad
        \text{logits} = \tilde{\mathbf{X}} \, \mathbf{W}_{cls}^{\top} \; (+ \mathbf{b}), \quad
        \mathbf{W}_{cls} = \mathbf{H}_L

    The nonlinearity :math:`h` is LeakyReLU between the layers and the identity after the last layer (Eqs. 2 and 4). The
    features :math:`\tilde{\mathbf{X}}` are standardised if the head has statistics
    (:class:`~mlgcn_pyg.nn.Standardize`), otherwise they are :math:`\mathbf{X}`. The paper has neither statistics nor a
    bias.

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
            Requires the weighting ``"paper"``, or ``"kernel"``
            (:class:`~mlgcn_pyg.nn.learned_entries.LearnedEntries`).
        learn_p: if set to True, one p per label is learned. Requires the weighting ``"paper"`` and 0 < p < 1.
        bias: if set to True, the head learns an additive bias per label, starting at 0.

    Shapes:
        - **features:** (B, D)
        - **logits:** (B, C)

    Raises:
        InputError: if the label graph is invalid, a size is below 1, the negative slope is out of range, the features
            do not have the size D, or the graph does not support ``learn_edges`` or ``learn_p``; if the graph has
            embeddings and the weighting ``"kernel"``, which does not propagate them.

    >>> graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5))
    >>> head = MLGCNHead(graph, num_features=8, hidden_channels=(4,))
    >>> head(torch.randn(2, 8)).shape, head.classifiers().shape, head.to_linear()
    (torch.Size([2, 3]), torch.Size([3, 8]), Linear(in_features=8, out_features=3, bias=False))
    """

    def __init__(
        self,
        graph: LabelGraph,
        num_features: int = 2048,
        hidden_channels: Sequence[int] = (1024,),
        *,
        negative_slope: float = 0.2,
        learn_edges: bool = False,
        learn_p: bool = False,
        bias: bool = False,
    ):
        super().__init__(graph, learn_edges, learn_p)
        if graph.weighting == KERNEL and graph.x is not None:
            fix = "use SharingHead, or graph.reweighted(weighting='paper')"
            expected = "a graph without embeddings for weighting 'kernel', which does not propagate them"
            raise InputError("graph", expected, f"embeddings of width {graph.embedding_dim}", fix)
        self.num_features = check_positive("num_features", num_features)
        if not isinstance(hidden_channels, Sequence) or isinstance(hidden_channels, str | bytes):
            raise InputError("hidden_channels", "a sequence of integers ≥ 1", shown(hidden_channels))
        self.hidden_channels = tuple(check_positive("hidden_channels", width) for width in hidden_channels)
        self.negative_slope = check_number("negative_slope", negative_slope, 0, 1)
        sizes = [graph.embedding_dim, *self.hidden_channels, self.num_features]
        self.convs = torch.nn.ModuleList(
            ReweightedConv(a, b, flow=graph.flow) for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        zeros = torch.nn.Parameter(torch.zeros(self.num_labels)) if check_flag("bias", bias) else None
        self.register_parameter("bias", zeros)

    @property
    def layers(self) -> Sequence[ReweightedConv]:
        """The GCN layers."""
        return cast("Sequence[ReweightedConv]", self.convs)  # ModuleList does not know the type of its modules

    def reset_parameters(self) -> None:
        """Initialises all parameters again; learned edges are reset to those of Eq. 8, and the bias to 0."""
        for conv in self.layers:
            conv.reset_parameters()
        if self.bias is not None:
            torch.nn.init.zeros_(self.bias)
        if self.learned is not None:
            self.learned.reset_parameters()

    def factors(self) -> tuple[Tensor, Tensor | None]:
        """Returns H and W with W_cls = HW; see :func:`~mlgcn_pyg.nn.gcn.gcn_factors`."""
        weights = [conv.weight for conv in self.layers]
        return gcn_factors(self.x, self.propagated_x, weights, self._operator(), self.negative_slope)

    def unpropagated(self) -> tuple[Tensor, Tensor | None]:
        """Returns H and W with V = HW, the classifiers before the last propagation; V and None for one-hot labels."""
        weights = [conv.weight for conv in self.layers]
        h = gcn_hidden(self.x, self.propagated_x, weights, self._operator(), self.negative_slope)
        return (weights[-1], None) if h is None else (h, weights[-1])

    def classifiers(self) -> Tensor:
        """Returns W_cls (C, D), which applies to standardised features if the head has statistics."""
        h, weight = self.factors()
        return h if weight is None else h @ weight

    def forward(self, features: Tensor) -> Tensor:
        """Returns the logits (B, C) of image features (B, D)."""
        check_floats("features", features, ("batch", self.num_features), self.layers[-1].weight)
        h, weight = self.factors()
        train_head = torch.is_grad_enabled() and weight is not None and weight.requires_grad
        train_features = torch.is_grad_enabled() and features.requires_grad
        features = self.standardized(features)
        logits = gcn_logits(features, h, weight, train_head=train_head, train_features=train_features)
        return logits if self.bias is None else logits + self.bias

    def indistinct_labels(self) -> IndistinctLabels:
        """Returns the labels whose classifiers are equal, or 0, whatever the GCN weights of this head are."""
        graph = copy.copy(self._graph)
        graph.x = self.x
        return indistinct_labels(graph, len(self.convs))

    @torch.no_grad()
    def with_graph(self, graph: LabelGraph) -> "MLGCNHead":
        """Returns a head on a different label graph, with the trained GCN weights of this head.

        All labels share the GCN weights, so the graphs may have different labels. Learned edges and p are copied for
        labels whose names are in both graphs. For all other labels, they are initialised as in Eq. 8. The statistics of
        the features are copied, and so is the bias of labels whose names are in both graphs. All other labels get the
        mean of the biases.

        Hence a head can score labels that have no training images. Their classifiers follow from their embeddings,
        which must be from the source of the other embeddings, and from their edges. Such scores rank images; a
        threshold requires images that show the label. On coco30k, with two of 18 labels left out of the 20,000 training
        images and GloVe embeddings, the AUROC of these labels is 0.68, and their AP is 2.1 times that of chance; it is
        0.92 and 13 times if their targets are used. Heads with random inner layers reach 0.74 and 2.5 times, but 2.5
        mAP less for known labels; a head has them if it gets its statistics before it is trained
        (:meth:`~mlgcn_pyg.nn.standardized_head.StandardizedHead.set_statistics`). The linear classifier of the known
        label with the most similar embedding is as good (``benchmarks/unseen_labels.py``).

        Args:
            graph: the label graph, whose embeddings have the same size as those of this head.

        Raises:
            InputError: if the embeddings differ in size, or only one of the graphs has one-hot labels.

        >>> mined = LabelGraph.from_targets([["horse", "person"], ["person"]], x=[[1.0, 0.2], [0.1, 1.0]])
        >>> head = MLGCNHead(mined, num_features=8, hidden_channels=(4,))  # then fit_head
        >>> graph = head.base_graph().with_labels(["zebra"], x=[[0.9, 0.1]])
        >>> head.with_graph(graph.with_edges([("zebra", "horse", 0.9)]))(torch.randn(2, 8)).shape
        torch.Size([2, 3])
        """
        check_graph(graph)
        self._check_embeddings(graph)
        head = MLGCNHead(
            graph, self.num_features, self.hidden_channels,
            negative_slope=self.negative_slope, learn_edges=self.learn_edges, learn_p=self.learn_p,
            bias=self.bias is not None,
        ).to(self.layers[0].weight)  # fmt: skip
        for conv, trained in zip(head.layers, self.layers, strict=True):
            conv.weight.copy_(trained.weight)
        if head.learned is not None:
            head.learned.copy_common(graph, self.learned, self._graph)
        head.standardize = copy.deepcopy(self.standardize)
        self._copy_bias(head)
        return head

    def extra_repr(self) -> str:
        return f"num_labels={self.num_labels}, num_edges={self.edge_index.size(1)}, num_features={self.num_features}"

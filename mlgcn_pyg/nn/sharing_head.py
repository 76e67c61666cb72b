"""The label-sharing head: linear classifiers that are mixed over the label graph."""

import copy
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.twins import IndistinctLabels, indistinct_labels
from mlgcn_pyg.nn.gcn import exporting
from mlgcn_pyg.nn.graph_buffers import check_graph
from mlgcn_pyg.nn.graph_module import GraphModule
from mlgcn_pyg.tensor_checks import check_floats
from mlgcn_pyg.text import described_groups


class SharingHead(GraphModule):
    r"""Linear classifiers V that labels share over their graph:

    .. math:: \text{logits} = \tilde{\mathbf{X}} \, \mathbf{W}_{cls}^{\top} + \mathbf{b}, \qquad
        \mathbf{W}_{cls} = \mathbf{S} \mathbf{V}, \quad \mathbf{S} = \hat{\mathbf{A}}

    This is an ML-GCN of one layer on one-hot labels: it equals :class:`~mlgcn_pyg.nn.MLGCNHead` with
    ``hidden_channels=()`` and a bias on the graph without embeddings, and :class:`~mlgcn_pyg.nn.LinearHead` where S = I
    (weighting ``"none"``, p = 0 or α = 0). With S fixed and a penalty on V, the loss is convex, and the graph is a
    prior: the rows of W_cls have the covariance SSᵀ. It is useful where labels have few positive images.

    The features :math:`\tilde{\mathbf{X}}` are standardised if the head has statistics
    (:class:`~mlgcn_pyg.nn.Standardize`). The embeddings of the graph are not propagated: only S of the weighting
    ``"kernel"`` depends on them.

    Args:
        graph: the label graph, with any weighting.
        num_features: size D of an image feature. Default: 2048, as for ResNet-101.
        learn_edges: if set to True, the entries of S at the edges are learned: with weighting ``"paper"`` as
            :class:`~mlgcn_pyg.nn.learned_edges.LearnedEdges`, with ``"kernel"`` as
            :class:`~mlgcn_pyg.nn.learned_entries.LearnedEntries`.
        learn_p: if set to True, one p per label is learned. Requires the weighting ``"paper"`` and 0 < p < 1.

    Attributes:
        weight (Tensor): V (C, D), which starts at 0.
        bias (Tensor): b (C,), which starts at 0.

    Shapes:
        - **features:** (B, D)
        - **logits:** (B, C)

    Raises:
        InputError: if the label graph is invalid, ``num_features`` is below 1, the features do not have the size D, or
            the graph does not support ``learn_edges`` or ``learn_p``.

    >>> graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], weighting="kernel", alpha=0.5)
    >>> head = SharingHead(graph, num_features=8)
    >>> head(torch.randn(2, 8)).shape, head.classifiers().shape, head.to_linear()
    (torch.Size([2, 3]), torch.Size([3, 8]), Linear(in_features=8, out_features=3, bias=True))
    """

    weight: Tensor
    propagates_x: ClassVar[bool] = False

    def __init__(
        self, graph: LabelGraph, num_features: int = 2048, *, learn_edges: bool = False, learn_p: bool = False
    ):
        super().__init__(graph, learn_edges, learn_p)
        self.num_features = check_positive("num_features", num_features)
        self.weight = torch.nn.Parameter(torch.zeros(self.num_labels, self.num_features))
        self.bias = torch.nn.Parameter(torch.zeros(self.num_labels))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Sets V and b to 0; learned edges are reset to those of the graph."""
        self.weight.zero_()
        if self.bias is not None:
            self.bias.zero_()
        if self.learned is not None:
            self.learned.reset_parameters()

    def factors(self) -> tuple[Tensor, None]:
        """Returns W_cls (C, D) and None: the classifiers are not a product of smaller matrices."""
        return self.classifiers(), None

    def unpropagated(self) -> tuple[Tensor, None]:
        """Returns V (C, D) and None."""
        return self.weight, None

    def classifiers(self) -> Tensor:
        """Returns W_cls = SV (C, D), which applies to standardised features if the head has statistics."""
        return self._operator()(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Returns the logits (B, C) of image features (B, D).

        S(VX̃ᵀ) = (SV)X̃ᵀ: the propagation runs on the narrower side, B or D.
        """
        check_floats("features", features, ("batch", self.num_features), self.weight)
        features = self.standardized(features)
        # an exported program serves batches of any size: a comparison with the batch size would become part of it
        if not exporting() and 0 < len(features) < self.num_features:
            logits = self._operator()(self.weight @ features.t()).t()
        else:
            logits = torch.nn.functional.linear(features, self.classifiers())
        return logits if self.bias is None else logits + self.bias

    def indistinct_labels(self) -> IndistinctLabels:
        """Returns the labels whose classifiers are equal, or 0, whatever V is: those with equal rows of S, or zeros."""
        return replace(indistinct_labels(self._graph, num_layers=1), of_rows=True)

    def set_alpha(self, alpha: float) -> None:
        """Sets α of the weighting ``"kernel"``, in place. V and b keep their values.

        Args:
            alpha: the share of the similarities, in [0, 1]; 0 gives S = I.

        Raises:
            InputError: if the graph has another weighting, the edges are learned, or ``alpha`` is not in [0, 1].
        """
        if self.learned is not None:
            raise InputError("alpha", "a head with fixed edges", "a head that learns them")
        self._replace_weights(self.base_graph().reweighted(alpha=alpha))

    @torch.no_grad()
    def with_graph(self, graph: LabelGraph) -> "SharingHead":
        """Returns a head on a different label graph, with the rows of V and the biases of its labels.

        The labels may be fewer or in a different order. Learned edges and p are copied for labels whose names are in
        both graphs, and the statistics of the features are copied.

        Args:
            graph: the label graph, whose labels this head has.

        Raises:
            InputError: if this head has no row of V for a label of the graph.
        """
        check_graph(graph)
        rows = {name: row for row, name in enumerate(self.label_names)}
        if unknown := [name for name in graph.label_names if name not in rows]:
            fix = "train a head on this graph: each label has its own row of weights"
            raise InputError("graph", "labels of this head", described_groups([unknown], ", "), fix)
        head = SharingHead(graph, self.num_features, learn_edges=self.learn_edges, learn_p=self.learn_p)
        head.to(self.weight)
        order = [rows[name] for name in graph.label_names]
        head.weight.copy_(self.weight[order])
        head.set_bias(torch.zeros(len(order)) if self.bias is None else self.bias[order])
        if head.learned is not None:
            head.learned.copy_common(graph, self.learned, self._graph)
        head.standardize = copy.deepcopy(self.standardize)
        return head

    def extra_repr(self) -> str:
        return f"num_labels={self.num_labels}, num_edges={self.edge_index.size(1)}, num_features={self.num_features}"

"""A head whose label encoder is any GNN of PyG."""

import copy

import torch
from torch import Tensor
from torch_geometric.nn.inits import reset

from mlgcn_pyg.checks import check_flag, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.twins import IndistinctLabels, equal_embeddings
from mlgcn_pyg.nn.contributions import Contributions
from mlgcn_pyg.nn.gcn import gcn_logits
from mlgcn_pyg.nn.graph_buffers import check_graph
from mlgcn_pyg.nn.graph_module import GraphModule
from mlgcn_pyg.nn.label_gnn import (
    check_edges,
    check_gnn,
    check_weighted,
    encode,
    evaluating,
    named_gnn,
    output_width,
    random_codes,
)
from mlgcn_pyg.nn.label_gnn_messages import message_terms
from mlgcn_pyg.tensor_checks import check_floats

HIDDEN_CHANNELS, NUM_LAYERS = 1024, 2  # as those of ML-GCN


class LabelGNNHead(GraphModule):
    r"""A GNN of PyG in place of ML-GCN's graph convolutions: it encodes the labels, and V turns codes into classifiers.

    .. math::
        \mathbf{G} = \mathrm{gnn}(\mathbf{x}, \text{edge\_index}), \qquad
        \text{logits} = \tilde{\mathbf{X}} \, \mathbf{W}_{cls}^{\top} \; (+ \mathbf{b}), \qquad
        \mathbf{W}_{cls} = \mathbf{G} \mathbf{V}

    V (N, D) belongs to the head and not to the GNN. Hence the GNN is independent of the size D of the features, and all
    that holds for the last layer of :class:`~mlgcn_pyg.nn.MLGCNHead` holds for V: the order of the products,
    :meth:`topk`, and the recipe ``"auto"``. A GNN with the output width D can be used by itself, as ``X @ gnn(x,
    edge_index).t()``; it is the case V = I.

    The label that receives messages is the same as in ML-GCN. With weighting ``"paper"``, ``"binary"`` and
    ``"released"``, the GNN receives the edges of the graph, in the direction of ``graph.flow``, without their weights
    in Â: it normalises them itself. With weighting ``"none"``, it receives no edges. A GCN without biases of two layers
    is ML-GCN on ``graph.reweighted(weighting="binary")``, if V times the weight of its last layer is that of ML-GCN.

    In training, the GNN runs in its own mode, for example with dropout. In :meth:`classifiers`, :meth:`to_linear`,
    :meth:`topk` and :meth:`contributions`, it always runs in evaluation.

    Args:
        graph: the label graph. Its embeddings and edges become buffers of the head. Without embeddings, the GNN
            receives the identity matrix, for up to 4,096 labels.
        num_features: size D of an image feature (``backbone.num_features``). Default: 2048, as for ResNet-101.
        gnn: ``"gcn"``, ``"sage"``, ``"gat"``, ``"gatv2"`` or ``"gin"`` for a model of ``torch_geometric.nn.models``
            (GCN, GraphSAGE, GAT, GIN) with its default settings and LeakyReLU(0.2) between the layers; or a module that
            maps x (C, F) and ``edge_index`` (2, E) to (C, N), which becomes part of the head. A head with a module can
            neither be saved by :func:`~mlgcn_pyg.checkpoints.save_head` nor be trained with ``folder``, since files
            contain no code; its folded form can be saved by :func:`~mlgcn_pyg.checkpoints.save_linear`.
        hidden_channels: N, the width of all layers of a GNN that is given by name; default: 1024.
        num_layers: the number of convolutions of a GNN that is given by name; default: 2.
        weighted: if set to True, the GNN receives ``graph.edge_prob``, P(L_j | L_i), as its argument ``edge_weight``.
            Of the names, only ``"gcn"`` supports it.
        bias: if set to True, the head learns an additive bias per label, starting at 0.

    Attributes:
        gnn (torch.nn.Module): the GNN.
        gnn_name (str or None): its name; None for a module.
        weight (Tensor): V (N, D).

    Shapes:
        - **features:** (B, D)
        - **logits:** (B, C)

    Raises:
        InputError: if the label graph is invalid or has the weighting ``"kernel"``, the GNN is unknown or does not
            return a matrix (C, N), a size is below 1, or the features do not have the size D.

    >>> graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5))
    >>> head = LabelGNNHead(graph, num_features=8, gnn="gat", hidden_channels=4)
    >>> head(torch.randn(2, 8)).shape, head.classifiers().shape, head.to_linear()
    (torch.Size([2, 3]), torch.Size([3, 8]), Linear(in_features=8, out_features=3, bias=False))
    >>> from torch_geometric.nn import TAGConv
    >>> LabelGNNHead(graph, 8, gnn=TAGConv(5, 6)).weight.shape
    torch.Size([6, 8])
    """

    weight: Tensor
    edge_prob: Tensor
    propagates_x = False  # it is the GNN that propagates

    def __init__(
        self,
        graph: LabelGraph,
        num_features: int = 2048,
        gnn: str | torch.nn.Module = "gcn",
        hidden_channels: int | None = None,
        *,
        num_layers: int | None = None,
        weighted: bool = False,
        bias: bool = False,
    ):
        super().__init__(graph, learn_edges=False, learn_p=False)
        check_edges(graph)
        self.num_features = check_positive("num_features", num_features)
        self.weighted = check_flag("weighted", weighted)
        self.gnn_name = gnn if isinstance(gnn, str) else None
        if isinstance(gnn, str):
            self.hidden_channels = HIDDEN_CHANNELS if hidden_channels is None else hidden_channels
            self.num_layers: int | None = NUM_LAYERS if num_layers is None else num_layers
            self.gnn: torch.nn.Module = named_gnn(gnn, graph.embedding_dim, self.hidden_channels, self.num_layers)
            check_weighted(self.gnn, self.weighted)
        else:
            self.gnn, self.num_layers = check_gnn(gnn, hidden_channels, num_layers), None
            check_weighted(self.gnn, self.weighted)
            self._to_type_of_gnn()
            self.hidden_channels = output_width(self.gnn, *self._inputs())
        like = next(self.gnn.parameters(), self.self_weight)
        values = torch.empty(self.hidden_channels, self.num_features, dtype=like.dtype, device=like.device)
        self.weight = torch.nn.Parameter(values)
        zeros = torch.zeros(self.num_labels).to(like) if check_flag("bias", bias) else None
        self.register_parameter("bias", None if zeros is None else torch.nn.Parameter(zeros))
        self._reset_weight()

    def _to_type_of_gnn(self) -> None:
        """Moves the label graph to the device and the type of the parameters of the GNN."""
        like = next((p for p in self.gnn.parameters() if p.is_floating_point()), None)
        if like is not None and like.is_meta:
            raise InputError("gnn", "a module with values", "parameters on the device 'meta'")
        if like is not None:
            self.to(like.device, like.dtype)

    def _derive(self) -> None:
        super()._derive()
        self.register_buffer("edge_prob", self._graph.edge_prob.to(self.edge_weight), persistent=False)

    def _reset_weight(self) -> None:
        bound = self.num_features**-0.5  # as in ReweightedConv
        torch.nn.init.uniform_(self.weight, -bound, bound)

    def reset_parameters(self) -> None:
        """Initialises all parameters again, those of the GNN by its ``reset_parameters``; the bias is reset to 0."""
        reset(self.gnn)
        self._reset_weight()
        if self.bias is not None:
            torch.nn.init.zeros_(self.bias)

    def _inputs(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns x (C, F), edge_index (2, E) in PyG's direction, and the edge weights (E,) of a weighted head."""
        edges = self.edge_index if self._graph.weighting != "none" else self.edge_index[:, :0]
        if self._graph.flow == "target_to_source":
            edges = edges.flip(0)
        weights = self.edge_prob[: edges.size(1)] if self.weighted else None
        x = self.x
        if x is None:
            x = torch.eye(self.num_labels, dtype=self.edge_weight.dtype, device=self.edge_weight.device)
        return x, edges, weights

    def label_codes(self) -> Tensor:
        """Returns G (C, N), the output of the GNN, which runs in its current mode."""
        return encode(self.gnn, *self._inputs())

    def factors(self) -> tuple[Tensor, Tensor]:
        """Returns G and V with W_cls = GV. The GNN runs in evaluation."""
        with evaluating(self.gnn):
            return self.label_codes(), self.weight

    def unpropagated(self) -> tuple[Tensor, Tensor]:
        """Returns G and V: nothing is propagated after the GNN."""
        return self.factors()

    def classifiers(self) -> Tensor:
        """Returns W_cls (C, D), which applies to standardised features if the head has statistics."""
        codes, weight = self.factors()
        return codes @ weight

    def forward(self, features: Tensor) -> Tensor:
        """Returns the logits (B, C) of image features (B, D)."""
        check_floats("features", features, ("batch", self.num_features), self.weight)
        codes = self.label_codes()
        train_head = torch.is_grad_enabled() and self.weight.requires_grad
        train_features = torch.is_grad_enabled() and features.requires_grad
        features = self.standardized(features)
        logits = gcn_logits(features, codes, self.weight, train_head=train_head, train_features=train_features)
        return logits if self.bias is None else logits + self.bias

    @torch.no_grad()
    def contributions(self, features: Tensor) -> Contributions:
        """Returns the terms of the logits, whose sum is the logit up to rounding.

        If the output of the GNN is a sum of the messages of its last convolution, as for GCN, GraphSAGE and GAT, there
        is one term for each message between different labels, and ``own`` is the rest: messages of a label to itself,
        and biases of the GNN (:mod:`mlgcn_pyg.nn.label_gnn_messages`). Otherwise, as for GIN, there are no terms of
        edges. ``edge_weight`` and ``self_weight`` are NaN: a message is not the product of a weight and a classifier.

        Args:
            features: image features (B, D).

        Raises:
            InputError: if the shape or the type of the features differs from the head's.
        """
        check_floats("features", features, ("batch", self.num_features), self.weight)
        projected = self.standardized(features) @ self.weight.t()
        with evaluating(self.gnn):
            own = projected @ self.label_codes().t()
            found = message_terms(self.gnn, self.label_codes, projected)
        own = own.index_add(1, found.receiver, found.terms, alpha=-1)
        return Contributions(
            own=own,
            edges=found.terms,
            bias=own.new_zeros(self.num_labels) if self.bias is None else self.bias.clone(),
            receiver=found.receiver,
            sender=found.sender,
            edge_weight=own.new_full((len(found.receiver),), torch.nan),
            self_weight=own.new_full((self.num_labels,), torch.nan),
            label_names=self.label_names,
        )

    def indistinct_labels(self) -> IndistinctLabels:
        """Returns the labels with equal rows of G, whatever the weights of the GNN are; none for a module."""
        if self.gnn_name is None or self.num_layers is None or self.weight.is_meta:
            return IndistinctLabels((), (), of_gnn=True)
        x, edges, weights = (None if part is None else part.detach().cpu() for part in self._inputs())
        assert x is not None and edges is not None
        codes = random_codes(self.gnn_name, self.num_layers, x, edges, weights)
        return IndistinctLabels(equal_embeddings(self.label_names, codes), (), of_gnn=True)

    @torch.no_grad()
    def with_graph(self, graph: LabelGraph) -> "LabelGNNHead":
        """Returns a head on a different label graph, with the trained GNN and V of this head.

        All labels share both, so the graphs may have different labels. The statistics of the features are copied, and
        so is the bias of labels whose names are in both graphs. All other labels get the mean of the biases.

        Args:
            graph: the label graph, whose embeddings have the same size as those of this head.

        Raises:
            InputError: if the embeddings differ in size, or only one of the graphs has one-hot labels.
        """
        check_graph(graph)
        self._check_embeddings(graph)
        head = LabelGNNHead(
            graph, self.num_features, copy.deepcopy(self.gnn), weighted=self.weighted, bias=self.bias is not None
        )
        head.gnn_name, head.hidden_channels, head.num_layers = self.gnn_name, self.hidden_channels, self.num_layers
        head.weight.copy_(self.weight)
        head.standardize = copy.deepcopy(self.standardize)
        self._copy_bias(head)
        return head

    def _rows(self) -> list[tuple[str, object]]:
        return [("GNN", self.gnn_name or type(self.gnn).__name__), *super()._rows()]

    def extra_repr(self) -> str:
        return f"num_labels={self.num_labels}, num_edges={self.edge_index.size(1)}, num_features={self.num_features}"

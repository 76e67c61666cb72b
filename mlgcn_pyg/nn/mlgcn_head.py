"""The ML-GCN head: a GCN makes one classifier per label, and the classifiers are applied to image features."""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.checks import check_number, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn.conv import ReweightedConv
from mlgcn_pyg.nn.kernels import Adjacency, propagate
from mlgcn_pyg.nn.learned_edges import LearnedEdges
from mlgcn_pyg.nn.linear_head import check_features, fold
from mlgcn_pyg.nn.order import features_first


class MLGCNHead(torch.nn.Module):
    r"""Classifiers that a GCN makes from label embeddings (`ML-GCN <https://arxiv.org/abs/1904.03582>`_, Sec. 3.2).

    .. math::
        \mathbf{H}_0 = \mathbf{x}, \quad
        \mathbf{H}_{l+1} = h(\hat{\mathbf{A}} \mathbf{H}_l \mathbf{W}_l), \quad
        \text{logits} = \mathbf{X} \, \mathbf{W}_{cls}^{\top}, \quad \mathbf{W}_{cls} = \mathbf{H}_L

    with LeakyReLU between the layers and nothing after the last (Eqs. 2 and 4). There is no bias.

    The work is counted and done the cheap way: propagation on the narrower side of W, the constant ÂX of the first
    layer once, and (X Wᵀ)(ÂH)ᵀ in place of X (ÂH W)ᵀ where that is less. ``forward`` always computes with the present
    parameters; :meth:`to_linear` is the folded path.

    Args:
        graph: the label graph; its embeddings, edges and weights become buffers of the head.
        num_features: D, the width of an image feature (``backbone.num_features``).
        hidden_channels: widths between the layers: ``(1024,)`` for two layers, ``(1024, 1024)`` for three (Table 3).
        negative_slope: of the LeakyReLU (0.2 in the paper).
        learn_edges, learn_p: learn the edges' weights, and one p per label (:class:`LearnedEdges`); weighting
            ``"paper"`` only.

    Shapes:
        - **features:** (B, D) → **logits:** (B, C)

    Raises:
        InputError: a label graph that does not validate, widths below 1, features of another width, learning with
            another weighting.

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
    ):
        super().__init__()
        graph.validate()
        self.label_names = tuple(graph.label_names)
        self.num_features = check_positive("num_features", num_features)
        self.hidden_channels = tuple(check_positive("hidden_channels", width) for width in hidden_channels)
        self.negative_slope = check_number("negative_slope", negative_slope, 0, 1)
        self.learn_edges, self.learn_p = learn_edges, learn_p
        self._graph = copy.copy(graph)  # what describes the edges; embeddings of millions of labels are kept once
        self._graph.x = None
        self._graph = self._graph.clone().to("cpu")
        for name in ("x", "edge_index", "edge_weight", "self_weight"):
            value = getattr(graph, name)  # x may be None: one-hot
            value = None if value is None else value.detach().clone()
            self.register_buffer(
                name, value.to(graph.edge_weight.dtype) if name == "x" and value is not None else value
            )
        self.learned = LearnedEdges(graph, learn_edges, learn_p) if learn_edges or learn_p else None
        widths = [graph.embedding_dim, *self.hidden_channels, num_features]
        self.convs = torch.nn.ModuleList(
            ReweightedConv(a, b, flow=graph.flow) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.adjacency = Adjacency(self.edge_index, self.num_labels, graph.flow)
        self._propagate_constant()
        self.register_load_state_dict_pre_hook(_same_graph)

    @torch.no_grad()
    def _propagate_constant(self) -> None:
        """ÂX once, where nothing in it learns."""
        constant = self.x is not None and self.learned is None
        value = propagate(self.x, self.adjacency, self.edge_weight, self.self_weight) if constant else None
        self.register_buffer("propagated_x", value, persistent=False)

    def _apply(self, fn, recurse: bool = True):
        dtype = self.edge_weight.dtype
        super()._apply(fn, recurse)
        if self.edge_weight.dtype != dtype:
            self._propagate_constant()  # in the new precision, not rounded to the old one
        return self

    @property
    def num_labels(self) -> int:
        return len(self.label_names)

    def reset_parameters(self) -> None:
        for part in (*self.convs, *([] if self.learned is None else [self.learned])):
            part.reset_parameters()

    def weights(self) -> tuple[Tensor, Tensor]:
        """``edge_weight`` (E,) and ``self_weight`` (C,): the present entries of Â."""
        return (self.edge_weight, self.self_weight) if self.learned is None else self.learned()

    def _factors(self) -> tuple[Tensor, Tensor | None]:
        """(H, W) with W_cls = H W, H (C, N) and W (N, D); (W_cls, None) where one-hot labels have a single layer."""
        weights, last = (self.adjacency, *self.weights()), self.convs[-1]
        h, propagated = self.x, self.propagated_x  # propagated is Âh where that is known already, else None
        for conv in self.convs[:-1]:
            h = conv(h, *weights) if propagated is None else propagated @ conv.weight
            # in place: neither product needs its result again on the way back
            h, propagated = F.leaky_relu_(h, self.negative_slope), None
        if h is None:
            return last(None, *weights), None
        return propagate(h, *weights) if propagated is None else propagated, last.weight

    def classifiers(self) -> Tensor:
        """W_cls (C, D): one classifier per label."""
        h, weight = self._factors()
        return h if weight is None else h @ weight

    def forward(self, features: Tensor) -> Tensor:
        check_features(features, self.num_features)
        h, weight = self._factors()
        if weight is None:
            return F.linear(features, h)
        train_head = torch.is_grad_enabled() and weight.requires_grad
        train_features = torch.is_grad_enabled() and features.requires_grad
        sizes = (len(features), *h.shape, self.num_features)
        if features_first(*sizes, train_head=train_head, train_features=train_features):
            return F.linear(F.linear(features, weight), h)
        return F.linear(features, h @ weight)  # F.linear(a, b) is a bᵀ, with gradients laid out as b is

    @torch.no_grad()
    def to_linear(self) -> torch.nn.Linear:
        """The whole head folded into one ``nn.Linear(D, C, bias=False)``, exact for the present parameters."""
        return fold(self.classifiers())

    @torch.no_grad()
    def topk(self, features: Tensor, k: int, label_chunk: int = 65_536) -> tuple[Tensor, Tensor]:
        """The k highest logits (B, k) of each image and their labels (B, k), without ever forming (B, C).

        Args:
            features: (B, D). k: at most C. label_chunk: labels scored at a time; (B, label_chunk) is formed.
        """
        check_features(features, self.num_features)
        if check_positive("k", k) > self.num_labels:
            raise InputError("k", f"at most {self.num_labels}, the number of labels", k)
        h, weight = self._factors()
        projected = features if weight is None else features @ weight.t()
        values = labels = None
        for start in range(0, self.num_labels, check_positive("label_chunk", label_chunk)):
            scores = projected @ h[start : start + label_chunk].t()
            top = scores.topk(min(k, scores.size(1)), dim=1)
            found = top.indices + start
            if values is not None:
                found, joined = torch.cat([labels, found], 1), torch.cat([values, top.values], 1)
                top = joined.topk(min(k, joined.size(1)), dim=1)
                found = found.gather(1, top.indices)
            values, labels = top.values, found
        return values, labels

    def base_graph(self) -> LabelGraph:
        """The label graph that the head was built from."""
        graph = self._graph.clone()
        if self.x is not None:
            graph.x = self.x.cpu().clone()
        return graph

    @torch.no_grad()
    def label_graph(self) -> LabelGraph:
        """The label graph with the present, perhaps learned, weights."""
        graph = self.base_graph()
        graph.edge_weight, graph.self_weight = (value.detach().cpu().clone() for value in self.weights())
        return graph

    @torch.no_grad()
    def with_graph(self, graph: LabelGraph) -> "MLGCNHead":
        """A head on another label graph (more, fewer or unseen labels) with this one's trained GCN weights.

        W₁, W₂, … are shared by all labels, so that only the width of the embeddings must agree. Learned edges and p
        are taken over where labels of the same names have them, and start at Eq. 8 elsewhere.
        """
        if (self.x is None) != (graph.x is None) or graph.embedding_dim != self.convs[0].in_channels:
            expected = "one-hot" if self.x is None else "given"
            found = f"{graph.embedding_dim}" + (" (one-hot)" if graph.x is None else "")
            raise InputError("graph", f"{expected} embeddings of width {self.convs[0].in_channels}", found)
        head = MLGCNHead(
            graph, self.num_features, self.hidden_channels,
            negative_slope=self.negative_slope, learn_edges=self.learn_edges, learn_p=self.learn_p,
        ).to(self.convs[0].weight)  # fmt: skip
        for ours, theirs in zip(self.convs, head.convs, strict=True):
            theirs.weight.copy_(ours.weight)
        if head.learned is not None:
            head.learned.take_over(self.learned, self._graph, graph)
        return head

    def extra_repr(self) -> str:
        return f"num_labels={self.num_labels}, num_edges={self.edge_index.size(1)}, num_features={self.num_features}"


def _same_graph(head: MLGCNHead, state: dict, prefix: str, *_) -> None:
    """Refuses a state that was trained on another graph: half of the head would be of one, half of the other."""
    for name in ("x", "edge_index", "edge_weight", "self_weight"):
        ours, theirs = getattr(head, name), state.get(prefix + name)
        if theirs is None:  # missing, which load_state_dict judges itself
            continue
        if ours is None or ours.shape != theirs.shape or not torch.equal(ours.cpu(), theirs.to("cpu", ours.dtype)):
            fix = "load it with load_head, or build the head from the label graph it was trained on"
            raise InputError("state_dict", "the state of a head on this label graph", f"another {name}", fix)

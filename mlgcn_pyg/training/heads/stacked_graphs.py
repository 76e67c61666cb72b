"""Many heads with label graphs as one batched computation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlgcn_pyg.nn import MLGCNHead
from mlgcn_pyg.nn.gcn import LabelOperator, gcn_factors, gcn_logits, times_transposed
from mlgcn_pyg.nn.graph_module import GraphModule
from mlgcn_pyg.nn.kernels import Adjacency
from mlgcn_pyg.nn.learned_edges import LearnedEdges, learned_weights
from mlgcn_pyg.training.heads.stacked_heads import StackedHeads


class StackedGraphs(StackedHeads):
    """Heads with label graphs: their operators are one propagation over the disjoint union of the graphs."""

    def __init__(self, heads: Sequence[GraphModule]):
        super().__init__(heads)
        self.adjacency = _disjoint_union([head.adjacency for head in heads])
        self.edge_weight = torch.cat([head.edge_weight for head in heads])
        self.self_weight = torch.cat([head.self_weight for head in heads])
        self.learned = [head.learned for head in heads if isinstance(head.learned, LearnedEdges)]
        if self.learned:
            self._stack_learned(self.learned)

    def _stack_learned(self, learned: Sequence[LearnedEdges]) -> None:
        self.has_edges = torch.cat([edges.has_edges for edges in learned])
        dtype = learned[0].edge_logits.dtype
        self.p = torch.cat([torch.full_like(edges.has_edges, edges.p, dtype=dtype) for edges in learned])
        constant = torch.cat([edges.edge_logits.detach() for edges in learned])  # all zeros if only p is learned
        self.edge_logits = self.stacked.get("learned.edge_logits", constant)

    def _operator(self) -> LabelOperator:
        """Returns Â of the union graph."""
        if "learned.edge_offsets" in self.stacked:
            edge_weight = self.edge_weight + self.stacked["learned.edge_offsets"]
            return LabelOperator(self.adjacency, edge_weight, self.self_weight)
        if not self.learned:
            return LabelOperator(self.adjacency, self.edge_weight, self.self_weight)
        p_offsets = self.stacked.get("learned.p_offsets")
        weights = learned_weights(self.edge_logits, p_offsets, self.p, self.adjacency.receiver, self.has_edges)
        return LabelOperator(self.adjacency, *weights)

    def _with_bias(self, logits: Tensor) -> Tensor:
        """Returns logits (H, B, C), with the biases of the heads if they have any."""
        return logits if "bias" not in self.stacked else logits + self.by_head(self.stacked["bias"]).unsqueeze(1)


class StackedMLGCN(StackedGraphs):
    """ML-GCN heads, computed as one propagation per layer and batched products."""

    def __init__(self, heads: Sequence[MLGCNHead]):
        super().__init__(heads)
        first = heads[0]
        self.weight_names = [f"convs.{k}.weight" for k in range(len(first.layers))]
        self.negative_slope = first.negative_slope
        self.x = _stack_known([head.x for head in heads])
        self.propagated_x = _stack_known([head.propagated_x for head in heads])

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (H, B, C) of features (B, D)."""
        weights = [self.by_head(self.stacked[name]) for name in self.weight_names]
        h, weight = gcn_factors(self.x, self.propagated_x, weights, self._operator(), self.negative_slope)
        logits = gcn_logits(self.standardized(features), h, weight, train_head=True, train_features=False)
        return self._with_bias(logits)


class StackedSharing(StackedGraphs):
    """Sharing heads, computed as one product with all classifiers and one propagation, on the narrower side."""

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (H, B, C) of features (B, D)."""
        features, weight = self.standardized(features), self.by_head(self.stacked["weight"])
        batch, num_features = features.shape[-2:]
        if batch < num_features:
            logits = self._operator()(weight @ features.mT).mT
        else:
            logits = times_transposed(features, self._operator()(weight))
        return self._with_bias(logits)


def _disjoint_union(adjacencies: Sequence[Adjacency]) -> Adjacency:
    """Returns the adjacency of H·C nodes, without edges between the graphs."""
    num_nodes = adjacencies[0].num_nodes
    receiver = torch.cat([adjacency.receiver + k * num_nodes for k, adjacency in enumerate(adjacencies)])
    sender = torch.cat([adjacency.sender + k * num_nodes for k, adjacency in enumerate(adjacencies)])
    return Adjacency(torch.stack([receiver, sender]), num_nodes * len(adjacencies))


def _stack_known(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """Stacks H tensors to (H, …); returns None if they are None."""
    known = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(known) if known else None

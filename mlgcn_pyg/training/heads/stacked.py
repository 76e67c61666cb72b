"""The forward pass of one head, or of many heads of equal shape as one batched computation."""

import copy
from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LinearHead, MLGCNHead
from mlgcn_pyg.nn.gcn import LabelOperator, gcn_factors, gcn_logits, times_transposed
from mlgcn_pyg.nn.kernels import Adjacency
from mlgcn_pyg.nn.learned_edges import LearnedEdges, learned_weights
from mlgcn_pyg.nn.standardize import Standardize, StandardizedHead
from mlgcn_pyg.typing import Head


class HeadStack(Protocol):
    """H heads with one forward pass.

    Attributes:
        leaves: the tensors whose gradients are computed.
    """

    leaves: list[Tensor]

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (H, B, C) of features (B, D)."""

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Sets the gradients of the parameters.

        Args:
            gradients: the gradient of each leaf; None if the loss does not depend on the leaf.
        """

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""


class SingleHead:
    """A stack of one head, which may be any module that maps features (B, D) to logits (B, C)."""

    def __init__(self, head: Head):
        self.head = head
        self.leaves: list[Tensor] = [p for p in head.parameters() if p.requires_grad]

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (1, B, C) of features (B, D)."""
        return self.head(features).unsqueeze(0)

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Sets the gradients of the parameters; see :class:`HeadStack`."""
        for p, gradient in zip(self.leaves, gradients, strict=True):
            p.grad = gradient

    def release(self) -> None:
        """Removes all gradients."""
        for p in self.leaves:
            p.grad = None


class StackedHeads:
    """H heads whose parameters are views of one stacked tensor per parameter name until :meth:`release` is called.

    Args:
        heads: heads of the same kind and shape on the same device. All their parameters are trained.

    Attributes:
        stacked: for each parameter name, the tensor (H·n, …) of H parameters (n, …).
    """

    def __init__(self, heads: Sequence[StandardizedHead]):
        self.num_heads = len(heads)
        named = [dict(head.named_parameters()) for head in heads]
        self.parameters = {name: [parameters[name] for parameters in named] for name in named[0]}
        self.stacked = {name: self._stack(parameters) for name, parameters in self.parameters.items()}
        self.leaves: list[Tensor] = list(self.stacked.values())
        self.standardize = _stack_statistics([head.standardize for head in heads])

    @staticmethod
    def _stack(parameters: list[torch.nn.Parameter]) -> Tensor:
        stack = torch.cat([p.detach() for p in parameters])
        for p, piece in zip(parameters, stack.split([len(p) for p in parameters]), strict=True):
            p.data = piece
        return stack.requires_grad_()

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Sets the gradients of the parameters; see :class:`HeadStack`."""
        for parameters, gradient in zip(self.parameters.values(), gradients, strict=True):
            if gradient is not None:
                for p, piece in zip(parameters, gradient.split([len(p) for p in parameters]), strict=True):
                    p.grad = piece

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""
        for parameters in self.parameters.values():
            for p in parameters:
                p.data, p.grad = p.data.clone(), None

    def by_head(self, stack: Tensor) -> Tensor:
        """Returns a view (H, n, …) of a tensor (H·n, …)."""
        return stack.unflatten(0, (self.num_heads, -1))

    def standardized(self, features: Tensor) -> Tensor:
        """Returns the standardised features: (B, D) if all heads have the same statistics, else (H, B, D)."""
        return features if self.standardize is None else self.standardize(features)


class StackedLinear(StackedHeads):
    """Linear heads, computed as one matrix product with all classifiers."""

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (H, B, C) of features (B, D)."""
        features, bias = self.standardized(features), self.stacked.get("linear.bias")
        if features.dim() == 2:
            logits = F.linear(features, self.stacked["linear.weight"], bias)
            return logits.unflatten(1, (self.num_heads, -1)).transpose(0, 1)
        logits = times_transposed(features, self.by_head(self.stacked["linear.weight"]))
        return logits if bias is None else logits + self.by_head(bias).unsqueeze(1)


class StackedMLGCN(StackedHeads):
    """ML-GCN heads, computed as one propagation over the disjoint union of their graphs, and batched products."""

    def __init__(self, heads: Sequence[MLGCNHead]):
        super().__init__(heads)
        first = heads[0]
        self.weight_names = [f"convs.{k}.weight" for k in range(len(first.layers))]
        self.negative_slope = first.negative_slope
        self.adjacency = _disjoint_union([head.adjacency for head in heads])
        self.edge_weight = torch.cat([head.edge_weight for head in heads])
        self.self_weight = torch.cat([head.self_weight for head in heads])
        self.x = _stack_known([head.x for head in heads])
        self.propagated_x = _stack_known([head.propagated_x for head in heads])
        self.learned = [head.learned for head in heads if head.learned is not None]
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
        if not self.learned:
            return LabelOperator(self.adjacency, self.edge_weight, self.self_weight)
        p_offsets = self.stacked.get("learned.p_offsets")
        weights = learned_weights(self.edge_logits, p_offsets, self.p, self.adjacency.receiver, self.has_edges)
        return LabelOperator(self.adjacency, *weights)

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (H, B, C) of features (B, D)."""
        weights = [self.by_head(self.stacked[name]) for name in self.weight_names]
        h, weight = gcn_factors(self.x, self.propagated_x, weights, self._operator(), self.negative_slope)
        logits = gcn_logits(self.standardized(features), h, weight, train_head=True, train_features=False)
        return logits if "bias" not in self.stacked else logits + self.by_head(self.stacked["bias"]).unsqueeze(1)


def _disjoint_union(adjacencies: Sequence[Adjacency]) -> Adjacency:
    """Returns the adjacency of H·C nodes, without edges between the graphs."""
    num_nodes = adjacencies[0].num_nodes
    receiver = torch.cat([adjacency.receiver + k * num_nodes for k, adjacency in enumerate(adjacencies)])
    sender = torch.cat([adjacency.sender + k * num_nodes for k, adjacency in enumerate(adjacencies)])
    return Adjacency(torch.stack([receiver, sender]), num_nodes * len(adjacencies))


def _stack_statistics(of_each: Sequence[Standardize | None]) -> Standardize | None:
    """Returns the statistics of H heads: those of the first if they are all equal, else with buffers (H, 1, D)."""
    known = [one for one in of_each if one is not None]
    if not known:
        return None
    stacked = copy.deepcopy(known[0])
    if not all(torch.equal(one.mean, stacked.mean) and torch.equal(one.scale, stacked.scale) for one in known):
        stacked.mean = torch.stack([one.mean for one in known]).unsqueeze(1)
        stacked.scale = torch.stack([one.scale for one in known]).unsqueeze(1)
    return stacked


def _stack_known(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """Stacks H tensors to (H, …); returns None if they are None."""
    known = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(known) if known else None


def stack_heads(heads: Sequence[Head]) -> HeadStack:
    """Returns the stack of heads that passed :func:`check_alike`."""
    if len(heads) == 1:
        return SingleHead(heads[0])
    if mlgcn_heads := [head for head in heads if isinstance(head, MLGCNHead)]:
        return StackedMLGCN(mlgcn_heads)
    return StackedLinear([head for head in heads if isinstance(head, LinearHead)])


def check_alike(heads: Sequence[Head]) -> None:
    """Checks that heads can be trained, and that several heads have the same kind and shape.

    Raises:
        InputError: if a check fails; the message names the first difference.
    """
    if not all(any(p.requires_grad for p in head.parameters()) for head in heads):
        raise InputError("heads", "heads with trainable parameters", "a head whose parameters are all frozen")
    if len(heads) == 1:
        return
    if len({id(head) for head in heads}) < len(heads):
        raise InputError("heads", "different heads", "the same head twice")
    if type(heads[0]) not in (LinearHead, MLGCNHead):
        found = type(heads[0]).__name__
        raise InputError("heads", "heads of type MLGCNHead or LinearHead", found, "train them one after another")
    shapes = [head_shape(head) for head in heads]
    for k, shape in enumerate(shapes):
        for name in shapes[0] | shape:
            first, value = shapes[0].get(name), shape.get(name)
            if first != value:
                found = f"{name} {first} of head 0 and {value} of head {k}"
                raise InputError("heads", "heads of equal shape", found, "train them one after another")
    if not all(p.requires_grad for head in heads for p in head.parameters()):
        raise InputError("heads", "heads without frozen parameters", "some", "train them one after another")


def head_shape(head: Head) -> dict[str, object]:
    """Returns the properties that heads must share to be trained together, as plain values."""
    shape: dict[str, object] = {
        "kind": type(head).__name__,
        "num_labels": head.num_labels,
        "num_features": head.num_features,
        "dtype": str(next(head.parameters()).dtype),
    }
    if isinstance(head, MLGCNHead):
        shape |= {"negative_slope": head.negative_slope, "learn_edges": head.learn_edges, "learn_p": head.learn_p}
        shape |= {"hidden_channels": list(head.hidden_channels), "embedding_dim": head.layers[0].in_channels}
        shape["one_hot"] = head.x is None
    elif isinstance(head, LinearHead):
        shape["bias"] = head.bias is not None
    # absent if not set, as in states of earlier versions
    if isinstance(head, MLGCNHead) and head.bias is not None:
        shape["bias"] = True
    if isinstance(head, StandardizedHead) and head.has_statistics:
        shape["statistics"] = True
    return shape

"""The forward pass of one head, or of many heads of equal shape as one batched computation."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LabelGNNHead, LinearHead, MLGCNHead, SharingHead
from mlgcn_pyg.nn.gcn import times_transposed
from mlgcn_pyg.nn.graph_module import GraphModule
from mlgcn_pyg.nn.learned_entries import LearnedEntries
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.training.heads.stacked_graphs import StackedMLGCN, StackedSharing
from mlgcn_pyg.training.heads.stacked_heads import HeadStack, SeparateHeads, SingleHead, StackedHeads
from mlgcn_pyg.typing import Head


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


def stack_heads(heads: Sequence[Head]) -> HeadStack:
    """Returns the stack of heads that passed :func:`check_alike`."""
    if len(heads) == 1:
        return SingleHead(heads[0])
    if isinstance(heads[0], LabelGNNHead):
        return SeparateHeads(heads)
    if mlgcn_heads := [head for head in heads if isinstance(head, MLGCNHead)]:
        return StackedMLGCN(mlgcn_heads)
    if sharing_heads := [head for head in heads if isinstance(head, SharingHead)]:
        return StackedSharing(sharing_heads)
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
    if type(heads[0]) not in (LinearHead, MLGCNHead, SharingHead, LabelGNNHead):
        found = type(heads[0]).__name__
        raise InputError("heads", "heads of a class of mlgcn_pyg.nn", found, "train them one after another")
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
    if isinstance(head, GraphModule):
        shape |= {"learn_edges": head.learn_edges, "learn_p": head.learn_p}
    if isinstance(head, MLGCNHead):
        shape["negative_slope"] = head.negative_slope
        shape |= {"hidden_channels": list(head.hidden_channels), "embedding_dim": head.layers[0].in_channels}
        shape["one_hot"] = head.x is None
    elif isinstance(head, LabelGNNHead):
        shape |= {"gnn": head.gnn_name or type(head.gnn).__name__, "weighted": head.weighted}
        shape |= {"hidden_channels": head.hidden_channels, "num_layers": head.num_layers}
        shape |= {"embedding_dim": None if head.x is None else head.x.size(1)}
    elif isinstance(head, LinearHead):
        shape["bias"] = head.bias is not None
    # absent if not set, as in states of earlier versions
    if isinstance(head, GraphModule) and isinstance(head.learned, LearnedEntries):
        shape["learned_entries"] = True
    if isinstance(head, GraphModule) and head.bias is not None:
        shape["bias"] = True
    if isinstance(head, StandardizedHead) and head.has_statistics:
        shape["statistics"] = True
    return shape

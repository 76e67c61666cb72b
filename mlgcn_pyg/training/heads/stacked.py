"""One head, or many heads of equal shape as a single batched program over the same images."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LinearHead, MLGCNHead
from mlgcn_pyg.nn.kernels import Adjacency, propagate
from mlgcn_pyg.nn.learned_edges import learned_weights
from mlgcn_pyg.nn.order import features_first


class OneHead:
    """A head by itself, any module with the face of :class:`LinearHead`.

    Attributes:
        leaves: what gradients are taken of.
    """

    def __init__(self, head: torch.nn.Module):
        self.head = head
        self.leaves = [p for p in head.parameters() if p.requires_grad]

    def logits(self, features: Tensor) -> Tensor:
        """(B, D) → (1, B, C)."""
        return self.head(features).unsqueeze(0)

    def hand_out(self, grads: Sequence[Tensor | None]) -> None:
        """Gives each parameter its gradient; None to one that the loss does not depend on."""
        for p, grad in zip(self.leaves, grads, strict=True):
            p.grad = grad

    def release(self) -> None:
        """Leaves the heads with storage of their own and no gradients."""
        for p in self.leaves:
            p.grad = None


class StackedHeads:
    """H heads whose parameters of one name lie behind one another in one tensor, and are views of it meanwhile.

    Args:
        heads: of one kind, all parameters trainable, already on their device.
    """

    def __init__(self, heads: Sequence[torch.nn.Module]):
        self.heads = heads
        named = [dict(head.named_parameters()) for head in heads]
        self.parts = {name: [parameters[name] for parameters in named] for name in named[0]}
        self.stacked = {name: self._stack(parts) for name, parts in self.parts.items()}
        self.leaves = list(self.stacked.values())

    @staticmethod
    def _stack(parts: list[torch.nn.Parameter]) -> Tensor:
        stack = torch.cat([p.detach() for p in parts])
        for p, piece in zip(parts, stack.split([len(p) for p in parts]), strict=True):
            p.data = piece
        return stack.requires_grad_()

    def hand_out(self, grads: Sequence[Tensor | None]) -> None:
        """Gives each parameter its gradient."""
        for parts, grad in zip(self.parts.values(), grads, strict=True):
            if grad is not None:
                for p, piece in zip(parts, grad.split([len(p) for p in parts]), strict=True):
                    p.grad = piece

    def release(self) -> None:
        for parts in self.parts.values():
            for p in parts:
                p.data, p.grad = p.data.clone(), None

    def per_head(self, stack: Tensor) -> Tensor:
        """(H·n, …) → (H, n, …)."""
        return stack.unflatten(0, (len(self.heads), -1))


class StackedLinear(StackedHeads):
    """Linear heads: one product with all classifiers."""

    def logits(self, features: Tensor) -> Tensor:
        """(B, D) → (H, B, C)."""
        together = F.linear(features, self.stacked["linear.weight"], self.stacked.get("linear.bias"))
        return together.unflatten(1, (len(self.heads), -1)).transpose(0, 1)


class StackedMLGCN(StackedHeads):
    """ML-GCN heads over the disjoint union of their label graphs: one propagation, batched products with each W.

    The order of work is :meth:`MLGCNHead.forward`'s: propagation on the narrower side of W, ÂX once where nothing in
    it learns, and images before or behind the last propagation, whichever is counted cheaper.
    """

    def __init__(self, heads: Sequence[MLGCNHead]):
        super().__init__(heads)
        first, self.num_labels = heads[0], heads[0].num_labels
        offsets = [k * self.num_labels for k in range(len(heads))]
        ends = [
            torch.cat([getattr(head.adjacency, end) + k for head, k in zip(heads, offsets, strict=True)])
            for end in ("receiver", "sender")
        ]
        device = first.edge_weight.device
        self.adjacency = Adjacency(torch.stack(ends), self.num_labels * len(heads)).to(device)
        self.fixed = tuple(torch.cat([getattr(h, name) for h in heads]) for name in ("edge_weight", "self_weight"))
        self.x = None if first.x is None else torch.cat([head.x for head in heads])
        known = first.propagated_x is not None
        self.propagated_x = torch.cat([head.propagated_x for head in heads]) if known else None
        if first.learned is not None:
            self._stack_learned([head.learned for head in heads])

    def _stack_learned(self, learned: Sequence) -> None:
        self.has_edges = torch.cat([one.has_edges for one in learned])
        dtype = learned[0].edge_logits.dtype
        self.p = torch.cat([torch.full_like(one.has_edges, one.p, dtype=dtype) for one in learned])
        self.edge_logits = self.stacked.get("learned.edge_logits")
        if self.edge_logits is None:  # p alone learns
            self.edge_logits = torch.cat([one.edge_logits for one in learned])

    def weights(self) -> tuple[Tensor, Tensor]:
        """Edge weights (ΣE,) and self weights (H·C,) of the union graph."""
        if self.heads[0].learned is None:
            return self.fixed
        offsets = self.stacked.get("learned.p_offsets")
        return learned_weights(self.edge_logits, offsets, self.p, self.adjacency.receiver, self.has_edges)

    def logits(self, features: Tensor) -> Tensor:
        """(B, D) → (H, B, C)."""
        h, weight = self._factors()
        if weight is None:
            return self._by_head(F.linear(features, h))
        sizes = (len(features), self.num_labels, h.size(1), features.size(1))
        if features_first(*sizes, train_head=True, train_features=False):
            projected = self._by_head(F.linear(features, weight))
            return projected @ self.per_head(h).transpose(1, 2)
        return self._by_head(F.linear(features, self._times(h, weight)))

    def _by_head(self, together: Tensor) -> Tensor:
        """(B, H·n) → (H, B, n)."""
        return together.unflatten(1, (len(self.heads), -1)).transpose(0, 1)

    def _factors(self) -> tuple[Tensor, Tensor | None]:
        """(H, W) with W_cls = H W for each head, as :meth:`MLGCNHead._factors` has them."""
        graph = (self.adjacency, *self.weights())
        h, propagated = self.x, self.propagated_x
        *inner, last = (self.stacked[f"convs.{k}.weight"] for k in range(len(self.heads[0].convs)))
        for weight in inner:
            h = self._layer(h, weight, graph) if propagated is None else self._times(propagated, weight)
            h, propagated = F.leaky_relu_(h, self.heads[0].negative_slope), None
        if h is None:
            return propagate(last, *graph), None
        return propagate(h, *graph) if propagated is None else propagated, last

    def _layer(self, h: Tensor | None, weight: Tensor, graph: tuple) -> Tensor:
        if h is None:
            return propagate(weight, *graph)
        if h.size(1) <= weight.size(1):
            return self._times(propagate(h, *graph), weight)
        return propagate(self._times(h, weight), *graph)

    def _times(self, h: Tensor, weight: Tensor) -> Tensor:
        """(H·C, F) times each head's own (F, N): (H·C, N)."""
        return (self.per_head(h) @ self.per_head(weight)).flatten(0, 1)


KINDS = {LinearHead: StackedLinear, MLGCNHead: StackedMLGCN}


def make_program(heads: Sequence[torch.nn.Module]) -> OneHead | StackedHeads:
    """The one program that trains these heads, which :func:`check_alike` has seen."""
    if len(heads) == 1:
        return OneHead(heads[0])
    return KINDS[type(heads[0])](heads)


def check_alike(heads: Sequence[torch.nn.Module]) -> None:
    """InputError where heads cannot be trained, or not at once: several must be of one kind and shape."""
    if not all(any(p.requires_grad for p in head.parameters()) for head in heads):
        raise InputError("heads", "parameters that learn", "a head without any")
    if len(heads) == 1:
        return
    if len({id(head) for head in heads}) < len(heads):
        raise InputError("heads", "different heads", "one of them twice")
    if type(heads[0]) not in KINDS:
        found = type(heads[0]).__name__
        raise InputError("heads", "MLGCNHead or LinearHead to train at once", found, "train one after another")
    shapes = [head_shape(head) for head in heads]
    for k, shape in enumerate(shapes):
        for name, value in shapes[0].items():
            if shape.get(name) != value:
                found = f"{name} {value} of head 0 and {shape.get(name)} of head {k}"
                raise InputError("heads", "heads of equal shape", found, "train them one after another")
    if not all(p.requires_grad for head in heads for p in head.parameters()):
        raise InputError("heads", "heads all of whose parameters learn", "frozen ones", "train them one after another")


def head_shape(head: torch.nn.Module) -> dict:
    """What heads must share to be trained at once."""
    shape = {"kind": type(head).__name__, "num_labels": head.num_labels, "num_features": head.num_features}
    shape["dtype"] = str(next(head.parameters()).dtype)
    if isinstance(head, MLGCNHead):
        shape |= {name: getattr(head, name) for name in ("negative_slope", "learn_edges", "learn_p")}
        shape |= {"hidden_channels": list(head.hidden_channels), "embedding_dim": head.convs[0].in_channels}
        shape["one_hot"] = head.x is None
    elif isinstance(head, LinearHead):
        shape["bias"] = head.linear.bias is not None
    return shape

"""The label graph of a head: the operator Â, with constant or learned entries."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_flag, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.nn.gcn import LabelOperator
from mlgcn_pyg.nn.graph_buffers import check_graph, check_saved_buffer, equal_values
from mlgcn_pyg.nn.kernels import Adjacency
from mlgcn_pyg.nn.learned_edges import LearnedEdges
from mlgcn_pyg.nn.learned_entries import LearnedEntries
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.nn.topk import highest
from mlgcn_pyg.tensor_checks import check_floats

GRAPH_BUFFERS = ("x", "edge_index", "edge_weight", "self_weight")


class GraphModule(StandardizedHead):
    """A head with a label graph as buffers, which move with it and are part of its state dict.

    Sorted edges and the constant Âx follow from these buffers. They are computed again where a state dict gives them
    other values, types or devices: after construction on the device ``"meta"``, or after ``to_empty``.

    Args:
        graph: the label graph.
        learn_edges: whether the edge weights are learned.
        learn_p: whether one p per label is learned.

    Raises:
        InputError: if the graph is invalid or does not support ``learn_edges`` or ``learn_p``.
    """

    x: Tensor | None
    edge_index: Tensor
    edge_weight: Tensor
    self_weight: Tensor
    propagated_x: Tensor | None
    learned: LearnedEdges | LearnedEntries | None
    propagates_x: ClassVar[bool] = True  # whether the embeddings of the graph are the input of the network
    adjacency: Adjacency

    def __init__(self, graph: LabelGraph, learn_edges: bool, learn_p: bool):
        super().__init__()
        check_graph(graph)
        self.label_names = tuple(graph.label_names)
        self.learn_edges, self.learn_p = check_flag("learn_edges", learn_edges), check_flag("learn_p", learn_p)
        self._graph = _without_embeddings(graph)
        for name in GRAPH_BUFFERS:
            value = getattr(graph, name)  # x is None for one-hot labels
            self.register_buffer(name, None if value is None else value.detach().clone())
        if self.x is not None:
            self.x = self.x.to(graph.edge_weight.dtype)
        learned = LearnedEntries if graph.weighting == KERNEL else LearnedEdges
        self.learned = learned(graph, learn_edges, learn_p) if learn_edges or learn_p else None
        self._derive()
        self._stale = False  # whether the buffers have had no values since the last call of _derive
        self.register_load_state_dict_pre_hook(GraphModule._before_loading)
        self.register_load_state_dict_post_hook(GraphModule._after_loading)

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
        if self.propagates_x and self.x is not None and self.learned is None:
            value = self._operator()(self.x)
        self.register_buffer("propagated_x", value, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        dtype = self.edge_weight.dtype
        super()._apply(fn, recurse)
        if self.edge_weight.dtype != dtype and not self.edge_weight.is_meta:
            self._propagate_constant()  # Âx is computed in the new precision, not converted from the old one
        return self

    def weights(self) -> tuple[Tensor, Tensor]:
        """Returns ``edge_weight`` (E,) and ``self_weight`` (C,), the current entries of Â."""
        if isinstance(self.learned, LearnedEntries):
            return self.learned(self.edge_weight), self.self_weight
        return (self.edge_weight, self.self_weight) if self.learned is None else self.learned()

    def _replace_weights(self, graph: LabelGraph) -> None:
        """Replaces the edges and weights by those of a graph with the same labels and embeddings."""
        self._graph = _without_embeddings(graph)
        for name in ("edge_index", "edge_weight", "self_weight"):
            like, value = getattr(self, name), getattr(graph, name)
            setattr(self, name, value.detach().to(like, copy=True))
        self._derive()

    def _rows(self) -> list[tuple[str, object]]:
        graph = self._graph
        text = f"{self.edge_index.size(1)} edges, weighting {graph.weighting}, τ = {graph.tau:g}, p = {graph.p:g}"
        learned = [name for name, is_learned in (("edges", self.learn_edges), ("p", self.learn_p)) if is_learned]
        return [*super()._rows(), ("label graph", text), ("learned", " and ".join(learned) or "nothing of the graph")]

    def _operator(self) -> LabelOperator:
        return LabelOperator(self.adjacency, *self.weights())

    def factors(self) -> tuple[Tensor, Tensor | None]:
        """Returns H and W with W_cls = HW, or W_cls and None."""
        raise NotImplementedError

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
        check_floats("features", features, ("batch", self.num_features), next(self.parameters()))
        if check_positive("k", k) > self.num_labels:
            raise InputError("k", f"at most {self.num_labels}, the number of labels", k)
        check_positive("label_chunk", label_chunk)
        h, weight = self.factors()
        features = self.standardized(features)
        projected = features if weight is None else features @ weight.t()
        return highest(projected, h, k, label_chunk, self.bias)

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

    @torch.no_grad()
    def label_graph(self) -> LabelGraph:
        """Returns a copy of the label graph with the current weights, which may be learned, in its precision."""
        graph = self.base_graph()
        graph.edge_weight, graph.self_weight = (w.detach().to(graph.edge_weight, copy=True) for w in self.weights())
        return graph

    def _check_embeddings(self, graph: LabelGraph) -> None:
        """Checks that weights that all labels share fit the embeddings of another label graph."""
        size = self._graph.num_labels if self.x is None else self.x.size(1)
        if (self.x is None) != (graph.x is None) or graph.embedding_dim != size:
            kind = "one-hot " if self.x is None else ""
            found = f"width {graph.embedding_dim}" + (" (one-hot)" if graph.x is None else "")
            raise InputError("graph", f"{kind}embeddings of width {size}", found)

    def _copy_bias(self, head: "GraphModule") -> None:
        """Sets the bias of another head: that of a label with the same name, or the mean of the biases."""
        if self.bias is not None:
            known, mean = dict(zip(self.label_names, self.bias.tolist(), strict=True)), self.bias.mean().item()
            head.set_bias([known.get(name, mean) for name in head.label_names])


def _without_embeddings(graph: LabelGraph) -> LabelGraph:
    """Returns a copy of a graph on the CPU without its embeddings, which may be large and are a buffer of the head."""
    graph = copy.copy(graph)
    graph.x = None
    return graph.clone().to("cpu")

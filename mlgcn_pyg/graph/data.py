"""The base class of ``LabelGraph``: its fields, and the methods that do not require counts."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch_geometric.data import Data

from mlgcn_pyg.checks import check_number, check_tensor
from mlgcn_pyg.errors import InputError, first_line, renamed_arguments
from mlgcn_pyg.files.atomic import tensor_digest
from mlgcn_pyg.files.plain import load_plain, save_plain
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.fields import Array
from mlgcn_pyg.graph.state import TENSORS, fields_of_state, state_of_fields
from mlgcn_pyg.graph.summary import GraphSummary, summarize
from mlgcn_pyg.graph.validation import check_embedded, check_fields, check_graph
from mlgcn_pyg.graph.weighting import defined_weights, released_weights, reweight
from mlgcn_pyg.labels import check_same_labels, normal_label_names

MAX_DENSE = 16_384  # the largest number of labels for a dense Â, which takes 1 GiB


class LabelGraphData(Data):
    """The fields and methods of :class:`~mlgcn_pyg.graph.LabelGraph`, without the methods that build a graph."""

    # stored by Data like every attribute; the annotations are for type checkers
    x: Tensor | None
    x_source: dict[str, Any]
    edge_index: Tensor
    edge_prob: Tensor
    edge_weight: Tensor
    self_weight: Tensor
    label_counts: Tensor
    label_names: tuple[str, ...]
    num_nodes: int
    tau: float
    probability: str
    p: float
    weighting: str
    flow: str

    @classmethod
    def _from_edges(
        cls,
        edge_index: Tensor,
        edge_prob: Tensor,
        label_counts: Tensor,
        rule: EdgeRule,
        *,
        label_names: Sequence[str] | None,
        x: Array | LabelEmbeddings | None,
        p: float,
        weighting: str,
    ) -> Self:
        """Builds the graph from the edges that ``rule`` selected."""
        graph = cls(edge_index=edge_index, edge_prob=edge_prob, label_counts=label_counts, num_nodes=len(label_counts))
        graph.label_names = normal_label_names(label_names, len(label_counts))
        graph._set_embeddings(x)
        graph.tau, graph.probability = rule.tau, rule.probability
        graph._set_weights(p, weighting)
        graph.validate()
        check_embedded(graph)
        return graph

    def _set_embeddings(self, x: Array | LabelEmbeddings | None) -> None:
        self.x_source = {}
        if isinstance(x, LabelEmbeddings):
            check_same_labels("x", x.label_names, self.label_names, "the graph")
            self.x_source = x.source
            x = x.x
        if x is None:
            return
        rows = check_tensor("x", x, "label embeddings (C, F)")
        self.x = rows.to(torch.get_default_dtype()) if rows.is_floating_point() else rows

    def _set_weights(self, p: float, weighting: str) -> None:
        edge_weight, self_weight, self.flow = reweight(self.edge_index, self.num_labels, p, weighting)
        self.edge_weight = edge_weight.to(torch.get_default_dtype())
        self.self_weight = self_weight.to(torch.get_default_dtype())
        self.p, self.weighting = float(p), weighting

    def _keep_loops(self, loops: Tensor) -> None:
        """Sets the weights of the released code for labels that are their own neighbours, (C,) 1 or 0."""
        weights = released_weights(self.edge_index, self.num_labels, self.p, loops)
        self.edge_weight, self.self_weight = (weight.to(torch.get_default_dtype()) for weight in weights)

    @property
    def num_labels(self) -> int:
        """The number of labels C, which are the nodes."""
        return self.num_nodes

    @property
    def embedding_dim(self) -> int:
        """The width F of the label embeddings; C if they are one-hot."""
        return self.num_labels if self.x is None else self.x.size(1)

    def to_dense(self) -> Tensor:
        """Returns Â (C, C), in which row i receives from column j.

        One propagation step is ``graph.to_dense() @ h``, for label features h (C, F).

        Raises:
            InputError: if a tensor is missing; if there are more than 16,384 labels, for which Â would take over 1 GiB.
        """
        check_fields(self)
        if self.num_labels > MAX_DENSE:
            fix = "use edge_index, edge_weight and self_weight"
            raise InputError("num_labels", f"at most {MAX_DENSE} labels for a dense matrix", self.num_labels, fix)
        source, target = self.edge_index
        receiver, sender = (source, target) if self.flow == "target_to_source" else (target, source)
        dense = torch.diag(self.self_weight)
        dense[receiver, sender] = self.edge_weight
        return dense

    def reweighted(self, *, p: float | None = None, tau: float | None = None, weighting: str | None = None) -> Self:
        """Returns a copy with a different p, a higher τ or a different weighting; the targets are not needed.

        Args:
            p: share that a label receives from its neighbours, in [0, 1]; default: unchanged.
            tau: threshold on P, at least that of this graph; default: unchanged.
            weighting: ``"paper"``, ``"released"``, ``"binary"`` or ``"none"``; default: unchanged.

        Raises:
            InputError: if ``tau`` is below that of this graph, whose weaker edges were not kept; if ``p`` or
                ``weighting`` is not valid; if the weights of this graph are not those that its p and weighting define,
                because they were learned or changed by hand, and would be lost.

        >>> from mlgcn_pyg import LabelGraph
        >>> graph = LabelGraph.from_targets([[1, 1], [1, 0]], tau=0.4)
        >>> graph.edge_prob.tolist(), graph.reweighted(tau=0.6).edge_prob.tolist()
        ([0.5, 1.0], [1.0])
        """
        self.validate()
        if defined_weights(self) is None:
            expected = f"the weights that p = {self.p:g} and weighting {self.weighting!r} define"
            fix = "they would be lost: build the graph from its targets or counts again"
            raise InputError("edge_weight", expected, "weights that were learned, read or changed by hand", fix)
        graph = self.clone()
        if tau is not None:
            graph.tau = check_number("tau", tau, 0, 1, open_low=True)
            if graph.tau < self.tau:
                fix = "weaker edges were not kept: build the graph from its targets or counts again"
                raise InputError("tau", f"τ ≥ {self.tau:g}, at which this graph was built", tau, fix)
            keep = self.edge_prob >= graph.tau
            graph.edge_index, graph.edge_prob = self.edge_index[:, keep], self.edge_prob[keep]
        graph._set_weights(self.p if p is None else p, self.weighting if weighting is None else weighting)
        return graph

    def summary(self, num_strongest: int = 10) -> GraphSummary:
        """Returns the number of edges, the isolated labels, the hubs and the strongest edges.

        Args:
            num_strongest: the number of edges to list, those with the highest P first.

        Raises:
            InputError: if ``num_strongest`` is not an integer ≥ 0.

        >>> from mlgcn_pyg import LabelGraph
        >>> print(LabelGraph.from_targets([[1, 1], [1, 0]], label_names=["person", "tie"]).summary())
        label graph: 2 labels, 2 directed edges (weighting paper, tau = 0.4, p = 0.2)
        labels without outgoing edges: 0, without incoming edges: 0, isolated: 0
        hubs: person (2 edges, 100%), tie (2 edges, 100%)
        strongest edges, i → j:
          tie → person  P = 1.000  (N = 1)
          person → tie  P = 0.500  (N = 2)
        """
        check_fields(self)
        return summarize(self, num_strongest)

    def validate(self, raise_on_error: bool = True) -> bool:
        """Checks the shapes and values of all fields.

        Args:
            raise_on_error: if False, issues a warning and returns False instead of raising.

        Returns:
            True if the graph is valid.

        Raises:
            InputError: if the graph is not valid; the error's ``argument`` is the name of the field.
        """
        try:
            check_graph(self)
        except InputError as error:
            if raise_on_error:
                raise
            warnings.warn(str(error), stacklevel=2)
            return False
        return super().validate(raise_on_error)

    def digest(self) -> str:
        """Returns the SHA-256 of all tensors and settings; ``x_source`` is ignored."""
        check_fields(self)
        settings = repr([tuple(self.label_names), self.tau, self.probability, self.p, self.weighting]).encode()
        tensors = {name: self[name] for name in TENSORS if name in self}
        return tensor_digest(tensors | {"settings": torch.frombuffer(bytearray(settings), dtype=torch.uint8)})

    def state(self) -> dict[str, Any]:
        """Returns the graph as a dict of tensors, numbers and strings, for ``torch.load(weights_only=True)``."""
        check_fields(self)
        return state_of_fields(self)

    @classmethod
    def from_state(cls, state: dict[str, Any], where: str = "") -> Self:
        """Builds a graph from its :meth:`state`.

        Args:
            state: the dict.
            where: the origin of the dict, such as a file name, for error messages.

        Raises:
            InputError: if ``state`` is not the state of a valid graph.
        """
        place = f" in {where}" if where else ""
        fields = fields_of_state(state, place)
        try:
            graph = cls(**fields)
            graph.validate()
        except InputError as error:
            expected = f"{error.expected} as {error.argument}"
            raise InputError("state", expected, f"{error.found}{place}", error.fix) from error
        except Exception as error:  # fields of unexpected types can raise any error
            raise InputError("state", "a complete label graph", f"{first_line(error)}{place}") from error
        return graph

    def save(self, path: str | Path) -> None:
        """Writes the graph to a file, atomically: the file is complete or absent.

        Args:
            path: the file.
        """
        save_plain(path, self.state())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a graph that :meth:`save` has written. No code in the file is run.

        Args:
            path: the file.

        Raises:
            InputError: if there is no such file, or it does not contain a valid graph.
        """
        with renamed_arguments(state="path"):
            return cls.from_state(load_plain("path", path), str(path))

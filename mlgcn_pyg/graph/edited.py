"""Label graphs whose edges are given, added, removed or merged, instead of mined."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import Argument, InputError, renamed_arguments
from mlgcn_pyg.graph.data import LabelGraphData
from mlgcn_pyg.graph.edge_table import EdgeTable, edge_table
from mlgcn_pyg.graph.edges import EdgeRule, selected_edges
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.fields import Array
from mlgcn_pyg.graph.given_weights import check_no_weights, set_given_weights
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.graph.known_edges import COMBINATIONS, KnownEdges, combined, ends_of, known_edges, label_number, names_of
from mlgcn_pyg.graph.more_labels import add_labels, new_names
from mlgcn_pyg.graph.ready_counts import checked_label_counts
from mlgcn_pyg.graph.validation import check_embedded
from mlgcn_pyg.graph.weighting import defined_weights

if TYPE_CHECKING:
    from mlgcn_pyg.graph.edge_table import Edges


class EditedGraph(LabelGraphData):
    """The methods of :class:`~mlgcn_pyg.graph.LabelGraph` that put knowledge into its edges."""

    @classmethod
    def from_edges(
        cls,
        edges: "Edges",
        *,
        label_names: Sequence[str] | None = None,
        label_counts: Array | None = None,
        x: Array | LabelEmbeddings | None = None,
        tau: float = 0.4,
        p: float = 0.2,
        weighting: str = "paper",
    ) -> Self:
        r"""Builds the graph from edges i → j that are known, without images.

        With given weights :math:`w_{ij} > 0`, a label still keeps the share 1 − p of its features and receives p:

        .. math:: \hat{A}_{ij} = p \, w_{ij} / \textstyle\sum_k w_{ik}, \qquad \hat{A}_{ii} = 1 - p

        Args:
            edges: pairs (i, j) or triples (i, j, P) of names or ids (0…C−1); a data frame, or the path of a CSV file,
                with the columns ``source`` and ``target`` and optionally ``prob`` and ``weight``; or a networkx
                ``DiGraph`` with these attributes of edges, and optionally ``name`` and ``count`` of nodes. ``prob`` is
                P(L_j|L_i) in (0, 1], by default 1.
            label_names: C unique names; default: the names in ``edges``, sorted, or in the order of a networkx graph;
                for ids, the numbers 0…C−1.
            label_counts: N_i (C,); default: those of a networkx graph, else 0.
            x: (C, F) label embeddings; default: one-hot.
            tau: τ in [0, 1]; no P may be lower.
            p: share that a label receives from its neighbours, in [0, 1]; below 1 for weighting ``"released"``.
            weighting: ``"paper"``, ``"released"``, ``"binary"`` or ``"none"``. Only ``"paper"`` has given weights;
                other weightings require those that they define.

        Raises:
            InputError: if ``edges`` has a different form, or a file is not valid; if a label is unknown (the error
                lists similar names); if an edge is a self-loop or occurs twice; if P is not in (0, 1] or below τ; if
                ``weighting`` is ``"kernel"``; if another argument is not valid.

        >>> from mlgcn_pyg import LabelGraph
        >>> graph = LabelGraph.from_edges([("tie", "person"), ("dog", "person", 0.7)])
        >>> graph.label_names, graph.edge_index.tolist(), graph.edge_prob.tolist()
        (('dog', 'person', 'tie'), [[0, 2], [1, 1]], [0.7, 1.0])
        """
        _check_no_kernel(weighting)
        table, rule = edge_table(edges), EdgeRule(tau)
        names = names_of(table, label_names)
        known = known_edges(table, names, rule.tau)
        known = known.select(np.argsort(known.key(len(names))))
        graph = cls._from_edges(
            *_tensors(known), _counts(label_counts, table, names), rule, label_names=names, x=x, p=p,
            weighting=weighting,
        )  # fmt: skip
        if known.weight is not None:
            set_given_weights(graph, known.weight)
        return graph

    def with_edges(self, edges: "Edges") -> Self:
        """Returns a copy with more edges between its labels. Its p and weighting define the weights.

        Args:
            edges: the edges, in one of the forms of :meth:`from_edges`. An edge that the graph already has gets the
                given P.

        Raises:
            InputError: in the cases of :meth:`from_edges`; if edges of one receiver have different weights; if the
                weighting of this graph is ``"kernel"``, or its weights were learned or changed by hand and would be
                lost.

        >>> from mlgcn_pyg import LabelGraph
        >>> mined = LabelGraph.from_targets([["person", "tie"], ["dog"]])
        >>> mined.with_edges([("dog", "person", 0.6)]).to_frame()[["source", "target", "prob"]].values.tolist()
        [['dog', 'person', 0.6], ['person', 'tie', 1.0], ['tie', 'person', 1.0]]
        """
        graph, table = self._editable(), edge_table(edges)
        known = known_edges(table, self.label_names, self.tau)
        check_no_weights(known, self.num_labels)
        return graph._with_known(combined(graph._known(), known, self.num_labels, self.tau, "replace"))

    def without_edges(self, edges: "Edges") -> Self:
        """Returns a copy without some edges. Its p and weighting define the weights.

        Args:
            edges: the edges, in one of the forms of :meth:`from_edges`; P and weights have no effect.

        Raises:
            InputError: if the graph does not have one of the edges; if a label is unknown; if an edge occurs twice; if
                the weighting of this graph is ``"kernel"``, or its weights were learned or changed by hand and would be
                lost; if a label without edges would have the embedding 0.

        >>> from mlgcn_pyg import LabelGraph
        >>> mined = LabelGraph.from_targets([["person", "tie"], ["dog"]])
        >>> mined.without_edges([("person", "tie")]).to_frame()[["source", "target", "prob"]].values.tolist()
        [['tie', 'person', 1.0]]
        """
        graph, table = self._editable(), edge_table(edges)
        source, target = ends_of(table, self.label_names)
        own, removed = graph._known(), source * self.num_labels + target
        key = own.key(self.num_labels)
        if len(absent := np.flatnonzero(~np.isin(removed, key))):
            raise InputError("edges", f"edges of the graph, which has {len(key)}", table.where(int(absent[0])))
        return graph._with_known(own.select(~np.isin(key, removed)))

    def with_labels(self, label_names: Sequence[str], x: Array | LabelEmbeddings | None = None) -> Self:
        """Returns a copy with more labels, which have no images and no edges; :meth:`with_edges` adds edges.

        They follow the labels of this graph, whose edges and weights do not change.

        Args:
            label_names: the names of the new labels.
            x: (n, F) their embeddings, from the source of those of this graph, such as the result of
                :func:`~mlgcn_pyg.graph.label_embeddings` or :func:`~mlgcn_pyg.graph.sentence_embeddings` for
                ``label_names``; None if this graph has one-hot labels.

        Raises:
            InputError: if the graph has one of the labels; if ``x`` has no row for each name, or not the width of the
                embeddings of this graph; if an embedding is 0; if the weighting of this graph is ``"kernel"``.

        >>> from mlgcn_pyg import LabelGraph
        >>> mined = LabelGraph.from_targets([["horse", "person"]], x=[[1.0, 0.1], [0.2, 1.0]])
        >>> graph = mined.with_labels(["zebra"], x=[[1.0, 0.0]]).with_edges([("zebra", "horse", 0.9)])
        >>> graph.label_names, graph.edge_index.tolist(), graph.label_counts.tolist()
        (['horse', 'person', 'zebra'], [[0, 1, 2], [1, 0, 0]], [1, 1, 0])
        """
        _check_no_kernel(self.weighting)
        self.validate()
        graph = self.clone()
        add_labels(graph, new_names(graph, label_names), x)
        graph.num_nodes = len(graph.label_names)
        graph.validate()
        check_embedded(graph)
        return graph

    def merge(self, other: "EditedGraph", how: str = "max") -> Self:
        """Returns a copy with the edges of two graphs over the same labels, in any order.

        An edge that only one graph has counts as P = 0 in the other. The copy keeps τ, p, the weighting, the embeddings
        and the counts of this graph; edges with P < τ are left out.

        Args:
            other: the other graph.
            how: P of an edge: ``"max"``, ``"min"`` (of edges that both have) or ``"mean"``; ``"replace"`` takes that of
                ``other`` where it has the edge.

        Raises:
            InputError: if ``other`` is not a label graph, or has other labels; if ``how`` is unknown; if the weighting
                of a graph is ``"kernel"``, or its weights were learned or changed by hand and would be lost.

        >>> from mlgcn_pyg import LabelGraph
        >>> mined = LabelGraph.from_targets([["a", "b"], ["b"]])
        >>> known = LabelGraph.from_edges([("a", "b", 0.9), ("b", "a", 0.9)])
        >>> [mined.merge(known, how).edge_prob.tolist() for how in ("max", "min", "mean", "replace")]
        [[1.0, 0.9], [0.9, 0.5], [0.95, 0.7], [0.9, 0.9]]
        """
        if not isinstance(other, EditedGraph):
            raise InputError("other", "a LabelGraph", type(other).__name__)
        check_choice("how", how, COMBINATIONS)
        graph = self._editable()
        with renamed_arguments(weighting="other"):
            _check_no_kernel(other.weighting)
        other.validate()
        if defined_weights(other) is None:
            found = "weights that were given, learned or changed by hand, which would be lost"
            raise InputError("other", "a graph whose weights follow from its edges", found, "leave its weights out")
        theirs = other._known()
        position = _positions(other.label_names, self.label_names)
        theirs = KnownEdges(position[theirs.source], position[theirs.target], theirs.prob)
        return graph._with_known(combined(graph._known(), theirs, self.num_labels, self.tau, how))

    def _editable(self) -> Self:
        """Returns a copy, or raises an error if its weights do not follow from its edges."""
        _check_no_kernel(self.weighting)
        return self.reweighted()

    def _known(self) -> KnownEdges:
        likely = selected_edges(self)
        source, target = self.edge_index[:, likely].cpu().numpy()
        return KnownEdges(source, target, self.edge_prob[likely].detach().cpu().double().numpy())

    def _with_known(self, known: KnownEdges) -> Self:
        """Sets the edges of this copy, and the weights that p and the weighting define."""
        device = self.self_weight.device
        self.edge_index, self.edge_prob = (tensor.to(device) for tensor in _tensors(known))
        self._set_weights(self.p, self.weighting)
        self.validate()
        check_embedded(self)
        return self


def _check_no_kernel(weighting: Any) -> None:
    if isinstance(weighting, str) and weighting == KERNEL:
        fix: list[str | Argument] = [
            "its weights follow from counts and embeddings, not from edges: use ",
            Argument("weighting", "paper"),
        ]
        raise InputError("weighting", "a weighting whose weights follow from the edges", repr(KERNEL), fix)


def _tensors(known: KnownEdges) -> tuple[Tensor, Tensor]:
    """Returns ``edge_index`` (2, E) and P (E,)."""
    return torch.from_numpy(np.stack([known.source, known.target])), torch.from_numpy(known.prob)


def _counts(label_counts: Array | None, table: EdgeTable, names: Sequence[str]) -> Tensor:
    """Returns the given label counts, or those of the table, or zeros."""
    if label_counts is None:
        position = {name: k for k, name in enumerate(names)}
        own = {label_number(label, position): count for label, count in (table.counts or {}).items()}
        if not own.keys() >= set(range(len(names))):
            return torch.zeros(len(names), dtype=torch.int64)
        label_counts = [own[c] for c in range(len(names))]
    counts = checked_label_counts(label_counts)
    if len(counts) != len(names):
        raise InputError("label_counts", f"{len(names)} numbers, one per label", len(counts))
    return counts


def _positions(names: Sequence[str], own: Sequence[str]) -> np.ndarray:
    """Returns the position of each name (C,) among the labels of this graph."""
    if set(names) != set(own):
        only = sorted(set(names) ^ set(own))
        found = f"a graph of {len(names)} labels" if len(names) != len(own) else f"{only[0]!r} in one graph only"
        raise InputError("other", f"the {len(own)} labels of this graph, in any order", found)
    position = {name: k for k, name in enumerate(own)}
    return np.array([position[name] for name in names], dtype=np.int64)

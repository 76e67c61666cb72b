"""The label graph: which label makes which other label likely, as a PyTorch Geometric ``Data``."""

import warnings
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Data

from mlgcn_pyg.checks import check_label_names, check_number, check_same_labels
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import load_plain, save_plain, tensor_digest
from mlgcn_pyg.graph.counts import CooccurrenceCounter, edges_of_counts
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.summary import GraphSummary, summarize
from mlgcn_pyg.graph.validation import check_graph
from mlgcn_pyg.graph.weighting import reweight
from mlgcn_pyg.released.pickles import read_released_counts

MAX_DENSE = 16_384
FORMAT = "mlgcn_pyg.label_graph"
TENSORS = ("x", "edge_index", "edge_prob", "edge_weight", "self_weight", "label_counts")
SETTINGS = ("label_names", "tau", "probability", "p", "weighting", "flow")


class LabelGraph(Data):
    r"""A directed graph over labels, mined from training annotations (`"Multi-Label Image Recognition with Graph
    Convolutional Networks" <https://arxiv.org/abs/1904.03582>`_, Sec. 3.3).

    An edge i → j says "where i appears, j is likely":

    .. math::
        P_{ij} = P(L_j | L_i) = M_{ij} / N_i, \qquad A_{ij} = [P_{ij} \ge \tau,\ i \ne j] \quad \text{(Eqs. 6, 7)}

    and Â re-weights the edges (Eq. 8 for ``weighting="paper"``; see :mod:`mlgcn_pyg.graph.weighting`).
    Self weights are a vector beside the edges, not self-loops. Build it with :meth:`from_targets`,
    :meth:`from_counts` or :meth:`from_counter`; it remains an ordinary ``Data`` (``.to(device)``, ``to_networkx``, …).

    Attributes:
        x: (C, F) label embeddings, or None for one-hot embeddings (kept implicit, never C×C).
        x_source: what x was made of (:class:`~mlgcn_pyg.graph.LabelEmbeddings`), a dict that is empty where unknown.
        edge_index: (2, E); ``edge_index[0] = i`` the condition, ``edge_index[1] = j`` what it implies.
        edge_prob: (E,) float64, P(L_j | L_i), or with ``probability="wilson"`` its lower confidence bound.
        edge_weight: (E,), Â at the edges. self_weight: (C,), the diagonal of Â.
        label_counts: (C,) int64, N_i. label_names: C strings.
        tau, p, weighting: how the edges were chosen and weighted.
        flow: who receives, in PyG's words: ``"target_to_source"`` (i from j), or ``"source_to_target"`` (``released``).

    >>> graph = LabelGraph.from_targets([[1, 1], [1, 0], [1, 0]], label_names=["person", "tie"], tau=0.4, p=0.2)
    >>> graph.edge_index.tolist(), graph.edge_prob.tolist()  # a tie implies a person, not the other way round
    ([[1], [0]], [1.0])
    >>> graph.to_dense()
    tensor([[0.8000, 0.0000],
            [0.2000, 0.8000]])
    """

    @classmethod
    def from_targets(cls, targets, *, num_labels: int | None = None, **options) -> "LabelGraph":
        """The graph of targets (N, C) in {-1, 0, 1}; −1 leaves the denominator of P.

        Args:
            targets: (N, C), dense (tensor, array) or SciPy sparse; N may be 0. Or, with ``num_labels``, one list of
                label ids per image.
            num_labels: C, for lists of label ids.
            label_names: C names; the numbers 0…C−1 by default.
            x: (C, F) label embeddings, or :class:`~mlgcn_pyg.graph.LabelEmbeddings`; one-hot by default.
            tau: τ in (0, 1], edges are the pairs with P ≥ τ (0.4).
            p: share of the neighbours in [0, 1] (0.2).
            weighting: ``"paper"`` (default), ``"released"``, ``"binary"`` or ``"none"``.
            probability, min_count, top_k: see :class:`~mlgcn_pyg.graph.edges.EdgeRule`.
            max_entries: pair counts that may exist at a time, which bounds the memory (about 45 bytes each).

        Raises:
            InputError: anything else, with the argument named.
        """
        if num_labels is not None and not hasattr(targets, "shape"):
            return cls.from_counter(CooccurrenceCounter(num_labels).update_ids(targets), **options)
        if not hasattr(targets, "shape"):
            try:
                targets = torch.as_tensor(targets)
            except (ValueError, TypeError) as error:
                fix = "for lists of label ids, give num_labels"
                raise InputError("targets", "a matrix of targets", first_line(error), fix) from error
        if len(targets.shape) != 2:
            raise InputError("targets", "a matrix of shape (num_images, num_labels)", f"shape {tuple(targets.shape)}")
        counter = CooccurrenceCounter(num_labels or targets.shape[1])
        return cls.from_counter(counter.update(targets), **options)

    @classmethod
    def from_counter(
        cls, counter: CooccurrenceCounter, *, tau=0.4, probability="ratio", min_count=1, top_k=None,
        max_entries=1 << 26, **options,
    ) -> "LabelGraph":  # fmt: skip
        """The graph of what a :class:`CooccurrenceCounter` has seen; options as in :meth:`from_targets`."""
        rule = EdgeRule(tau, probability, min_count, top_k)
        return cls._from_edges(*counter.edges(rule, max_entries), counter.label_counts.clone(), rule, **options)

    @classmethod
    def from_counts(
        cls, label_counts, pair_counts, *, tau=0.4, probability="ratio", min_count=1, top_k=None, **options
    ) -> "LabelGraph":
        """The graph of ready counts N (C,) and M (C, C), dense or sparse; options as in :meth:`from_targets`.

        Raises InputError for counts that no set of images could have given, such as M_ij > N_i.

        >>> LabelGraph.from_counts([10, 7], [[0, 7], [7, 0]], tau=0.7).edge_prob.tolist()  # 7/10 ≥ 0.7 holds
        [0.7, 1.0]
        """
        rule = EdgeRule(tau, probability, min_count, top_k)
        label_counts = torch.as_tensor(label_counts)
        if label_counts.dim() != 1 or len(label_counts) == 0:
            raise InputError("label_counts", "one count per label, shape (C,)", f"shape {tuple(label_counts.shape)}")
        if not bool((label_counts.double() >= 0).all()) or bool((label_counts.long() != label_counts).any()):
            raise InputError("label_counts", "whole numbers ≥ 0", label_counts.tolist()[:5])
        label_counts = label_counts.long().cpu()
        return cls._from_edges(*edges_of_counts(label_counts, pair_counts, rule), label_counts, rule, **options)

    @classmethod
    def from_released(cls, adj, *, weighting: str = "released", **options) -> "LabelGraph":
        """The graph of a released ``*_adj.pkl`` (``{"nums": (C,), "adj": (C, C)}``), with the released weighting.

        Nothing in the file can run code. Its rows are the labels in alphabetical order (COCO's and VOC's); their names
        are given as ``label_names``. Other options as in :meth:`from_counts`, whose checks it passes too.
        """
        return cls.from_counts(*read_released_counts(adj), weighting=weighting, **options)

    @classmethod
    def _from_edges(
        cls, edge_index, edge_prob, label_counts, rule, *, label_names=None, x=None, p=0.2, weighting="paper"
    ) -> "LabelGraph":
        graph = cls(edge_index=edge_index, edge_prob=edge_prob)
        graph.num_nodes = len(label_counts)
        graph.label_counts = label_counts
        graph.label_names = check_label_names(label_names, len(label_counts))
        graph.x_source = {}
        if isinstance(x, LabelEmbeddings):
            check_same_labels("x", x.label_names, graph.label_names, "the graph")
            x, graph.x_source = x.x, x.source
        if x is not None:
            x = torch.as_tensor(x)
            graph.x = x.to(torch.get_default_dtype()) if x.is_floating_point() else x
        graph.tau, graph.probability = float(rule.tau), rule.probability
        graph._set_weights(p, weighting)
        graph.validate()
        return graph

    def _set_weights(self, p: float, weighting: str) -> None:
        edge_weight, self_weight, self.flow = reweight(self.edge_index, self.num_labels, p, weighting)
        self.edge_weight = edge_weight.to(torch.get_default_dtype())
        self.self_weight = self_weight.to(torch.get_default_dtype())
        self.p, self.weighting = float(p), weighting

    @property
    def num_labels(self) -> int:
        """C, the number of labels (= nodes)."""
        return self.num_nodes

    @property
    def embedding_dim(self) -> int:
        """F, the width of the label embeddings; C where they are one-hot."""
        return self.num_labels if self.x is None else self.x.size(1)

    def to_dense(self) -> Tensor:
        """Â (C, C), row = receiver: one propagation step is ``graph.to_dense() @ h``.

        Raises InputError above 16,384 labels (1 GiB).
        """
        if self.num_labels > MAX_DENSE:
            raise InputError(
                "to_dense", f"at most {MAX_DENSE} labels", self.num_labels, fix="use the edges as they are"
            )
        source, target = self.edge_index
        receiver, sender = (source, target) if self.flow == "target_to_source" else (target, source)
        dense = torch.diag(self.self_weight)
        dense[receiver, sender] = self.edge_weight
        return dense

    def reweighted(
        self, *, p: float | None = None, tau: float | None = None, weighting: str | None = None
    ) -> "LabelGraph":
        """The same graph with another p, a higher τ or another weighting, without the targets.

        Raises InputError for a τ below the graph's own: the edges between the two were not kept.
        """
        graph = self.clone()
        if tau is not None:
            graph.tau = check_number("tau", tau, 0, 1, open_low=True)
            if graph.tau < self.tau:
                raise InputError(
                    "tau",
                    f"τ ≥ {self.tau:g}, at which this graph was built",
                    tau,
                    fix="weaker edges were not kept: build the graph from its targets or counts again",
                )
            keep = self.edge_prob >= graph.tau
            graph.edge_index, graph.edge_prob = self.edge_index[:, keep], self.edge_prob[keep]
        graph._set_weights(self.p if p is None else p, self.weighting if weighting is None else weighting)
        return graph

    def summary(self, num_strongest: int = 10) -> GraphSummary:
        """Edges, isolated labels, hubs and their share, the strongest edges; ``print`` shows it as text."""
        return summarize(self, num_strongest)

    def validate(self, raise_on_error: bool = True) -> bool:
        """True if every tensor has the shape and values a label graph must have; InputError (or a warning) if not."""
        try:
            check_graph(self)
        except InputError as error:
            if raise_on_error:
                raise
            warnings.warn(str(error), stacklevel=2)
            return False
        return super().validate(raise_on_error)

    def digest(self) -> str:
        """sha256 of every tensor and setting: it changes when the graph does, whatever x was made of."""
        settings = repr([tuple(self.label_names), self.tau, self.probability, self.p, self.weighting]).encode()
        tensors = {name: self[name] for name in TENSORS if name in self}
        return tensor_digest(tensors | {"settings": torch.frombuffer(bytearray(settings), dtype=torch.uint8)})

    def state(self) -> dict:
        """Everything as plain tensors, numbers and strings: readable with ``torch.load(weights_only=True)``."""
        state = {"format": FORMAT, "version": 1, "num_labels": self.num_labels}
        state |= {name: self[name].cpu() for name in TENSORS if name in self}
        return state | {name: self[name] for name in SETTINGS} | {"x_source": getattr(self, "x_source", {})}

    @classmethod
    def from_state(cls, state: dict, where: str = "state") -> "LabelGraph":
        """The graph of a :meth:`state`; ``where`` names its origin in errors."""
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise InputError(where, "a label graph saved by LabelGraph.save", "something else")
        if state.get("version") != 1:
            raise InputError(where, "format version 1", state.get("version"), fix="use a newer mlgcn_pyg")
        # graphs saved before there was a choice, or a record
        state = {"probability": "ratio", "x_source": {}} | state
        missing = [name for name in (*TENSORS, *SETTINGS, "num_labels") if name not in state and name != "x"]
        if missing:
            raise InputError(where, "a complete label graph", "no " + ", ".join(missing))
        try:
            graph = cls(**{name: state[name] for name in (*TENSORS, *SETTINGS, "x_source") if name in state})
            graph.num_nodes = state["num_labels"]
            graph.validate()
        except InputError:
            raise
        except Exception as error:  # tensors of other kinds than a graph has
            raise InputError(where, "a complete label graph", first_line(error)) from error
        return graph

    def save(self, path: str | Path) -> None:
        """Writes the graph to ``path``, whole or not at all."""
        save_plain(path, self.state())

    @classmethod
    def load(cls, path: str | Path) -> "LabelGraph":
        """Reads a saved graph; nothing in the file can run code. Raises InputError for any other file."""
        return cls.from_state(load_plain("graph", path), f"graph {path}")

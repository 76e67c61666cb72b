"""The methods of ``LabelGraph`` that do not require counts."""

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_number, check_tensor
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.graph.edges import EdgeRule, selected_edges
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.fields import Array, SparseMatrix
from mlgcn_pyg.graph.kernel import (
    DEFAULT_ALPHA,
    KERNEL,
    check_kernel_labels,
    kernel_edges,
    kernel_spectrum,
    label_kernel,
)
from mlgcn_pyg.graph.stored import StoredGraph
from mlgcn_pyg.graph.summary import GraphSummary, summarize
from mlgcn_pyg.graph.validation import check_embedded, check_embeddings, check_fields
from mlgcn_pyg.graph.weighting import WEIGHTINGS, defined_weights, entries, flow_of, released_weights, reweight
from mlgcn_pyg.labels import check_same_labels, normal_label_names

MAX_DENSE = 16_384  # the largest number of labels for a dense Â, which takes 1 GiB


class LabelGraphData(StoredGraph):
    """The methods of :class:`~mlgcn_pyg.graph.LabelGraph`, without those that count labels."""

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
        alpha: float = DEFAULT_ALPHA,
        pair_counts: Callable[[], SparseMatrix] | None = None,
    ) -> Self:
        """Builds the graph from the edges that ``rule`` selected; only ``"kernel"`` requires ``pair_counts``."""
        graph = cls(edge_index=edge_index, edge_prob=edge_prob, label_counts=label_counts, num_nodes=len(label_counts))
        graph.label_names = normal_label_names(label_names, len(label_counts))
        graph._set_embeddings(x)
        graph.tau, graph.probability = rule.tau, rule.probability
        alpha = check_number("alpha", alpha, 0, 1)
        if weighting == KERNEL:
            check_embeddings(graph)
            check_kernel_labels(graph.num_labels)
            _check_kernel_edges(rule)
            counted = bool(label_counts.any()) or graph.x is None
            graph.kernel = label_kernel(pair_counts() if pair_counts and counted else None, graph.x)
        graph._set_weights(p, weighting, alpha)
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

    def _set_weights(self, p: float, weighting: str, alpha: float = DEFAULT_ALPHA) -> None:
        """Sets the weights of Â; for ``"kernel"``, K is known, and the entries of S are added to the edges."""
        flow = flow_of(check_choice("weighting", weighting, WEIGHTINGS))
        p = check_number("p", p, 0, 1)
        if weighting == KERNEL and self.kernel is not None:
            self.alpha = alpha
            s = kernel_spectrum(self.kernel).operator(alpha)
            self.edge_index, self.edge_prob = kernel_edges(s, self.edge_index, self.edge_prob)
            edge_weight, self_weight = entries(s, self.edge_index)
        else:
            self.kernel = self.alpha = None
            edge_weight, self_weight, _ = reweight(self.edge_index, self.num_labels, p, weighting)
        self.edge_weight = edge_weight.to(torch.get_default_dtype())
        self.self_weight = self_weight.to(torch.get_default_dtype())
        self.p, self.weighting, self.flow = p, weighting, flow

    def _keep_loops(self, loops: Tensor) -> None:
        """Sets the weights of the released code for labels that are their own neighbours, (C,) 1 or 0."""
        weights = released_weights(self.edge_index, self.num_labels, self.p, loops)
        self.edge_weight, self.self_weight = (weight.to(torch.get_default_dtype()) for weight in weights)

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

    def reweighted(
        self,
        *,
        p: float | None = None,
        tau: float | None = None,
        weighting: str | None = None,
        alpha: float | None = None,
    ) -> Self:
        """Returns a copy with a different p, α or weighting, or a higher τ; the targets are not needed.

        Args:
            p: share that a label receives from its neighbours, in [0, 1]; default: unchanged.
            tau: threshold on P, at least that of this graph; default: unchanged.
            weighting: ``"paper"``, ``"released"``, ``"binary"`` or ``"none"``; default: unchanged. ``"kernel"`` only if
                this graph has this weighting, since it requires the pair counts.
            alpha: share of the similarities K for weighting ``"kernel"``, in [0, 1]; default: unchanged.

        Raises:
            InputError: if ``tau`` is below that of this graph, whose weaker edges were not kept; if ``p``, ``alpha`` or
                ``weighting`` is not valid; if ``weighting`` is ``"kernel"`` and that of this graph is not; if the
                weights of this graph are not those that its p or α and its weighting define, because they were learned
                or changed by hand, and would be lost.

        >>> from mlgcn_pyg import LabelGraph
        >>> graph = LabelGraph.from_targets([[1, 1], [1, 0]], tau=0.4)
        >>> graph.edge_prob.tolist(), graph.reweighted(tau=0.6).edge_prob.tolist()
        ([0.5, 1.0], [1.0])
        """
        self.validate()
        weighting = self.weighting if weighting is None else check_choice("weighting", weighting, WEIGHTINGS)
        self._check_reweighting(tau, weighting, alpha)
        graph = self.clone()
        if tau is not None:
            graph.tau = float(tau)
        keep = self.edge_prob >= graph.tau if tau is not None else selected_edges(self)
        graph.edge_index, graph.edge_prob = self.edge_index[:, keep], self.edge_prob[keep]
        alpha = self.alpha if alpha is None else check_number("alpha", alpha, 0, 1)
        graph._set_weights(self.p if p is None else p, weighting, DEFAULT_ALPHA if alpha is None else alpha)
        return graph

    def _check_reweighting(self, tau: float | None, weighting: str, alpha: float | None) -> None:
        """Checks that this graph holds what other weights require."""
        rebuild = "build the graph from its targets or counts again"
        if tau is not None and check_number("tau", tau, 0, 1) < self.tau:
            expected = f"τ ≥ {self.tau:g}, at which this graph was built"
            raise InputError("tau", expected, tau, f"weaker edges were not kept: {rebuild}")
        if weighting == KERNEL and self.kernel is None:
            fix: list[str | Argument] = [
                "the pair counts were not kept: build the graph again with ",
                Argument("weighting", KERNEL),
            ]
            expected = "a weighting that requires no pair counts: paper, released, binary or none"
            raise InputError("weighting", expected, repr(KERNEL), fix)
        if alpha is not None and weighting != KERNEL:
            raise InputError("alpha", "weighting 'kernel', which alone has an alpha", repr(weighting))
        if defined_weights(self) is None:
            alpha_or_p = f"p = {self.p:g}" if self.alpha is None else f"alpha = {self.alpha:g}"
            expected = f"the weights that {alpha_or_p} and weighting {self.weighting!r} define"
            found = "weights that were learned, read or changed by hand"
            raise InputError("edge_weight", expected, found, f"they would be lost: {rebuild}")

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


def _check_kernel_edges(rule: EdgeRule) -> None:
    """Checks that P = 0 marks the edges that only the similarities relate, or that there are no others.

    Raises:
        InputError: if τ is 0 and only some of the pairs are selected.
    """
    if rule.tau == 0 and (rule.min_count or rule.top_k is not None):
        expected = "τ > 0 for weighting 'kernel' with min_count or top_k"
        raise InputError("tau", expected, "0", "leave both out, since its edges do not depend on them")

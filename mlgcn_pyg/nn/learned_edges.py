"""Learned edge weights of a label graph."""

import torch
from torch import Tensor
from torch_geometric.utils import softmax

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph


class LearnedEdges(torch.nn.Module):
    r"""The entries of Â for weighting ``"paper"`` as parameters, which are initialised as in Eq. 8:

    .. math::
        \hat{A}_{ij} = p_i \, \mathrm{softmax}_j(\ell_{ij}), \qquad \hat{A}_{ii} = 1 - p_i, \qquad
        p_i = \sigma(\mathrm{logit}(p) + q_i)

    The softmax runs over the edges with the same receiver i, so rows with edges still sum to 1. A row with a single
    edge has no gradient through its softmax, but still learns its p with ``learn_p``. Labels without edges keep
    1 − p.

    Args:
        graph: a label graph with weighting ``"paper"``.
        learn_edges: if set to True, one logit ℓ per edge is learned, starting at 0.
        learn_p: if set to True, one offset q per label is learned, starting at 0. Weight decay pulls p towards the p of
            the graph.

    Raises:
        InputError: if the weighting of the graph is not ``"paper"``; if ``learn_p`` is True and the graph's p is 0 or
            1.
    """

    receiver: Tensor
    has_edges: Tensor
    edge_logits: Tensor
    p_offsets: Tensor | None

    def __init__(self, graph: LabelGraph, learn_edges: bool, learn_p: bool):
        super().__init__()
        if graph.weighting != "paper":
            expected = "weighting 'paper' or 'kernel', which learned edges require"
            raise InputError("graph", expected, repr(graph.weighting), "use graph.reweighted(weighting='paper')")
        if learn_p and not 0 < graph.p < 1:
            raise InputError("learn_p", "a graph with 0 < p < 1", f"p = {graph.p:g}")
        self.p = graph.p
        if learn_edges:
            self.edge_logits = torch.nn.Parameter(torch.zeros(graph.edge_index.size(1)))
        self.set_receivers(graph.edge_index[0], graph.num_labels)
        self.p_offsets = torch.nn.Parameter(torch.zeros(graph.num_labels)) if learn_p else None

    def set_receivers(self, receiver: Tensor, num_labels: int) -> None:
        """Computes all buffers.

        Args:
            receiver: (E,) the receiver of each edge.
            num_labels: C.
        """
        self.register_buffer("receiver", receiver.clone(), persistent=False)
        self.register_buffer("has_edges", torch.bincount(receiver, minlength=num_labels) > 0, persistent=False)
        logits = getattr(self, "edge_logits", None)
        if not isinstance(logits, torch.nn.Parameter):
            dtype = None if logits is None else logits.dtype
            zeros = torch.zeros(len(receiver), dtype=dtype, device=receiver.device)
            self.register_buffer("edge_logits", zeros, persistent=False)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Resets all parameters to 0, for which Â is that of Eq. 8."""
        for parameter in self.parameters():
            parameter.zero_()

    def forward(self) -> tuple[Tensor, Tensor]:
        """Returns ``edge_weight`` (E,) and ``self_weight`` (C,)."""
        p = torch.full_like(self.has_edges, self.p, dtype=self.edge_logits.dtype)
        return learned_weights(self.edge_logits, self.p_offsets, p, self.receiver, self.has_edges)

    @torch.no_grad()
    def copy_common(self, graph: LabelGraph, other: torch.nn.Module | None, other_graph: LabelGraph) -> None:
        """Copies the parameters of edges and labels whose names are in both graphs.

        Args:
            graph: the label graph of these edges.
            other: the learned edges to copy from; edges of other weightings and None are ignored.
            other_graph: the label graph of ``other``.
        """
        if not isinstance(other, LearnedEdges):
            return
        other_row = {name: row for row, name in enumerate(other_graph.label_names)}
        if self.p_offsets is not None and other.p_offsets is not None:
            for row, name in enumerate(graph.label_names):
                if name in other_row and other.has_edges[other_row[name]]:  # labels without edges learn no p
                    self.p_offsets[row] = other.p_offsets[other_row[name]]
        if not isinstance(self.edge_logits, torch.nn.Parameter):
            return
        copy_by_name(self.edge_logits, graph, other.edge_logits, other_graph)


def learned_weights(
    edge_logits: Tensor, p_offsets: Tensor | None, p: Tensor, receiver: Tensor, has_edges: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns ``edge_weight`` (E,) and ``self_weight`` (C,) of :class:`LearnedEdges`.

    Args:
        edge_logits: (E,) ℓ.
        p_offsets: (C,) q, or None if p is not learned.
        p: (C,) the initial p of each label.
        receiver: (E,) the receiver i of each edge.
        has_edges: (C,) bool, whether a label is the receiver of an edge.
    """
    share = softmax(edge_logits, receiver, num_nodes=len(has_edges))
    if p_offsets is not None:
        p = torch.where(has_edges, (p.logit() + p_offsets).sigmoid(), p)
    return p[receiver] * share, 1 - p


@torch.no_grad()
def copy_by_name(values: Tensor, graph: LabelGraph, others: Tensor, other_graph: LabelGraph) -> None:
    """Copies values (E,) of the edges whose labels are connected in both graphs.

    Args:
        values: (E,), which are changed.
        graph: the label graph of ``values``.
        others: (E',) the values to copy from.
        other_graph: the label graph of ``others``.
    """
    other_edge = {pair: edge for edge, pair in enumerate(_named_edges(other_graph))}
    known = {edge: other_edge[pair] for edge, pair in enumerate(_named_edges(graph)) if pair in other_edge}
    values[list(known)] = others[list(known.values())]


def _named_edges(graph: LabelGraph) -> list[tuple[str, str]]:
    names = graph.label_names
    return [(names[i], names[j]) for i, j in graph.edge_index.t().tolist()]

"""Directed edges that learn: how much each label listens, and to whom."""

import torch
from torch import Tensor
from torch_geometric.utils import softmax

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph


class LearnedEdges(torch.nn.Module):
    r"""Weights of the edges of a graph with weighting ``"paper"``, as parameters that start at Eq. 8:

    .. math::
        \hat{A}_{ij} = p_i \, \mathrm{softmax}_j(\ell_{ij}), \qquad \hat{A}_{ii} = 1 - p_i, \qquad
        p_i = \sigma(\mathrm{logit}(p) + q_i)

    The softmax runs over the edges that share the receiver i, so that rows with edges keep the sum 1. A row with a
    single edge has no gradient through its softmax; with ``learn_p`` it still learns p. Labels without edges keep
    1 − p.

    Args:
        graph: a label graph with weighting ``"paper"``.
        learn_edges: one logit ℓ per edge, starting at 0.
        learn_p: one q per label, starting at 0, the graph's p; weight decay draws towards Eq. 8.

    Raises:
        InputError: another weighting; ``learn_p`` where p is 0 or 1.
    """

    def __init__(self, graph: LabelGraph, learn_edges: bool, learn_p: bool):
        super().__init__()
        if graph.weighting != "paper":
            fix = "graph.reweighted(weighting='paper')"
            raise InputError("learn_edges", "a graph with weighting 'paper'", repr(graph.weighting), fix)
        if learn_p and not 0 < graph.p < 1:
            raise InputError("learn_p", "a graph with 0 < p < 1 to start from", f"p = {graph.p:g}")
        self.p = graph.p
        receiver = graph.edge_index[0]
        degree = torch.bincount(receiver, minlength=graph.num_labels)
        self.register_buffer("receiver", receiver.clone(), persistent=False)
        self.register_buffer("has_edges", degree > 0, persistent=False)
        zeros = torch.zeros(len(receiver))
        if learn_edges:
            self.edge_logits = torch.nn.Parameter(zeros)
        else:
            self.register_buffer("edge_logits", zeros, persistent=False)
        self.p_offsets = torch.nn.Parameter(torch.zeros(graph.num_labels)) if learn_p else None

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Eq. 8 again."""
        for parameter in self.parameters():
            parameter.zero_()

    def forward(self) -> tuple[Tensor, Tensor]:
        """``edge_weight`` (E,) and ``self_weight`` (C,)."""
        p = torch.full_like(self.has_edges, self.p, dtype=self.edge_logits.dtype)
        return learned_weights(self.edge_logits, self.p_offsets, p, self.receiver, self.has_edges)

    @torch.no_grad()
    def take_over(self, other: "LearnedEdges", theirs: LabelGraph, ours: LabelGraph) -> None:
        """Copies the logits of edges and labels whose names are in both graphs."""
        row = {name: k for k, name in enumerate(theirs.label_names)}
        kept = [(k, row[name]) for k, name in enumerate(ours.label_names) if name in row]
        if self.p_offsets is not None:
            for k, j in kept:
                if other.has_edges[j]:  # elsewhere no p was ever learned
                    self.p_offsets[k] = other.p_offsets[j]
        if not isinstance(self.edge_logits, torch.nn.Parameter):
            return
        edge = {pair: e for e, pair in enumerate(_named_edges(theirs))}
        for e, pair in enumerate(_named_edges(ours)):
            if pair in edge:
                self.edge_logits[e] = other.edge_logits[edge[pair]]


def learned_weights(
    edge_logits: Tensor, p_offsets: Tensor | None, p: Tensor, receiver: Tensor, has_edges: Tensor
) -> tuple[Tensor, Tensor]:
    """``edge_weight`` (E,) and ``self_weight`` (C,) of :class:`LearnedEdges`, with one starting p (C,) per label."""
    share = softmax(edge_logits, receiver, num_nodes=len(has_edges))
    if p_offsets is not None:
        p = torch.where(has_edges, (p.logit() + p_offsets).sigmoid(), p)
    return p[receiver] * share, 1 - p


def _named_edges(graph: LabelGraph) -> list[tuple[str, str]]:
    names = graph.label_names
    return [(names[i], names[j]) for i, j in graph.edge_index.t().tolist()]

"""Learned entries of the label operator of weighting ``"kernel"``."""

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn.learned_edges import copy_by_name


class LearnedEntries(torch.nn.Module):
    r"""The entries of Â for weighting ``"kernel"``, with a parameter per edge that starts at 0:

    .. math:: \hat{A}_{ij} = S_{ij} + \theta_{ij}, \qquad \hat{A}_{ii} = S_{ii}

    i and j learn from each other with different parameters: Â becomes asymmetric.

    Args:
        graph: a label graph with weighting ``"kernel"``.
        learn_edges: must be True.
        learn_p: must be False, since this weighting has no p.

    Raises:
        InputError: if ``learn_p`` is True.
    """

    def __init__(self, graph: LabelGraph, learn_edges: bool, learn_p: bool):
        super().__init__()
        if learn_p:
            raise InputError("learn_p", "weighting 'paper', which alone has a p", repr(graph.weighting))
        assert learn_edges, "otherwise nothing is learned"
        self.edge_offsets = torch.nn.Parameter(torch.zeros(graph.edge_index.size(1)))

    def set_receivers(self, receiver: Tensor, num_labels: int) -> None:
        """Does nothing: the entries do not depend on each other."""

    def reset_parameters(self) -> None:
        """Resets θ to 0, for which Â is S."""
        torch.nn.init.zeros_(self.edge_offsets)

    def forward(self, edge_weight: Tensor) -> Tensor:
        """Returns the entries (E,) of Â at the edges, for those of S."""
        return edge_weight + self.edge_offsets

    def copy_common(self, graph: LabelGraph, other: torch.nn.Module | None, other_graph: LabelGraph) -> None:
        """Copies θ of the edges whose labels are connected in both graphs.

        Args:
            graph: the label graph of these entries.
            other: the entries to copy from; learned edges of other weightings and None are ignored.
            other_graph: the label graph of ``other``.
        """
        if isinstance(other, LearnedEntries):
            copy_by_name(self.edge_offsets, graph, other.edge_offsets, other_graph)

"""The kinds of heads that are compared, and how each is built."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.kernel import MAX_LABELS
from mlgcn_pyg.nn import LabelGNNHead, LinearHead, MLGCNHead, SharingHead
from mlgcn_pyg.nn.label_gnn import GNNS, check_edges
from mlgcn_pyg.values import shown

HEADS = ("linear", "sharing", "mlgcn")  # those that are compared by default, the simplest first
KINDS = (*HEADS, *GNNS)  # a GNN of PyG in place of ML-GCN's is a kind of head, too
PAPER_HEADS = ("linear", "mlgcn")
SAME = 1e-9  # the largest difference between kernels of the same counts


def default_kinds(recipe: str, num_labels: int, *, sharing_graph: bool = False) -> tuple[str, ...]:
    """Returns the kinds of heads that are compared if none are chosen.

    These are all kinds, except that the recipe ``"paper"`` has no sharing head, and that a kernel graph has at most
    4,096 labels.

    Args:
        recipe: the recipe of the ML-GCN head.
        num_labels: C.
        sharing_graph: whether the graph of the sharing head is given.

    >>> default_kinds("auto", 80), default_kinds("paper", 80), default_kinds("auto", 10_000)
    (('linear', 'sharing', 'mlgcn'), ('linear', 'mlgcn'), ('linear', 'mlgcn'))
    """
    shares = recipe != "paper" and (num_labels <= MAX_LABELS or sharing_graph)
    return HEADS if shares else PAPER_HEADS


@dataclass(frozen=True)
class HeadDesign:
    """What the heads of a comparison are built from.

    Attributes:
        graph: the label graph of the ML-GCN head and of heads with a GNN; None mines one with one-hot labels from the
            training targets.
        sharing_graph: the label graph of the sharing head. None stands for ``graph`` if its weighting is ``"kernel"``,
            else for a kernel graph of the training targets and the embeddings of ``graph``, if it has any.
        hidden_channels: the widths between the layers of the ML-GCN head. A GNN has as many layers, all of this width.
        learn_edges: whether the ML-GCN head learns the weights of the edges.
        learn_p: whether the ML-GCN head learns one p per label.
    """

    graph: LabelGraph | None = None
    sharing_graph: LabelGraph | None = None
    hidden_channels: Sequence[int] = (1024,)
    learn_edges: bool = False
    learn_p: bool = False

    def graph_of(
        self, kind: str, targets: Tensor, label_names: Sequence[str], whole: Tensor | None = None
    ) -> LabelGraph | None:
        """Returns the label graph of a kind of head; None for ``"linear"``.

        Args:
            kind: the kind.
            targets: (n, C) the training targets, for a graph that is mined.
            label_names: the C names.
            whole: (N, C) if ``targets`` are a part of these training targets: a kernel graph that was mined from all
                of them is mined again from the part, so that no label of the other images is used.
        """
        if kind == "linear":
            return None
        if kind == "mlgcn" or kind in GNNS:
            return self.graph or LabelGraph.from_targets(targets, label_names=label_names)
        given = self.sharing_graph
        if given is None and self.graph is not None and self.graph.kernel is not None:
            given = self.graph
        if given is not None and not (whole is not None and _is_mined_from(given, whole)):
            return given
        source = given or self.graph
        x = None if source is None else source.x
        return LabelGraph.from_targets(targets, label_names=label_names, x=x, weighting="kernel")

    def build(
        self,
        kind: str,
        num_features: int,
        targets: Tensor,
        label_names: Sequence[str],
        seed: int = 0,
        whole: Tensor | None = None,
    ) -> LinearHead | SharingHead | MLGCNHead | LabelGNNHead:
        """Returns a new head.

        Args:
            kind: one of :data:`KINDS`.
            num_features: the width D of the features.
            targets: as in :meth:`graph_of`.
            label_names: the C names.
            seed: the seed of the initial weights.
            whole: as in :meth:`graph_of`.

        Raises:
            InputError: if ``kind`` is unknown, or the widths between the layers of a GNN are not equal.
        """
        check_choice("kind", kind, KINDS)
        graph = self.graph_of(kind, targets, label_names, whole)
        torch.manual_seed(seed)
        if graph is None:
            return LinearHead(len(label_names), num_features, label_names)
        if kind == "sharing":
            return SharingHead(graph, num_features)
        if kind in GNNS:
            return LabelGNNHead(graph, num_features, kind, self.width(), num_layers=len(self.hidden_channels) + 1)
        edges = {"learn_edges": self.learn_edges, "learn_p": self.learn_p}
        return MLGCNHead(graph, num_features, self.hidden_channels, **edges)

    def check_gnns(self) -> None:
        """Raises an InputError if the graph or the widths are not those of a GNN, before other heads are trained."""
        self.width()
        if self.graph is not None:
            check_edges(self.graph)

    def width(self) -> int:
        """Returns the width of all layers of a GNN.

        Raises:
            InputError: if there is none, or the widths are not equal.
        """
        widths = self.hidden_channels
        if not isinstance(widths, Sequence) or len(set(widths)) != 1:
            fix = "choose one width for all layers, such as (1024,) or (1024, 1024)"
            raise InputError("hidden_channels", "equal widths for a GNN", shown(widths), fix)
        return widths[0]


def _is_mined_from(graph: LabelGraph, targets: Tensor) -> bool:
    """Returns whether a graph is the kernel graph of these targets."""
    if graph.kernel is None or graph.num_labels != targets.size(1):
        return False
    mined = LabelGraph.from_targets(targets, label_names=graph.label_names, x=graph.x, weighting="kernel")
    return mined.kernel is not None and bool((mined.kernel - graph.kernel.cpu()).abs().max() <= SAME)

"""The label graphs of a report: that of the training images, and the one whose edges are expected to hold."""

from collections.abc import Sequence

from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.run_report.scored import ScoredHead

LOW = 0.1  # the smallest τ of the slider
TAU = 0.4  # the paper's
MOST_COMPLETE = 2000  # labels whose edges above LOW are all kept


def mined_graph(train: FeatureCache | None, heads: Sequence[ScoredHead]) -> LabelGraph | None:
    """Returns the graph of the training images with the edges of P ≥ 0.1, or else that of the heads.

    Edges of the heads, some of which may be given instead of mined, are kept with their P.

    Args:
        train: the training images, if they are known.
        heads: the heads.
    """
    given = head_graph(heads)
    if train is None:
        return given
    tau = min(LOW if train.num_labels <= MOST_COMPLETE else TAU, tau_of(heads)) or LOW
    mined = LabelGraph.from_targets(train.targets, label_names=train.label_names, tau=tau)
    return mined if given is None else mined.with_edges(given.to_frame()[["source", "target", "prob"]])


def head_graph(heads: Sequence[ScoredHead]) -> LabelGraph | None:
    """Returns the graph that ML-GCN was built from, or else that of another head whose edges were selected by τ."""
    graphs = [head.graph for head in heads]
    found = [graph for graph in graphs if graph is not None and graph.tau > 0]
    return next((graph for graph in found if graph.kernel is None), next(iter(found), None))


def tau_of(heads: Sequence[ScoredHead]) -> float:
    """Returns τ of the graph of the heads; the paper's if they have none."""
    graph = head_graph(heads)
    return TAU if graph is None else float(graph.tau)


def expected_edges(mined: LabelGraph | None, heads: Sequence[ScoredHead]) -> LabelGraph | None:
    """Returns the graph whose edges predictions should keep: that of the heads, else that of the training images."""
    found = head_graph(heads)
    return mined if found is None else found

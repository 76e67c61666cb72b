"""Builds the head of a contender."""

import torch
from torch import Tensor

from mlgcn_pyg.experiments.study.contenders import WIDTH, Contender
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.records import RunKey
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.controls import permuted_embeddings, permuted_labels, random_edges
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.nn import LabelGNNHead, LinearHead, MLGCNHead, SharingHead
from mlgcn_pyg.nn.label_gnn import GNNS
from mlgcn_pyg.seeding import derived_seed, seeded

CONTROLS = {"labels": permuted_labels, "edges": random_edges, "embeddings": permuted_embeddings}
RANDOM_WIDTH = 300  # of random embeddings, if none are given


def build_head(
    contender: Contender, data: StudyData, targets: Tensor, key: RunKey
) -> LinearHead | SharingHead | MLGCNHead | LabelGNNHead:
    """Returns the new head of a run.

    Args:
        contender: the contender.
        data: the data of the study.
        targets: (n, C) the training targets of the run, of which a label graph is mined unless one is given.
        key: the run. Its split is the seed of the initial weights, and its draw that of the control graph.

    Raises:
        InputError: if the features of the contender are not given.
    """
    num_features = data.pool(contender.features).num_features
    with seeded("initial weights", data.seed, key.split):
        if contender.kind == "linear":
            return LinearHead(len(data.label_names), num_features, data.label_names)
        graph = label_graph(contender, data, targets, key)
        if contender.kind == "sharing":
            return SharingHead(graph, num_features)
        if contender.kind in GNNS:
            return LabelGNNHead(graph, num_features, contender.kind, WIDTH, num_layers=contender.num_layers)
        hidden = (WIDTH,) * (contender.num_layers - 1)
        return MLGCNHead(graph, num_features, hidden, learn_edges=contender.learn_edges, learn_p=contender.learn_p)


def label_graph(contender: Contender, data: StudyData, targets: Tensor, key: RunKey) -> LabelGraph:
    """Returns the label graph of a contender, with embeddings; see :func:`build_head`."""
    graph = _without_control(contender, data, targets, key)
    if not contender.control:
        return graph
    return CONTROLS[contender.control](graph, derived_seed(data.seed, contender.control, key.split, key.draw))


def _without_control(contender: Contender, data: StudyData, targets: Tensor, key: RunKey) -> LabelGraph:
    x, kernel = _embeddings(contender, data, key.split), contender.weighting == KERNEL
    if data.graph is not None and contender.is_default_graph and kernel == (data.graph.weighting == KERNEL):
        graph = data.graph.clone()
        graph.x = x
        return graph if kernel else graph.reweighted(p=contender.p, weighting=contender.weighting)
    return LabelGraph.from_targets(
        targets, label_names=data.label_names, x=x, tau=contender.tau, p=contender.p, weighting=contender.weighting
    )


def _embeddings(contender: Contender, data: StudyData, split: int) -> Tensor | None:
    """Returns the label embeddings (C, F) of a contender; None for one-hot labels."""
    if contender.embeddings == "one-hot":
        return None
    if contender.embeddings == "given":
        return data.embeddings
    if contender.embeddings != "random":
        return data.further[contender.embeddings]
    width = RANDOM_WIDTH if data.embeddings is None else data.embeddings.size(1)
    generator = torch.Generator().manual_seed(derived_seed(data.seed, "random embeddings", split))
    return torch.randn(len(data.label_names), width, generator=generator)

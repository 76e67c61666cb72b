"""The head written densely in plain NumPy-style torch, independent of the package's operators."""

import torch
import torch.nn.functional as F

from mlgcn_pyg import LabelGraph


def dense_logits(graph: LabelGraph, weights, features, slope=0.2):
    """X · (Â h(Â X₀ W₁) W₂)ᵀ with Â as a matrix, for any number of layers."""
    a = torch.zeros(graph.num_labels, graph.num_labels, dtype=features.dtype)
    for e in range(graph.edge_index.size(1)):
        i, j = graph.edge_index[:, e].tolist()
        row, column = (i, j) if graph.flow == "target_to_source" else (j, i)
        a[row, column] = graph.edge_weight[e]
    a += torch.diag(graph.self_weight.to(features.dtype))
    h = torch.eye(graph.num_labels, dtype=features.dtype) if graph.x is None else graph.x.to(features.dtype)
    for layer, weight in enumerate(weights):
        h = a @ (h if layer == 0 else F.leaky_relu(h, slope)) @ weight
    return features @ h.t()


def awkward_graphs(x_width: int | None = 3):
    """Label graphs with an empty row, an empty column, a hub, no edge at all, and one label."""
    hub = torch.cat([torch.ones(5, 1), torch.eye(5)], dim=1)  # 1…5 imply 0: an empty row, five empty columns
    chain = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]])
    both = torch.tensor([[1, 1, 1], [1, 1, 0]])
    none = torch.zeros(0, 4)
    one = torch.ones(2, 1)
    for name, targets in {"hub": hub, "chain": chain, "both ways": both, "no edge": none, "one label": one}.items():
        for weighting in ("paper", "released", "binary", "none"):
            x = None if x_width is None else torch.randn(targets.size(1), x_width)
            yield f"{name}, {weighting}", LabelGraph.from_targets(targets, x=x, weighting=weighting)

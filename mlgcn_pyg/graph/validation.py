"""What a label graph must be."""

import torch

from mlgcn_pyg.checks import check_choice, check_finite, check_label_names, check_number
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.edges import PROBABILITIES
from mlgcn_pyg.graph.fields import GraphFields
from mlgcn_pyg.graph.weighting import WEIGHTINGS


def check_graph(graph: GraphFields) -> None:
    """InputError for the first tensor or setting of ``graph`` that a label graph cannot have."""
    num_labels, num_edges = graph.num_labels, graph.edge_index.shape[-1]
    shapes = {
        "edge_prob": (num_edges,),
        "edge_weight": (num_edges,),
        "self_weight": (num_labels,),
        "label_counts": (num_labels,),
    }
    _check_settings(graph)
    for name, shape in shapes.items():
        values = getattr(graph, name)
        if tuple(values.shape) != shape:
            raise InputError(name, f"shape {shape}", f"shape {tuple(values.shape)}")
        check_finite(name, values)
    if num_edges and (int(graph.edge_index.min()) < 0 or int(graph.edge_index.max()) >= num_labels):
        low, high = (int(k) for k in graph.edge_index.aminmax())
        raise InputError("edge_index", f"labels in 0…{num_labels - 1}", f"{low} to {high}")
    if bool((graph.edge_index[0] == graph.edge_index[1]).any()):
        raise InputError("edge_index", "no self-loops (self_weight holds the diagonal)", "i → i")
    order = graph.edge_index[0] * num_labels + graph.edge_index[1]
    if bool((order.diff() <= 0).any()) and len(order.unique()) < num_edges:  # sorted and different, or looked at
        raise InputError("edge_index", "each edge once", f"{num_edges - len(order.unique())} repeated")
    if num_edges and (graph.edge_prob.min() <= 0 or graph.edge_prob.max() > 1):
        raise InputError("edge_prob", "probabilities in (0, 1]", f"up to {graph.edge_prob.max():g}")
    check_label_names(graph.label_names, num_labels)
    if not isinstance(source := getattr(graph, "x_source", {}), dict):
        raise InputError("x_source", "a dict", type(source).__name__)
    if graph.x is not None:
        if graph.x.dim() != 2 or graph.x.size(0) != num_labels or not graph.x.is_floating_point():
            found = f"shape {tuple(graph.x.shape)}, {graph.x.dtype}"
            raise InputError("x", f"a floating-point embedding per label, shape ({num_labels}, F)", found)
        check_finite("x", graph.x)


def _check_settings(graph: GraphFields) -> None:
    if graph.flow != WEIGHTINGS[check_choice("weighting", graph.weighting, WEIGHTINGS)][1]:
        raise InputError(
            "flow", f"{WEIGHTINGS[graph.weighting][1]!r} for weighting {graph.weighting!r}", repr(graph.flow)
        )
    check_choice("probability", graph.probability, PROBABILITIES)
    check_number("p", graph.p, 0, 1)
    check_number("tau", graph.tau, 0, 1, open_low=True)
    if graph.edge_index.dim() != 2 or graph.edge_index.size(0) != 2 or graph.edge_index.dtype != torch.int64:
        found = f"shape {tuple(graph.edge_index.shape)}, {graph.edge_index.dtype}"
        raise InputError("edge_index", "shape (2, num_edges), int64", found)

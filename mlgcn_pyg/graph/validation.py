"""Checks the shapes and values of a label graph's fields."""

import torch

from mlgcn_pyg.checks import check_choice, check_finite, check_number
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.graph.edges import PROBABILITIES
from mlgcn_pyg.graph.fields import GraphFields
from mlgcn_pyg.graph.weighting import WEIGHTINGS
from mlgcn_pyg.labels import check_label_names
from mlgcn_pyg.text import described_groups


def check_graph(graph: GraphFields) -> None:
    """Checks all fields of a label graph.

    Args:
        graph: the graph.

    Raises:
        InputError: for the first field that is not valid; the error's ``argument`` is its name.
    """
    _check_settings(graph)
    _check_shapes(graph)
    _check_edges(graph)
    check_label_names(graph.label_names, graph.num_labels)
    if not isinstance(source := getattr(graph, "x_source", {}), dict):
        raise InputError("x_source", "a dict", type(source).__name__)
    _check_embeddings(graph)


def _check_settings(graph: GraphFields) -> None:
    _, flow = WEIGHTINGS[check_choice("weighting", graph.weighting, WEIGHTINGS)]
    if graph.flow != flow:
        raise InputError("flow", f"{flow!r} for weighting {graph.weighting!r}", repr(graph.flow))
    check_choice("probability", graph.probability, PROBABILITIES)
    check_number("p", graph.p, 0, 1)
    check_number("tau", graph.tau, 0, 1, open_low=True)


def _check_shapes(graph: GraphFields) -> None:
    if graph.edge_index.dim() != 2 or graph.edge_index.size(0) != 2 or graph.edge_index.dtype != torch.int64:
        found = f"shape {tuple(graph.edge_index.shape)}, {graph.edge_index.dtype}"
        raise InputError("edge_index", "shape (2, num_edges), int64", found)
    num_edges = graph.edge_index.size(1)
    shapes = {
        "edge_prob": (num_edges,),
        "edge_weight": (num_edges,),
        "self_weight": (graph.num_labels,),
        "label_counts": (graph.num_labels,),
    }
    for name, shape in shapes.items():
        values = getattr(graph, name)
        if tuple(values.shape) != shape:
            raise InputError(name, f"shape {shape}", f"shape {tuple(values.shape)}")
        check_finite(name, values)


def _check_edges(graph: GraphFields) -> None:
    edge_index, num_labels = graph.edge_index, graph.num_labels
    num_edges = edge_index.size(1)
    if num_edges and (int(edge_index.min()) < 0 or int(edge_index.max()) >= num_labels):
        low, high = (int(k) for k in edge_index.aminmax())
        raise InputError("edge_index", f"labels in 0…{num_labels - 1}", f"{low} to {high}")
    if bool((edge_index[0] == edge_index[1]).any()):
        raise InputError("edge_index", "no self-loops (self_weight holds the diagonal)", "i → i")
    order = edge_index[0] * num_labels + edge_index[1]
    is_sorted = not bool((order.diff() <= 0).any())  # then no edge is repeated, and the slower `unique` is not needed
    if not is_sorted and len(order.unique()) < num_edges:
        raise InputError("edge_index", "each edge once", f"{num_edges - len(order.unique())} repeated")
    if num_edges and (graph.edge_prob.min() <= 0 or graph.edge_prob.max() > 1):
        found = f"{graph.edge_prob.min():g} to {graph.edge_prob.max():g}"
        raise InputError("edge_prob", "probabilities in (0, 1]", found)


def _check_embeddings(graph: GraphFields) -> None:
    if graph.x is None:
        return
    if graph.x.dim() != 2 or graph.x.size(0) != graph.num_labels or not graph.x.is_floating_point():
        found = f"shape {tuple(graph.x.shape)}, {graph.x.dtype}"
        raise InputError("x", f"a floating-point embedding per label, shape ({graph.num_labels}, F)", found)
    check_finite("x", graph.x)


def check_embedded(graph: GraphFields) -> None:
    """Checks that each label that receives from no label has an embedding other than 0.

    Raises:
        InputError: if a label has not. Its logit would be 0 for every image, a probability of 0.5.
    """
    if graph.x is None:
        return
    receiver = graph.edge_index[0 if graph.flow == "target_to_source" else 1][graph.edge_weight != 0]
    receives = torch.bincount(receiver, minlength=graph.num_labels) > 0
    silent = [graph.label_names[k] for k in (~receives & ~graph.x.bool().any(dim=1)).nonzero().flatten().tolist()]
    if silent:
        alias = Argument("aliases", {silent[0]: "its words"})
        raise InputError(
            "x",
            "an embedding other than 0 for each label without edges, whose logit is otherwise 0 for every image",
            f"0 for {described_groups([silent], ', ')}",
            ["create the embeddings with ", Argument("oov", "random"), " or with words that have a vector, ", alias],
        )

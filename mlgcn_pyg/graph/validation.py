"""Checks the shapes and values of a label graph's fields."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_finite, check_number, check_positive
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.graph.edges import PROBABILITIES
from mlgcn_pyg.graph.embeddings import FLOATS
from mlgcn_pyg.graph.fields import GraphFields
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.graph.weighting import WEIGHTINGS, flow_of
from mlgcn_pyg.labels import check_label_names
from mlgcn_pyg.text import described_groups

REAL = (torch.float32, torch.float64)


def check_graph(graph: GraphFields) -> None:
    """Checks all fields of a label graph.

    Args:
        graph: the graph.

    Raises:
        InputError: for the first field that is not valid; the error's ``argument`` is its name.
    """
    check_fields(graph)
    _check_settings(graph)
    _check_kernel(graph)
    _check_numbers(graph)
    _check_edges(graph)
    check_label_names(graph.label_names, graph.num_labels)
    if not isinstance(source := getattr(graph, "x_source", {}), dict):
        raise InputError("x_source", "a dict", type(source).__name__)
    check_embeddings(graph)


def _check_settings(graph: GraphFields) -> None:
    flow = flow_of(check_choice("weighting", graph.weighting, WEIGHTINGS))
    if graph.flow != flow:
        raise InputError("flow", f"{flow!r} for weighting {graph.weighting!r}", repr(graph.flow))
    check_choice("probability", graph.probability, PROBABILITIES)
    check_number("p", graph.p, 0, 1)
    check_number("tau", graph.tau, 0, 1)


def _check_kernel(graph: GraphFields) -> None:
    """Checks α and K, which only a graph with weighting ``"kernel"`` has."""
    if graph.weighting != KERNEL:
        if graph.kernel is not None or graph.alpha is not None:
            raise InputError("kernel", f"no kernel and no alpha for weighting {graph.weighting!r}", "one of them")
        return
    check_number("alpha", graph.alpha, 0, 1)  # type: ignore[arg-type]  # None is refused
    kernel, shape = _tensor(graph, "kernel", (torch.float64,)), (graph.num_labels, graph.num_labels)
    if tuple(kernel.shape) != shape:
        raise InputError("kernel", f"shape {shape}", f"shape {tuple(kernel.shape)}")
    check_finite("kernel", kernel)
    if not torch.equal(kernel, kernel.t()) or bool((kernel.diagonal() != 1).any()):
        raise InputError("kernel", "a symmetric matrix with a diagonal of ones", "a different matrix")


def check_fields(graph: GraphFields) -> None:
    """Checks that all tensors of a graph are there, with the type, the shape and the device that they must have.

    Raises:
        InputError: if one is missing, for instance because a transform has replaced ``edge_index``.
    """
    check_positive("num_labels", graph.num_labels)
    edges = _tensor(graph, "edge_index", (torch.int64,))
    if edges.dim() != 2 or edges.size(0) != 2:
        raise InputError("edge_index", "shape (2, num_edges), int64", f"shape {tuple(edges.shape)}, {edges.dtype}")
    num_edges, num_labels = edges.size(1), graph.num_labels
    for name, dtypes, shape in (
        ("edge_prob", REAL, (num_edges,)),
        ("edge_weight", REAL, (num_edges,)),
        ("self_weight", REAL, (num_labels,)),
        ("label_counts", (torch.int64,), (num_labels,)),
    ):
        values = _tensor(graph, name, dtypes)
        if tuple(values.shape) != shape:
            raise InputError(name, f"shape {shape}", f"shape {tuple(values.shape)}")
    if graph.edge_weight.dtype != graph.self_weight.dtype:
        found = f"{graph.edge_weight.dtype} and {graph.self_weight.dtype}"
        raise InputError("edge_weight", "the dtype of self_weight", found)


def _tensor(graph: GraphFields, name: str, dtypes: Sequence[torch.dtype]) -> Tensor:
    """Returns a field if it is an ordinary tensor of one of the types."""
    value = getattr(graph, name, None)
    expected = f"a dense tensor of {' or '.join(str(dtype).removeprefix('torch.') for dtype in dtypes)}"
    if value is None:
        fix = "build the graph again, or apply transforms such as ToSparseTensor to a copy of it"
        raise InputError(name, expected, "none", fix)
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        found = f"layout {value.layout}, {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(name, expected, found)
    if value.dtype not in dtypes and not (dtypes is REAL and value.dtype == torch.get_default_dtype()):
        raise InputError(name, expected, f"shape {tuple(value.shape)}, {value.dtype}")
    return value


def _check_numbers(graph: GraphFields) -> None:
    """Checks that numbers are finite, and not negative; only ``"kernel"`` has negative entries of Â."""
    for name in ("edge_prob", "edge_weight", "self_weight", "label_counts"):
        values = getattr(graph, name)
        check_finite(name, values)
        may_be_negative = name == "edge_weight" and graph.weighting == KERNEL
        if values.numel() and values.min() < 0 and not may_be_negative:
            raise InputError(name, "numbers ≥ 0", values.min().item())


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
    may_be_zero = graph.tau == 0 or graph.weighting == KERNEL  # whose other edges have P = 0
    too_small = num_edges and not may_be_zero and graph.edge_prob.min() <= 0
    if num_edges and (too_small or graph.edge_prob.max() > 1):
        found = f"{graph.edge_prob.min():g} to {graph.edge_prob.max():g}"
        raise InputError("edge_prob", f"probabilities in {'[' if may_be_zero else '('}0, 1]", found)


def check_embeddings(graph: GraphFields) -> None:
    """Checks that x is None or has a finite embedding per label."""
    x = getattr(graph, "x", None)
    if x is None:
        return
    if not isinstance(x, Tensor) or x.dim() != 2 or x.size(0) != graph.num_labels or not x.is_floating_point():
        found = f"shape {tuple(x.shape)}, {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise InputError("x", f"a floating-point embedding per label, shape ({graph.num_labels}, F)", found)
    check_finite("x", _tensor(graph, "x", FLOATS))


def check_embedded(graph: GraphFields) -> None:
    """Checks that each label that receives from no label has an embedding other than 0.

    Embeddings are not propagated with weighting ``"kernel"``, for which any are accepted.

    Raises:
        InputError: if a label has not. Its logit would be 0 for every image, a probability of 0.5.
    """
    if graph.x is None or graph.weighting == KERNEL:
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

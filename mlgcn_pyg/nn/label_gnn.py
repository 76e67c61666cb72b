"""GNNs of PyG as encoders of labels: those that have a name, and a check of any other module."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn.models import GAT, GCN, GIN, GraphSAGE
from torch_geometric.nn.models.basic_gnn import BasicGNN

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.errors import Argument, InputError, first_line
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.seeding import seeded
from mlgcn_pyg.values import shown

NEGATIVE_SLOPE = 0.2  # of LeakyReLU between the layers, as in ML-GCN
MAX_ONE_HOT = 4096  # labels
DRAWS, NARROW = 32, 8  # random GNNs, and their width
FORM = "a module that maps x (C, F) and edge_index (2, E) to a matrix (C, N)"

_MODELS: Mapping[str, Callable[..., BasicGNN]] = {
    "gcn": GCN,
    "sage": GraphSAGE,
    "gat": GAT,
    "gatv2": partial(GAT, v2=True),
    "gin": GIN,
}
GNNS = tuple(_MODELS)


def named_gnn(name: str, in_channels: int, hidden_channels: int, num_layers: int) -> BasicGNN:
    """Returns a model of ``torch_geometric.nn.models`` with its default settings, and LeakyReLU(0.2) between layers.

    Args:
        name: one of :data:`GNNS`.
        in_channels: the width F of its input.
        hidden_channels: the width N of all layers, also of the last one.
        num_layers: the number of convolutions.

    Raises:
        InputError: if the name is unknown, or a number is below 1.

    >>> named_gnn("gat", in_channels=4, hidden_channels=8, num_layers=2)
    GAT(4, 8, num_layers=2)
    """
    model = _MODELS[check_choice("gnn", name, GNNS)]
    return model(
        in_channels,
        check_positive("hidden_channels", hidden_channels),
        check_positive("num_layers", num_layers),
        act="leakyrelu",
        act_kwargs={"negative_slope": NEGATIVE_SLOPE},
    )


def check_gnn(gnn: Any, hidden_channels: int | None = None, num_layers: int | None = None) -> torch.nn.Module:
    """Returns ``gnn`` if it is a module whose convolutions do not remember a graph.

    Raises:
        InputError: if it is not; if a size is given, which only a GNN that is given by name has.
    """
    if not isinstance(gnn, torch.nn.Module):
        raise InputError("gnn", f"one of {', '.join(GNNS)}, or {FORM}", shown(gnn))
    for name, value in (("hidden_channels", hidden_channels), ("num_layers", num_layers)):
        if value is not None:
            raise InputError(name, "None for a GNN that is a module, which has its own sizes", value)
    if any(getattr(module, "cached", False) for module in gnn.modules()):
        fix = "build it with cached=False: the edges of another graph or device would be used"
        raise InputError("gnn", "convolutions with cached=False", "one with cached=True", fix)
    return gnn


def check_weighted(gnn: torch.nn.Module, weighted: bool) -> None:
    """Raises an InputError if a model of PyG would ignore the edge weights that it is given."""
    if weighted and isinstance(gnn, BasicGNN) and not gnn.supports_edge_weight:
        fix = ("pass ", Argument("weighted", False))
        raise InputError("weighted", "a GNN that supports edge_weight, such as 'gcn'", repr(gnn), fix)


def check_edges(graph: LabelGraph) -> None:
    """Raises an InputError if a GNN cannot run on a label graph."""
    if graph.weighting == KERNEL:
        fix = "use graph.reweighted(weighting='paper')"
        raise InputError("graph", "a graph with edges between some of the labels", "weighting 'kernel'", fix)
    if graph.x is None and graph.num_labels > MAX_ONE_HOT:
        fix = "build the graph with label embeddings, x"
        raise InputError("graph", f"at most {MAX_ONE_HOT:,} one-hot labels", f"{graph.num_labels:,}", fix)


def encode(gnn: torch.nn.Module, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
    """Returns the output (C, N) of a GNN.

    Args:
        gnn: the GNN.
        x: (C, F).
        edge_index: (2, E), with PyG's direction: ``edge_index[0]`` sends to ``edge_index[1]``.
        edge_weight: (E,), which is passed on if it is not None.

    Raises:
        InputError: if the output is not a matrix with a row for each label.
    """
    out = gnn(x, edge_index) if edge_weight is None else gnn(x, edge_index, edge_weight=edge_weight)
    if not isinstance(out, Tensor) or out.dim() != 2 or out.size(0) != x.size(0) or not out.is_floating_point():
        found = f"{out.dtype} of shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise InputError("gnn", f"{FORM}, here with C = {x.size(0)}", found)
    return out


def output_width(gnn: torch.nn.Module, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None) -> int:
    """Returns the width N of the output of a GNN, which is run once; see :func:`encode`.

    Raises:
        InputError: if the GNN raises an exception, or its output is not a matrix with a row for each label.
    """
    try:
        with torch.no_grad(), evaluating(gnn):
            width = encode(gnn, x, edge_index, edge_weight).size(1)
    except InputError:
        raise
    except Exception as error:  # a module of the user, which may raise anything
        found = f"{first_line(error)}, for x {tuple(x.shape)} and edge_index {tuple(edge_index.shape)}"
        if edge_weight is not None:
            found += f" with edge_weight {tuple(edge_weight.shape)}"
        raise InputError("gnn", FORM, found) from error
    return check_positive("gnn", width)


@torch.no_grad()
def random_codes(name: str, num_layers: int, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None) -> Tensor:
    """Returns outputs (C, n) of narrow GNNs with random weights, in float64: labels with equal rows are always equal.

    There are many: the attention of two labels with the same neighbours is equal for some weights
    (`"How Attentive are Graph Attention Networks?" <https://arxiv.org/abs/2105.14491>`_). Biases are small, since large
    ones make the rows similar.

    Args:
        name: one of :data:`GNNS`.
        num_layers: the number of convolutions.
        x: (C, F).
        edge_index: (2, E), as in :func:`encode`.
        edge_weight: (E,), or None.
    """
    codes = []
    for draw in range(DRAWS):
        with seeded("random codes", draw):
            gnn = named_gnn(name, x.size(1), NARROW, num_layers).double()
            for parameter in gnn.parameters():
                torch.nn.init.normal_(parameter, std=parameter.size(-1) ** -0.5 if parameter.dim() > 1 else 0.01)
            codes.append(encode(gnn, x.double(), edge_index, None if edge_weight is None else edge_weight.double()))
    return torch.cat(codes, dim=1)


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Switches a module to evaluation within the block, and each of its modules back to its own mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training

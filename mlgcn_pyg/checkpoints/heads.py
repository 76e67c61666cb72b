"""Content of a head's checkpoint: label graph, settings and parameters."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.checkpoints.content import Content, load_state, state_content
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn.label_gnn import GNNS, named_gnn
from mlgcn_pyg.nn.label_gnn_head import LabelGNNHead
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.nn.mlgcn_head import MLGCNHead
from mlgcn_pyg.nn.sharing_head import SharingHead
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.typing import Head
from mlgcn_pyg.values import shown

HEAD_FORMAT = "mlgcn_pyg.head"
LEARNED = ("learn_edges", "learn_p")  # arguments and attributes of heads with a label graph
SETTINGS = ("hidden_channels", "negative_slope", *LEARNED)  # of MLGCNHead
GNN_SETTINGS = ("hidden_channels", "num_layers", "weighted")  # of LabelGNNHead


def head_content(head: Head, config: Content | None = None) -> Content:
    """Returns the content that :func:`build_head` requires, and the training configuration.

    Raises:
        InputError: if the head is not of a class of this package, or its GNN is a module, which a file that runs no
            code cannot describe.
    """
    if not isinstance(head, MLGCNHead | LinearHead | SharingHead | LabelGNNHead):
        raise InputError("head", "a head of mlgcn_pyg.nn", type(head).__name__)
    if isinstance(head, LabelGNNHead) and head.gnn_name is None:
        fix = "write head.state_dict() to build the head again, or the folded head with save_linear(path, head)"
        raise InputError("head", f"a GNN that was given by name, {', '.join(GNNS)}", type(head.gnn).__name__, fix)
    content = {
        "format": HEAD_FORMAT,
        "version": 1,
        "label_names": tuple(head.label_names),
        "num_features": head.num_features,
        "bias": head.bias is not None,
        "config": config or {},
        **state_content(head),
    }
    if isinstance(head, MLGCNHead):
        settings = {name: getattr(head, name) for name in SETTINGS}
        return content | {"head": "mlgcn", "graph": head.base_graph().state()} | settings
    if isinstance(head, SharingHead):
        settings = {name: getattr(head, name) for name in LEARNED}
        return content | {"head": "sharing", "graph": head.base_graph().state()} | settings
    if isinstance(head, LabelGNNHead):
        settings = {name: getattr(head, name) for name in GNN_SETTINGS}
        return content | {"head": "gnn", "gnn": head.gnn_name, "graph": head.base_graph().state()} | settings
    return content | {"head": "linear"}


def build_head(content: Content, path: str | Path) -> StandardizedHead:
    """Returns the head that is described by a :func:`head_content`, read from ``path``."""
    if (kind := content["head"]) not in BUILDERS:
        raise ValueError(f"a head of the kind {shown(kind)}")
    head = BUILDERS[kind](content, path)
    load_state(head, content)  # also adds the statistics of features to the head
    return head


def _build_mlgcn(content: Content, path: str | Path) -> MLGCNHead:
    graph = LabelGraph.from_state(content["graph"], str(path))
    width = graph.num_labels if graph.x is None else graph.x.size(1)
    sizes = [width, *content["hidden_channels"], content["num_features"]]
    _check_sizes(content["state_dict"], "convs.{}.weight", sizes)
    settings = {name: content[name] for name in SETTINGS}
    # files of earlier versions have no bias
    return MLGCNHead(graph, content["num_features"], bias=content.get("bias", False), **settings)


def _build_sharing(content: Content, path: str | Path) -> SharingHead:
    graph = LabelGraph.from_state(content["graph"], str(path))
    _check_sizes(content["state_dict"], "weight", [graph.num_labels, content["num_features"]])
    return SharingHead(graph, content["num_features"], **{name: content[name] for name in LEARNED})


def _build_gnn(content: Content, path: str | Path) -> LabelGNNHead:
    graph = LabelGraph.from_state(content["graph"], str(path))
    state, gnn, num_layers = content["state_dict"], content["gnn"], content["num_layers"]
    _check_sizes(state, "weight", [content["hidden_channels"], content["num_features"]])
    if not isinstance(num_layers, int) or num_layers > len(state):
        raise ValueError(f"{shown(num_layers)} layers, but {len(state)} weights")
    with torch.device("meta"):
        planned = named_gnn(gnn, graph.embedding_dim, content["hidden_channels"], num_layers)
    for name, parameter in planned.named_parameters(prefix="gnn"):
        if state[name].shape != parameter.shape:
            raise ValueError(f"{name} of shape {tuple(state[name].shape)} instead of {tuple(parameter.shape)}")
    settings = {name: content[name] for name in GNN_SETTINGS}
    return LabelGNNHead(graph, content["num_features"], gnn, bias=content["bias"], **settings)


def _build_linear(content: Content, path: str | Path) -> LinearHead:
    names = content["label_names"]
    _check_sizes(content["state_dict"], "linear.weight", [len(names), content["num_features"]])
    return LinearHead(len(names), content["num_features"], names, bias=content["bias"])


# by the entry "head" of the content; each returns a new head, whose sizes have been compared with the stored weights
BUILDERS: dict[str, Callable[[Content, str | Path], StandardizedHead]] = {
    "mlgcn": _build_mlgcn,
    "sharing": _build_sharing,
    "linear": _build_linear,
    "gnn": _build_gnn,
}


def _check_sizes(state: Mapping[str, Tensor], name: str, sizes: Sequence[int]) -> None:
    """Compares sizes with the weights that are stored, before a head of these sizes is allocated.

    Args:
        state: the stored weights.
        name: the name of the weight of layer ``{}``.
        sizes: the widths before and after each layer.

    Raises:
        ValueError: if they differ.
    """
    if len(sizes) > len(state) + 1:
        raise ValueError(f"{len(sizes) - 1} layers, but {len(state)} weights")
    for layer, size in enumerate(pairwise(sizes)):
        weight = state[name.format(layer)]
        if tuple(weight.shape) != size:
            raise ValueError(f"{name.format(layer)} of shape {tuple(weight.shape)} instead of {size}")

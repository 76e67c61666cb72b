"""Content of a head's checkpoint: label graph, settings and parameters."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from torch import Tensor

from mlgcn_pyg.checkpoints.content import Content, load_state, state_content
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.nn.mlgcn_head import MLGCNHead
from mlgcn_pyg.typing import Head

HEAD_FORMAT = "mlgcn_pyg.head"
SETTINGS = ("hidden_channels", "negative_slope", "learn_edges", "learn_p")  # arguments and attributes of MLGCNHead


def head_content(head: Head, config: Content | None = None) -> Content:
    """Returns the content that :func:`build_head` requires, and the training configuration.

    Raises:
        InputError: if the head is neither an MLGCNHead nor a LinearHead.
    """
    if not isinstance(head, MLGCNHead | LinearHead):
        raise InputError("head", "an MLGCNHead or a LinearHead", type(head).__name__)
    content = {
        "format": HEAD_FORMAT,
        "version": 1,
        "label_names": tuple(head.label_names),
        "num_features": head.num_features,
        "config": config or {},
        **state_content(head),
    }
    if isinstance(head, MLGCNHead):
        settings = {name: getattr(head, name) for name in SETTINGS}
        return content | {"head": "mlgcn", "graph": head.base_graph().state()} | settings
    return content | {"head": "linear", "bias": head.linear.bias is not None}


def build_head(content: Content, path: str | Path) -> MLGCNHead | LinearHead:
    """Returns the head that is described by a :func:`head_content`, read from ``path``."""
    head: MLGCNHead | LinearHead
    state = content["state_dict"]
    if content["head"] == "mlgcn":
        graph = LabelGraph.from_state(content["graph"], str(path))
        width = graph.num_labels if graph.x is None else graph.x.size(1)
        _check_sizes(state, "convs.{}.weight", [width, *content["hidden_channels"], content["num_features"]])
        head = MLGCNHead(graph, content["num_features"], **{name: content[name] for name in SETTINGS})
    else:
        names = content["label_names"]
        _check_sizes(state, "linear.weight", [len(names), content["num_features"]])
        head = LinearHead(len(names), content["num_features"], names, bias=content["bias"])
    load_state(head, content)
    return head


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

"""Adds labels without images to a label graph."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_tensor
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.fields import Array, GraphFields
from mlgcn_pyg.graph.weighting import reweight
from mlgcn_pyg.labels import check_same_labels, normal_label_names
from mlgcn_pyg.text import described_groups


def new_names(graph: GraphFields, label_names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of labels to add to a graph, in their normal form.

    Raises:
        InputError: if they are no unique names, or the graph has one of them.
    """
    if isinstance(label_names, str):
        raise InputError("label_names", "a sequence of strings", repr(label_names), f"pass [{label_names!r}]")
    names = normal_label_names(label_names)
    if there := [name for name in names if name in graph.label_names]:
        raise InputError("label_names", "labels that the graph does not have", described_groups([there], ", "))
    return names


def add_labels(graph: GraphFields, names: Sequence[str], x: Array | LabelEmbeddings | None) -> None:
    """Adds labels without images and edges to a graph in place; see :meth:`LabelGraph.with_labels`.

    Args:
        graph: the graph.
        names: the names of the labels, which the graph does not have.
        x: their embeddings.
    """
    if graph.x is not None:
        graph.x_source = _common_source(dict(graph.x_source), x)
        graph.x = torch.cat([graph.x, _rows(graph.x, names, x)])
    elif x is not None:
        raise InputError("x", "None, since the graph has one-hot labels", "embeddings")
    no_edges = torch.empty(2, 0, dtype=torch.int64)
    self_weight = reweight(no_edges, len(names), graph.p, graph.weighting)[1]
    graph.self_weight = torch.cat([graph.self_weight, self_weight.to(graph.self_weight)])
    graph.label_counts = torch.cat([graph.label_counts, graph.label_counts.new_zeros(len(names))])
    graph.label_names = (*graph.label_names, *names)


def _rows(like: Tensor, names: Sequence[str], x: Array | LabelEmbeddings | None) -> Tensor:
    """Returns the embeddings of new labels (n, F), with the width, type and device of those of the graph."""
    width = like.size(1)
    if x is None:
        raise InputError("x", f"embeddings of width {width}, as those of the graph", "none")
    if isinstance(x, LabelEmbeddings):
        check_same_labels("x", x.label_names, names, "label_names")
        x = x.x
    rows = check_tensor("x", x, "label embeddings (n, F)")
    if rows.shape != (len(names), width) or not rows.is_floating_point():
        found = f"shape {tuple(rows.shape)}, {rows.dtype}"
        raise InputError("x", f"floating-point embeddings of shape ({len(names)}, {width})", found)
    return rows.to(like)


def _common_source(source: dict[str, Any], x: Any) -> dict[str, Any]:
    """Returns the origin of all embeddings if those of the new labels are of the same file or encoder, otherwise {}."""
    own = x.source if isinstance(x, LabelEmbeddings) else {}
    same = source.get("sha256") is not None and all(own.get(key) == source.get(key) for key in ("sha256", "prompts"))
    return source if same else {}

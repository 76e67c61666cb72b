"""Converts label graphs to dicts of tensors, numbers and strings, and back (format version 1)."""

from collections.abc import Mapping
from typing import Any

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.fields import GraphFields
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.values import shown

FORMAT = "mlgcn_pyg.label_graph"
TENSORS = ("x", "edge_index", "edge_prob", "edge_weight", "self_weight", "label_counts")
SETTINGS = ("label_names", "tau", "probability", "p", "weighting", "flow")
OF_KERNEL = ("kernel", "alpha")  # only in graphs with weighting "kernel"


def state_of_fields(graph: GraphFields) -> dict[str, Any]:
    """Returns the state of a graph, with its tensors on the CPU. ``x`` is missing if the graph has no embeddings."""
    state: dict[str, Any] = {"format": FORMAT, "version": 1, "num_labels": graph.num_labels}
    tensors = {name: getattr(graph, name) for name in TENSORS}
    state |= {name: tensor.cpu() for name, tensor in tensors.items() if tensor is not None}
    if graph.weighting == KERNEL and graph.kernel is not None:
        state |= {"kernel": graph.kernel.cpu(), "alpha": graph.alpha}
    return state | {name: getattr(graph, name) for name in SETTINGS} | {"x_source": getattr(graph, "x_source", {})}


def fields_of_state(state: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Returns the fields of a graph by name, from its state.

    Args:
        state: a dict from :func:`state_of_fields` of this or an earlier version.
        place: text that error messages end with, such as ``" in graph.pt"``.

    Raises:
        InputError: if ``state`` is not the state of a graph, its version is unknown, or fields are missing.
    """
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError("state", "a label graph saved by LabelGraph.save", f"other content{place}")
    if state.get("version") != 1:
        raise InputError("state", "format version 1", f"{state.get('version')}{place}", fix="use a newer mlgcn_pyg")
    state = {"probability": "ratio", "x_source": {}} | state  # absent in files of earlier versions
    of_weighting = OF_KERNEL if state.get("weighting") == KERNEL else ()
    required = (*TENSORS, *SETTINGS, *of_weighting, "num_labels")
    missing = [name for name in required if name not in state and name != "x"]
    if missing:
        raise InputError("state", "a complete label graph", f"no {', '.join(missing)}{place}")
    if not isinstance(state["num_labels"], int):
        raise InputError("state", "an integer ≥ 1 as num_labels", f"{shown(state['num_labels'])}{place}")
    fields = {name: state[name] for name in (*TENSORS, *SETTINGS, *of_weighting, "x_source") if name in state}
    return fields | {"num_nodes": state["num_labels"]}

"""Checks of a head's label graph: when the head is constructed, and when a state dict is loaded."""

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.values import shown


def check_graph(graph: LabelGraph) -> None:
    """Checks that ``graph`` is a valid label graph whose tensors have values.

    Raises:
        InputError: if it is not.
    """
    if not isinstance(graph, LabelGraph):
        raise InputError("graph", "a LabelGraph", shown(graph))
    if isinstance(graph.edge_weight, Tensor) and graph.edge_weight.is_meta:
        fix = "pass a graph on the CPU; within torch.device('meta'), only the parameters are created without values"
        raise InputError("graph", "a label graph with values", "tensors on the device 'meta'", fix)
    graph.validate()


def check_saved_buffer(name: str, buffer: Tensor | None, expected: Tensor | None, saved: object) -> None:
    """Checks that a saved buffer is that of the head's label graph.

    Args:
        name: the name of the buffer.
        buffer: the buffer of the head, which may have no values; None for one-hot labels.
        expected: the values that it must have.
        saved: the buffer in the state dict. A missing or invalid entry is ignored: ``load_state_dict`` reports it.

    Raises:
        InputError: if the shapes or the values differ.
    """
    if not isinstance(saved, Tensor):
        return
    same = buffer is not None and expected is not None and buffer.shape == saved.shape
    if same and buffer is not None and expected is not None and not saved.is_meta:
        # a buffer that was rounded to half precision and back differs from the graph
        same = equal_values(buffer, saved) or equal_values(expected.to(buffer.dtype), saved)
    if not same:
        fix = "load it with load_head, or build the head from the label graph it was trained on"
        raise InputError("state_dict", "the state of a head on this label graph", f"a different {name}", fix)


def equal_values(a: Tensor, b: Tensor) -> bool:
    """Returns whether two tensors have the same values in the type of ``a``; False if one of them has no values."""
    return not a.is_meta and not b.is_meta and torch.equal(a.cpu(), b.to("cpu", a.dtype))

"""Sources of edges other than images: similar label embeddings, and hierarchies of labels.

The functions return data frames with the columns ``source``, ``target`` and ``prob``, which
:meth:`LabelGraph.from_edges <mlgcn_pyg.LabelGraph.from_edges>` and its ``with_edges`` accept.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.checks import check_finite, check_flag, check_number, check_positive, check_tensor
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.edge_file import read_columns
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.fields import Array
from mlgcn_pyg.labels import check_same_labels, normal_label_names
from mlgcn_pyg.text import normal_form
from mlgcn_pyg.values import shown

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 1024  # rows of the matrix of cosines that are in memory at a time


def edges_from_similarity(
    x: Array | LabelEmbeddings,
    label_names: Sequence[str] | None = None,
    *,
    threshold: float = 0.5,
    top_k: int | None = None,
) -> "pd.DataFrame":
    r"""Returns edges in both directions between labels with similar embeddings.

    The similarity is the cosine of the centred embeddings. It takes the place of P:

    .. math:: s_{ij} = \cos(\mathbf{x}_i - \bar{\mathbf{x}}, \, \mathbf{x}_j - \bar{\mathbf{x}})

    Without the centring, all word vectors are similar, since they share a large mean. See J. Mu and P. Viswanath,
    `All-but-the-Top <https://arxiv.org/abs/1702.01417>`_, 2018.

    Args:
        x: (C, F) label embeddings.
        label_names: C unique names; default: those of ``x``, or the numbers 0…C−1.
        threshold: the smallest similarity of an edge, in (0, 1]. For a graph, it must be at least τ.
        top_k: the largest number of edges i → j of a label i; the most similar are kept, ties in the order of the
            labels. Default: all.

    Returns:
        A frame with the columns ``source``, ``target`` and ``prob``, sorted by the labels.

    Raises:
        InputError: if ``x`` is no matrix of finite numbers, or another argument is not valid.

    >>> edges_from_similarity([[1.0, 0.0], [0.9, 0.1], [-2.0, 0.0]], ["cat", "dog", "car"]).round(2)
      source target  prob
    0    cat    dog  0.99
    1    dog    cat  0.99
    """
    rows, names = _embeddings(x, label_names)
    threshold = check_number("threshold", threshold, 0, 1, open_low=True)
    top_k = None if top_k is None else check_positive("top_k", top_k)
    centred = rows - rows.mean(axis=0)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    # a difference from the mean that is a rounding error has no direction
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-6 * np.abs(rows).max(initial=0))
    found = [_similar(unit, start, threshold, top_k) for start in range(0, len(unit), BLOCK)]
    source, target, prob = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return _frame([names[i] for i in source.tolist()], [names[j] for j in target.tolist()], prob)


def edges_from_hierarchy(
    parents: "Mapping[str, str | Sequence[str]] | pd.DataFrame | str | Path", *, closure: bool = False
) -> "pd.DataFrame":
    """Returns the edges child → parent of a hierarchy, with P = 1: an image with a dog has an animal.

    Args:
        parents: a dict from labels to a parent or to several; a frame, or the path of a CSV file, with the columns
            ``child`` and ``parent``. All of them are labels of the graph.
        closure: whether a label implies all its ancestors, and not only its parents.

    Returns:
        A frame with the columns ``source``, ``target`` and ``prob``.

    Raises:
        InputError: if ``parents`` has a different form; if a name is empty; if labels are their own ancestors.

    >>> edges_from_hierarchy({"poodle": "dog", "dog": "animal"}, closure=True)
       source  target  prob
    0  poodle     dog   1.0
    1  poodle  animal   1.0
    2     dog  animal   1.0
    """
    check_flag("closure", closure)
    above: dict[str, dict[str, None]] = {}
    for child, parent in _links(parents):
        names = [normal_form(name) if isinstance(name, str) else "" for name in (child, parent)]
        if not all(names):
            raise InputError("parents", "the names of a child and a parent", f"{shown(child)} and {shown(parent)}")
        above.setdefault(names[0], {})[names[1]] = None
    _check_no_cycle(above)
    links = [(child, name) for child in above for name in (_ancestors(child, above) if closure else above[child])]
    return _frame([child for child, _ in links], [name for _, name in links], np.ones(len(links)))


def _frame(source: list[str], target: list[str], prob: NDArray[np.float64]) -> "pd.DataFrame":
    import pandas as pd

    names = {"source": pd.Series(source, dtype=object), "target": pd.Series(target, dtype=object)}
    return pd.DataFrame(names | {"prob": prob})


def _embeddings(
    x: Array | LabelEmbeddings, label_names: Sequence[str] | None
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    if isinstance(x, LabelEmbeddings):
        if label_names is not None:
            check_same_labels("x", x.label_names, label_names, "label_names")
        label_names, x = x.label_names, x.x
    rows = check_tensor("x", x, "label embeddings (C, F)")
    if rows.dim() != 2 or rows.numel() == 0 or rows.is_complex() or rows.is_sparse:
        raise InputError("x", "label embeddings (C, F)", f"shape {tuple(rows.shape)}, {rows.dtype}")
    check_finite("x", rows)
    return rows.detach().cpu().double().numpy(), normal_label_names(label_names, len(rows))


def _similar(
    unit: NDArray[np.float64], start: int, threshold: float, top_k: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Returns i, j and the cosine of the edges of the labels i from ``start`` on, up to a block."""
    cosine = (unit[start : start + BLOCK] @ unit.T).clip(max=1)
    here = np.arange(len(cosine))
    cosine[here, start + here] = 0  # no self-loops
    if top_k is not None and top_k < cosine.shape[1]:
        order = np.argsort(-cosine, axis=1, kind="stable")
        np.put_along_axis(cosine, order[:, top_k:], 0, axis=1)
    row, column = np.nonzero(cosine >= threshold)
    return start + row, column, cosine[row, column]


def _links(parents: Any) -> list[tuple[Any, Any]]:
    """Returns pairs of a child and a parent."""
    if isinstance(parents, str | os.PathLike):
        columns = read_columns("parents", Path(parents), ("child", "parent"))
        return list(zip(columns["child"], columns["parent"], strict=True))
    if isinstance(parents, Mapping):
        listed = {child: [names] if isinstance(names, str) else names for child, names in parents.items()}
        if wrong := [names for names in listed.values() if not isinstance(names, Sequence | set)]:
            raise InputError("parents", "a parent, or a list of parents, for each label", shown(wrong[0]))
        return [(child, name) for child, names in listed.items() for name in names]
    if not hasattr(parents, "columns") or not {"child", "parent"} <= set(map(str, parents.columns)):
        raise InputError("parents", "a dict, or a frame or CSV file with the columns child and parent", shown(parents))
    return list(zip(parents["child"].to_numpy().tolist(), parents["parent"].to_numpy().tolist(), strict=True))


def _ancestors(label: str, above: Mapping[str, Mapping[str, None]]) -> dict[str, None]:
    """Returns the labels above a label, the nearest first."""
    found = dict(above.get(label, {}))
    queue = list(found)
    for name in queue:  # which grows
        for parent in above.get(name, ()):
            if parent not in found:
                found[parent] = None
                queue.append(parent)
    return found


def _check_no_cycle(above: Mapping[str, Mapping[str, None]]) -> None:
    """Checks that no label is its own ancestor, by removing labels whose parents have all been removed (Kahn 1962)."""
    waiting = {child: len(parents) for child, parents in above.items()}
    below: dict[str, list[str]] = {}
    for child, parents in above.items():
        for parent in parents:
            below.setdefault(parent, []).append(child)
    queue = [name for name in below if name not in waiting]
    for name in queue:  # which grows
        for child in below.get(name, ()):
            waiting[child] -= 1
            if not waiting[child]:
                queue.append(child)
    left = {name for name, number in waiting.items() if number}
    if left:
        way, name = [], min(left)
        while name not in way:  # each label that is left has a parent that is left
            way.append(name)
            name = next(parent for parent in above[name] if parent in left)
        cycle = [*way[way.index(name) :], name]
        shown_cycle = " → ".join(cycle if len(cycle) <= 6 else [*cycle[:5], "…", name])
        raise InputError("parents", "no label among its own ancestors", shown_cycle)

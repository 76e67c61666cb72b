"""Edges in the forms in which they are given: pairs, data frames, CSV files and networkx graphs."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.edge_file import read_columns
from mlgcn_pyg.values import shown

if TYPE_CHECKING:
    import pandas as pd
    from networkx import DiGraph

Edges: TypeAlias = "Iterable[Sequence[Any]] | pd.DataFrame | str | Path | DiGraph"
FORMS = "pairs (i, j) or triples (i, j, P), a data frame, the path of a CSV file, or a networkx DiGraph"
MOST_NUMBERED = 1_000_000  # labels that are given by their ids only
COLUMNS, OPTIONAL = ("source", "target"), ("prob", "weight")


@dataclass(frozen=True)
class EdgeTable:
    """Edges as they are given, not checked.

    Attributes:
        source: i of each edge i → j, a name or an id.
        target: j of each edge.
        prob: P(L_j|L_i) of each edge; None if none is given, which means 1.
        weight: the weight of each edge among the edges of its receiver; None if none is given.
        nodes: the labels, if they are given with the edges.
        counts: N_i of these labels, by their names or ids, if they are given.
        place: where the edges are from, such as ``" of edges.csv"``, for error messages.
    """

    source: Sequence[Any]
    target: Sequence[Any]
    prob: Sequence[Any] | None = None
    weight: Sequence[Any] | None = None
    nodes: Sequence[str] | None = None
    counts: Mapping[Any, Any] | None = None
    place: str = ""

    def __len__(self) -> int:
        return len(self.source)

    def where(self, row: int) -> str:
        """Returns the place of an edge as text for an error message.

        >>> EdgeTable(["tie"], ["person"], place=" of k.csv").where(0)
        'tie → person (row 1 of k.csv)'
        """
        return f"{self.source[row]} → {self.target[row]} (row {row + 1}{self.place})"


def edge_table(edges: Any, argument: str = "edges") -> EdgeTable:
    """Returns edges, given in any of the forms of :meth:`LabelGraph.from_edges <mlgcn_pyg.LabelGraph.from_edges>`.

    Args:
        edges: the edges.
        argument: the argument that an error names.

    Raises:
        InputError: if ``edges`` has a different form.

    >>> edge_table([("tie", "person", 0.9)]).prob
    [0.9]
    """
    if isinstance(edges, str | os.PathLike):
        path = Path(edges)
        return _of_columns(read_columns(argument, path, COLUMNS, OPTIONAL), f" of {path.name}")
    if hasattr(edges, "columns") and hasattr(edges, "to_numpy"):  # pandas and polars
        return _of_frame(edges, argument)
    if hasattr(edges, "is_directed") and hasattr(edges, "nodes"):
        return _of_network(edges, argument)
    if hasattr(edges, "shape") or isinstance(edges, Mapping | bytes) or not isinstance(edges, Iterable):
        fix = "pass edge_index.t().tolist() for an edge index" if hasattr(edges, "shape") else ""
        raise InputError(argument, FORMS, shown(edges), fix)
    return _of_tuples(edges, argument)


def _of_columns(columns: Mapping[str, Sequence[Any]], place: str = "") -> EdgeTable:
    source, target = (columns[name] for name in COLUMNS)
    return EdgeTable(source, target, columns.get("prob"), columns.get("weight"), place=place)


def _of_frame(frame: Any, argument: str) -> EdgeTable:
    names = [str(name) for name in frame.columns]
    for name in COLUMNS:
        if name not in names:
            raise InputError(argument, "a frame with the columns source and target", f"no column {name} but {names}")
    for name in (*COLUMNS, *OPTIONAL):
        if names.count(name) > 1:
            raise InputError(argument, "each column once", f"{name} twice")
    return _of_columns({name: frame[name].to_numpy().tolist() for name in (*COLUMNS, *OPTIONAL) if name in names})


def _of_network(network: Any, argument: str) -> EdgeTable:
    if not network.is_directed() or network.is_multigraph():
        fix = "" if network.is_directed() else "pass graph.to_directed() for edges in both directions"
        raise InputError(argument, "a DiGraph", type(network).__name__, fix)
    nodes = dict(network.nodes(data=True))
    links = list(network.edges(data=True))
    if any("name" in values for values in nodes.values()) or not all(map(is_id, nodes)):
        label: dict[Any, Any] = {node: str(values.get("name", node)) for node, values in nodes.items()}
        names = list(label.values())
    else:  # ids of labels, in whatever order they were added
        label = {node: int(node) for node in nodes}
        largest = max(label.values(), default=-1)
        if largest >= MOST_NUMBERED:
            raise InputError(argument, f"ids below {MOST_NUMBERED:,}", largest)
        names = [str(k) for k in range(largest + 1)]
        nodes = {k: nodes.get(k, {}) for k in range(largest + 1)}
    prob, weight = ([values.get(key) for *_, values in links] for key in OPTIONAL)
    counts = {label.get(node, node): values.get("count") for node, values in nodes.items()}
    return EdgeTable(
        [label[i] for i, _, _ in links],
        [label[j] for _, j, _ in links],
        prob=None if all(value is None for value in prob) else prob,
        weight=None if all(value is None for value in weight) else weight,
        nodes=names,
        counts=None if None in counts.values() else counts,
    )


def is_id(end: object) -> bool:
    """Returns whether the end of an edge is the number of a label."""
    return isinstance(end, Integral) and not isinstance(end, bool) and int(end) >= 0


def _of_tuples(edges: Iterable[Any], argument: str) -> EdgeTable:
    rows = list(edges)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list | tuple) or len(row) not in (2, 3):
            raise InputError(argument, FORMS, f"{shown(row)} as edge {number}")
    if not any(len(row) == 3 for row in rows):
        return EdgeTable([row[0] for row in rows], [row[1] for row in rows])
    return EdgeTable(
        [row[0] for row in rows], [row[1] for row in rows], [row[2] if len(row) == 3 else 1.0 for row in rows]
    )

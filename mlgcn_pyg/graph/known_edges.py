"""Edges between known labels: checks of edges that are given, and their combination with those of a graph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.errors import Argument, InputError, warn_of_input
from mlgcn_pyg.graph.edge_table import MOST_NUMBERED, EdgeTable, is_id
from mlgcn_pyg.graph.spelling import nearest_spellings
from mlgcn_pyg.labels import normal_label_names
from mlgcn_pyg.text import described_forms, merged_forms, normal_form
from mlgcn_pyg.values import real_number, shown

MOST_UNKNOWN = 3  # names in an error


@dataclass(frozen=True)
class KnownEdges:
    """Edges i → j between labels 0…C−1, each once and without self-loops, in any order.

    Attributes:
        source: i (E,) int64.
        target: j (E,) int64.
        prob: P(L_j|L_i) (E,) float64.
        weight: the given weights (E,) float64; None if none are given.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    prob: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None

    def key(self, num_labels: int) -> NDArray[np.int64]:
        """Returns a number for each edge, which is different for different edges."""
        return self.source * num_labels + self.target

    def select(self, rows: NDArray[Any]) -> "KnownEdges":
        """Returns some of the edges, by a mask (E,) or their rows."""
        weight = None if self.weight is None else self.weight[rows]
        return KnownEdges(self.source[rows], self.target[rows], self.prob[rows], weight)


def names_of(table: EdgeTable, label_names: Sequence[str] | None, argument: str = "edges") -> tuple[str, ...]:
    """Returns the names of the labels: ``label_names``, those given with the edges, or the ends of the edges, sorted.

    Raises:
        InputError: if there is none; if the edges have names and ids; if an id is too large.
    """
    if label_names is not None:
        return normal_label_names(label_names)
    if table.nodes is not None:
        names: Sequence[str] = table.nodes
    else:
        ends = [*table.source, *table.target]
        if ends and all(is_id(end) for end in ends):
            largest = max(map(int, ends))
            if largest >= MOST_NUMBERED:
                raise InputError(argument, f"ids below {MOST_NUMBERED:,} without label_names", largest)
            return tuple(map(str, range(largest + 1)))
        if wrong := [end for end in ends if not isinstance(end, str) or not normal_form(end)]:
            raise InputError(argument, "the names of labels, or their ids", f"{shown(wrong[0])} as a label")
        if merged := merged_forms(dict.fromkeys(ends)):
            warn_of_input(f"label names that look the same count as one: {described_forms(merged)}")
        names = sorted({normal_form(end) for end in ends})
    if not names:
        raise InputError(argument, "at least one label", "none", ["pass ", Argument("label_names")])
    return normal_label_names(names)


def known_edges(table: EdgeTable, label_names: Sequence[str], tau: float, argument: str = "edges") -> KnownEdges:
    """Returns the edges of a table between the labels of a graph.

    Args:
        table: the edges.
        label_names: the C names of the labels, in their normal form.
        tau: the threshold τ of the graph.
        argument: the argument that an error names.

    Raises:
        InputError: if a label is unknown (the error lists similar names); if an edge is a self-loop or occurs twice; if
            P is not in (0, 1] or below τ; if a weight is negative.
    """
    source, target = ends_of(table, label_names, argument)
    prob = _numbers(table, table.prob, argument, "P in (0, 1]", lambda p: (p > 0) & (p <= 1))
    if len(low := np.flatnonzero(prob < tau)):
        found, least = f"P = {prob[low[0]]:g} for {table.where(int(low[0]))}", float(prob.min())
        fix: list[str | Argument] = ["leave P out for edges that always hold, or pass ", Argument("tau", least)]
        raise InputError(argument, f"P ≥ τ = {tau:g} for every edge", found, fix)
    weight = None
    if table.weight is not None:
        weight = _numbers(table, table.weight, argument, "a weight ≥ 0", lambda w: (w >= 0) & np.isfinite(w))
    return KnownEdges(source, target, prob, weight)


def ends_of(
    table: EdgeTable, label_names: Sequence[str], argument: str = "edges"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns i (E,) and j (E,) of the edges of a table; P and weights have no effect.

    Raises:
        InputError: if a label is unknown, or if an edge is a self-loop or occurs twice.
    """
    position = {name: k for k, name in enumerate(label_names)}
    source, target = (
        np.array([label_number(end, position) for end in side], np.int64) for side in (table.source, table.target)
    )
    if len(unknown := np.flatnonzero((source < 0) | (target < 0))):
        _raise_unknown(table, unknown, source, label_names, argument)
    if len(loops := np.flatnonzero(source == target)):
        raise InputError(argument, "edges between two labels", table.where(int(loops[0])))
    _, first = np.unique(source * len(label_names) + target, return_index=True)
    if len(first) < len(source):
        again = np.setdiff1d(np.arange(len(source)), first)[0]
        raise InputError(argument, "each edge once", f"twice {table.where(int(again))}")
    return source, target


def label_number(end: object, position: dict[str, int]) -> int:
    """Returns the number of a label that is given by its name or its id, or −1."""
    if isinstance(end, str):
        return position.get(end, position.get(normal_form(end), -1))
    return int(end) if is_id(end) and int(end) < len(position) else -1  # type: ignore[call-overload]


def _raise_unknown(
    table: EdgeTable, rows: NDArray[np.int64], source: NDArray[np.int64], label_names: Sequence[str], argument: str
) -> None:
    """Raises the error about unknown labels, with similar names."""
    wrong = [table.source[row] if source[row] < 0 else table.target[row] for row in rows.tolist()]
    names = list(dict.fromkeys(end if isinstance(end, str) else shown(end) for end in wrong))
    near = nearest_spellings(names[:MOST_UNKNOWN], label_names, count=2)
    listed = ", ".join(f"{name!r}" for name in names[:MOST_UNKNOWN])
    more = f" and {len(names) - MOST_UNKNOWN} more" if len(names) > MOST_UNKNOWN else ""
    found = f"{listed}{more}; the first in {table.where(int(rows[0]))}"
    similar = "; ".join(f"did you mean {' or '.join(map(repr, found))}?" for found in near.values() if found)
    raise InputError(argument, f"names of the {len(label_names)} labels", found, similar)


def _numbers(
    table: EdgeTable, values: Sequence[Any] | None, argument: str, expected: str, valid: Callable[[NDArray], NDArray]
) -> NDArray[np.float64]:
    """Returns numbers, those of a file from their text, and ones if there are none."""
    if values is None:
        return np.ones(len(table))
    numbers = np.array([_number(value) for value in values], dtype=np.float64)
    if len(wrong := np.flatnonzero(~valid(numbers))):
        row = int(wrong[0])
        comma = isinstance(values[row], str) and not np.isnan(_number(values[row].replace(",", ".", 1)))
        fix = "write decimal points instead of commas" if comma and "," in values[row] else ""
        raise InputError(argument, f"{expected} for every edge", f"{shown(values[row])} for {table.where(row)}", fix)
    return numbers


def _number(value: object) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return float("nan")
    number = real_number(value)
    return float("nan") if number is None else number


# P of an edge from the P of both graphs, 0 where one does not have it, and whether the second has it
COMBINATIONS: dict[str, Callable[[NDArray, NDArray, NDArray], NDArray]] = {
    "max": lambda mine, other, has: np.maximum(mine, other),
    "min": lambda mine, other, has: np.minimum(mine, other),
    "mean": lambda mine, other, has: (mine + other) / 2,
    "replace": lambda mine, other, has: np.where(has, other, mine),
}


def combined(mine: KnownEdges, other: KnownEdges, num_labels: int, tau: float, how: str) -> KnownEdges:
    """Returns the edges of two graphs with one P each, sorted; those with P < τ are left out.

    Args:
        mine: the edges of the first graph.
        other: those of the second.
        num_labels: C.
        tau: τ.
        how: one of :data:`COMBINATIONS`.

    >>> a, b = (KnownEdges(np.array([0]), np.array([k]), np.array([k / 2])) for k in (1, 2))
    >>> combined(a, b, 3, 0.4, "mean").prob, combined(a, b, 3, 0.4, "max").prob
    (array([0.5]), array([0.5, 1. ]))
    """
    keys, others = mine.key(num_labels), other.key(num_labels)
    union = np.union1d(keys, others)
    mine_there, other_there = np.isin(union, keys), np.isin(union, others)
    mine_prob, other_prob = np.zeros(len(union)), np.zeros(len(union))
    mine_prob[np.searchsorted(union, keys)] = mine.prob
    other_prob[np.searchsorted(union, others)] = other.prob
    prob = COMBINATIONS[how](mine_prob, other_prob, other_there)
    keep = (prob >= tau) & (mine_there & other_there if how == "min" else True)
    return KnownEdges(*np.divmod(union, num_labels), prob).select(keep)

"""Targets that hold label names, and objects that are no targets."""

import numpy as np
import pandas as pd
import pytest
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.graph import CooccurrenceCounter

DENSE = [[1, 1, 0], [0, 1, 0], [0, 1, 1]]
NAMES = ("boat", "sea", "tree")
LISTS = [["sea", "boat"], ["sea"], ["tree", "sea", "sea"]]


def same(graph, label_names=NAMES):
    expected = LabelGraph.from_targets(DENSE, label_names=label_names)
    assert graph.label_names == tuple(label_names) and graph.digest() == expected.digest()


@pytest.mark.parametrize("dtype", [int, bool, float, "int8", "boolean", "object"])
def test_a_data_frame(dtype):
    frame = pd.DataFrame(DENSE, columns=NAMES).astype(dtype)
    same(LabelGraph.from_targets(frame))
    same(LabelGraph.from_targets(frame, label_names=["a", "b", "c"]), ("a", "b", "c"))
    assert CooccurrenceCounter(3).update(frame).label_counts.tolist() == [1, 3, 1]


def test_a_data_frame_of_mixed_columns_and_unknown_targets():
    frame = pd.DataFrame({"a": [True, False], "b": [1, -1]})
    assert LabelGraph.from_targets(frame).label_counts.tolist() == [1, 1]
    assert LabelGraph.from_targets(pd.DataFrame({0: [1], 1: [1]})).label_names == ("0", "1")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"image": ["a.jpg"], "sea": [1]}),
        pd.DataFrame({"sea": [1, None]}),
        pd.DataFrame([[1, 0]], columns=["sea", "sea"]),
        pd.DataFrame([[1, 0]], columns=["caf\u00e9", "cafe\u0301"]),
        pd.Series([1, 0]),
        pd.DataFrame({"sea": [2]}),
    ],
)
def test_a_data_frame_of_other_content_is_refused(frame):
    with pytest.raises(InputError, match="targets|label_names"):
        LabelGraph.from_targets(frame)


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_lists_of_label_names(kind):
    rows = [kind(row) for row in LISTS]
    same(LabelGraph.from_targets(rows))
    same(LabelGraph.from_targets(rows, label_names=NAMES, num_labels=3))
    wider = LabelGraph.from_targets(rows, label_names=["x", *NAMES])
    assert wider.label_counts.tolist() == [0, 1, 3, 1]


def test_sets_of_label_ids():
    assert LabelGraph.from_targets([{0, 1}, {1}, set(), {1, 2}], num_labels=3).label_counts.tolist() == [1, 3, 1]


def test_forms_of_a_name_are_merged_and_said():
    with pytest.warns(InputWarning, match="count as one: 'caf\u00e9'"):
        graph = LabelGraph.from_targets([["caf\u00e9"], ["cafe\u0301", "tea"]])
    assert graph.label_names == ("caf\u00e9", "tea") and graph.label_counts.tolist() == [2, 1]


@pytest.mark.parametrize(
    "targets, options",
    [
        ([["sea"], ["ship"]], {"label_names": ["sea"]}),
        ([["sea"], [1]], {}),
        ([["sea"], "boat"], {}),
        ([["sea"], {"boat": 1}], {}),
        ([["sea", None]], {}),
        ([["sea"]], {"num_labels": 2}),
        ([["sea", "\u200b"]], {}),
        ([{0, 1}, {2}], {}),
        ({"sea": [1, 0]}, {}),
        (iter([[1]]), {}),
        ([{0, 5}], {"num_labels": 3}),
    ],
)
def test_other_lists_are_refused(targets, options):
    with pytest.raises(InputError, match="targets|label_names"):
        LabelGraph.from_targets(targets, **options)


def test_embeddings_in_a_data_frame():
    x = pd.DataFrame(np.eye(3), index=NAMES)
    assert torch.equal(LabelGraph.from_targets(DENSE, x=x).x, torch.eye(3))

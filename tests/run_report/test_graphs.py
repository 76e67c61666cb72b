"""The label graphs of a report."""

from types import SimpleNamespace

import pytest
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.run_report.graphs import expected_edges, mined_graph

NAMES = ("tie", "person", "dog")
TARGETS = [[1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]]  # P(person | dog) = 1/4


@pytest.fixture
def train(tmp_path):
    return FeatureCache.from_arrays(tmp_path / "train.h5", torch.ones(6, 2), TARGETS, NAMES)


def edges(graph):
    frame = graph.to_frame()
    return {(i, j): p for i, j, p in zip(frame["source"], frame["target"], frame["prob"], strict=True)}


def test_a_known_edge_keeps_its_P_among_those_of_the_training_images(train):
    mined = LabelGraph.from_targets(TARGETS, label_names=NAMES)
    head = SimpleNamespace(graph=mined.with_edges([("dog", "person", 0.9), ("dog", "tie", 0.5)]))
    assert edges(mined_graph(train, [head])) == {
        ("tie", "person"): 1.0, ("person", "tie"): 1 / 3, ("person", "dog"): 1 / 3, ("dog", "person"): 0.9,
        ("dog", "tie"): 0.5,
    }  # fmt: skip
    assert expected_edges(None, [head]) is head.graph


def test_without_a_head_with_a_graph_all_edges_are_mined(train):
    heads = [SimpleNamespace(graph=None)]
    assert edges(mined_graph(train, heads))["dog", "person"] == 0.25
    assert mined_graph(None, heads) is None


def test_a_head_on_labels_in_another_order(train):
    order = [2, 0, 1]
    graph = LabelGraph.from_targets(torch.tensor(TARGETS)[:, order], label_names=[NAMES[k] for k in order])
    assert edges(mined_graph(train, [SimpleNamespace(graph=graph)])) == edges(mined_graph(train, []))


def test_no_edge_at_all(train):
    graph = LabelGraph.from_targets([[1, 0, 0]], label_names=NAMES)
    assert graph.edge_index.size(1) == 0
    assert edges(mined_graph(train, [SimpleNamespace(graph=graph)])) == edges(mined_graph(train, []))

"""Groups of labels and targets, by hand."""

import numpy as np
import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study.groups import groups
from mlgcn_pyg.graph import LabelGraph

TRAINING = [[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 1, 0]]  # 1 → 0 and 3 → 2 at τ = 0.8
TARGETS = np.array([[1, 0, 0, 0], [0, 1, 1, -1], [0, 0, 0, 1], [0, 0, -1, 0]])


def by_name(graph, positives=(3, 1, 3, 1), targets=TARGETS):
    return {group.name: group for group in groups(graph, positives, targets)}


def test_frequencies_are_thirds():
    found = by_name(None, positives=[5, 100, 20, 7, 7], targets=np.zeros((2, 5)))
    assert {name: group.labels.tolist() for name, group in found.items()} == {
        "frequent labels": [1, 2],
        "labels of medium frequency": [3, 4],
        "rare labels": [0],
    }


def test_the_direction_of_messages():
    paper, released = (
        LabelGraph.from_targets(TRAINING, tau=0.8, weighting=weighting) for weighting in ("paper", "released")
    )
    assert by_name(paper)["labels that receive messages"].labels.tolist() == [1, 3]  # i receives from j
    assert by_name(paper)["labels that receive none"].labels.tolist() == [0, 2]
    assert by_name(released)["labels that receive messages"].labels.tolist() == [0, 2]


def test_contexts_by_hand():
    found = by_name(LabelGraph.from_targets(TRAINING, tau=0.8))
    near, far = found["images in context"], found["images out of context"]
    assert near.labels.tolist() == far.labels.tolist() == [0, 1, 2, 3]
    expected = [[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]  # where the partner is 1; unknown is absent
    assert near.context.astype(int).tolist() == expected
    assert (far.context == ~near.context).all()


def test_labels_without_edges_have_no_context():
    found = by_name(LabelGraph.from_targets([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], tau=0.8))
    assert found["images in context"].labels.tolist() == [0, 1]


def test_a_graph_without_edges():
    found = by_name(LabelGraph.from_targets(np.eye(4, dtype=int)))
    assert list(found) == ["frequent labels", "labels of medium frequency", "rare labels"]


def test_edges_of_a_kernel_graph_are_those_above_the_threshold():
    graph = LabelGraph.from_targets(TRAINING, tau=0.8, weighting="kernel", x=np.eye(4, dtype=np.float32) + 0.1)
    assert graph.num_edges > 2
    assert by_name(graph)["labels that receive messages"].labels.tolist() == [1, 3]


@pytest.mark.parametrize("num_labels", [1, 2])
def test_fewer_labels_than_thirds(num_labels):
    assert groups(None, [1] * num_labels, np.ones((3, num_labels))) == []


def test_other_numbers_of_labels():
    with pytest.raises(InputError, match=r"^positives: expected one number for each of 4 labels, found shape \(3,\)"):
        groups(None, [1, 2, 3], TARGETS)
    with pytest.raises(InputError, match="^graph: expected a graph of 4 labels, found one of 2"):
        groups(LabelGraph.from_targets([[1, 1]]), [1, 1, 1, 1], TARGETS)

"""Which edges a page embeds, and weights that were learned relative to equal ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.report.page.edge_data import edge_data, is_learned, kept_edges, relative_weights
from tests.report.page.pages import learned, made_content


@pytest.fixture
def graph():
    """0 → 1 and 0 → 2, 1 → 0: labels 1 and 2 in half of the images with 0, 0 in all with 1 and with 2."""
    return LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], tau=0.4)


def test_weights_of_eq_8_are_one(graph):
    pairs = graph.edge_index.numpy()
    np.testing.assert_allclose(relative_weights(graph, pairs), 1)
    assert not is_learned(graph)


def test_learned_weights_are_relative_to_the_mean_of_their_receiver(graph):
    """Label 0 receives 0.05 and 0.15 instead of 0.1 and 0.1."""
    assert graph.edge_index.tolist() == [[0, 0, 1, 2], [1, 2, 0, 0]]
    graph.edge_weight = torch.tensor([0.05, 0.15, 0.2, 0.2])
    assert is_learned(graph)
    np.testing.assert_allclose(relative_weights(graph, graph.edge_index.numpy()), [0.5, 1.5, 1, 1], rtol=1e-6)


def test_the_receiver_of_the_released_weighting_is_the_implied_label():
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], tau=0.9, weighting="released")
    assert graph.edge_index.tolist() == [[1, 2], [0, 0]]
    graph.edge_weight = torch.tensor([0.1, 0.3])
    np.testing.assert_allclose(relative_weights(graph, graph.edge_index.numpy()), [0.5, 1.5], rtol=1e-6)


def test_a_pair_that_is_no_edge_of_the_head_is_nan(graph):
    assert np.isnan(relative_weights(graph, np.array([[1], [2]]))).all()


def test_the_most_certain_edges_are_kept():
    """Label 2 comes with both others in its only image, P = 1; 0 and 1 come together in 9 of 10 images with either."""
    targets = torch.tensor([[1, 1, 1]] + [[1, 1, 0]] * 8 + [[1, 0, 0], [0, 1, 0]], dtype=torch.int8)
    graph = LabelGraph.from_targets(targets, tau=0.4)
    content = replace(made_content(3, 11, targets=targets), graph=graph)
    assert len(edge_data(content).prob) == 4
    some = edge_data(content, most=2)
    assert (some.source.tolist(), some.target.tolist()) == ([0, 1], [1, 0])
    assert some.left_out == 2


def test_heads_with_learned_weights_are_named():
    assert list(edge_data(made_content(12, 200)).learned) == ["mlgcn"]


def test_few_labels_are_kept():
    pairs = np.array([[0, 2, 0, 4], [1, 3, 2, 5]])
    assert kept_edges(pairs, np.array([0.9, 0.8, 0.7, 0.6]), 9, 4).tolist() == [0, 1, 2]
    assert kept_edges(pairs[:, :0], np.zeros(0), 9, 4).tolist() == []


def test_tau_is_at_least_that_of_the_graph():
    content = made_content(6, 100)
    assert edge_data(replace(content, tau=0.1)).tau == 0.2
    assert edge_data(replace(content, tau=None)).tau == 0.2
    assert edge_data(replace(content, tau=0.7)).tau == 0.7


def test_edges_of_the_kernel_without_p_are_left_out():
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1], [0, 0, 1]], tau=0.9, weighting="kernel")
    content = replace(made_content(3, 20), graph=graph, tau=None)
    assert edge_data(content).prob.min() >= 0.9


def test_weights_of_an_untrained_head_are_not_learned():
    content = made_content(12, 200)
    assert is_learned(learned(content.graph))
    assert not is_learned(content.graph)

"""Places of labels: near their neighbours, apart from all others, the same each time."""

import time

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from mlgcn_pyg.report.page.label_layout import WIDER, label_places, stress_places


def places(num_labels: int, edges, prob=None, tau=0.4):
    source, target = np.array(edges).T
    prob = np.ones(len(edges)) if prob is None else np.array(prob)
    return label_places(num_labels, source, target, prob, tau)


def test_neighbours_are_nearer_than_others():
    """A path of five labels."""
    distances = squareform(pdist(places(5, [(k, k + 1) for k in range(4)])))
    assert max(distances[k, k + 1] for k in range(4)) < min(distances[k, k + 2] for k in range(3))


def test_a_path_has_its_distances():
    graph = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    np.testing.assert_allclose(pdist(stress_places(graph)), pdist(np.arange(6.0)[:, None]), rtol=0.02)


def test_leaves_of_a_hub_are_apart():
    found = places(41, [(k, 0) for k in range(1, 41)])
    assert pdist(found).min() > 0.05
    assert np.linalg.norm(found[1:] - found[0], axis=1).max() < 0.9


def test_components_do_not_overlap():
    found = places(9, [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6), (7, 8)])
    assert pdist(found).min() > 0.03


@pytest.mark.parametrize("edges", [[(0, 1)], [(0, 1), (1, 0)]], ids=["one edge", "both directions"])
def test_two_labels(edges):
    found = places(2, edges)
    assert np.isfinite(found).all()
    assert pdist(found)[0] > 0.1


def test_no_label():
    assert label_places(0, *np.zeros((2, 0), dtype=int), np.zeros(0), 0.4).shape == (0, 2)


def test_edges_below_tau_are_longer():
    found = places(3, [(0, 1), (1, 2)], prob=[0.9, 0.1])
    first, _, second = pdist(found)
    assert second > 1.5 * first


def test_all_probabilities_may_be_below_tau_or_tau_zero():
    assert np.isfinite(places(3, [(0, 1), (1, 2)], prob=[0.2, 0.1])).all()
    assert np.isfinite(places(3, [(0, 1), (1, 2)], prob=[0.2, 0.0], tau=0.0)).all()


def test_a_thousand_labels_take_seconds_and_have_the_same_places_each_time():
    generator = np.random.default_rng(0)
    edges = np.column_stack([generator.integers(0, 1000, 4000), generator.integers(0, 1000, 4000) ** 2 // 1000])
    edges = edges[edges[:, 0] != edges[:, 1]]
    start = time.process_time()
    found = label_places(1000, edges[:, 0], edges[:, 1], generator.random(len(edges)), 0.4)
    assert time.process_time() - start < 20
    assert np.isfinite(found).all()
    assert found.min() >= -1e-9
    assert found[:, 0].max() <= WIDER + 1e-9
    assert found[:, 1].max() <= 1 + 1e-9
    small = edges[(edges < 60).all(1)]
    assert np.array_equal(places(60, small), places(60, small))

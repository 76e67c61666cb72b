import numpy as np
import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import WEIGHTINGS, permuted_embeddings, permuted_labels, random_edges
from mlgcn_pyg.nn import SharingHead
from tests.graph.oracle import DENSE

NAMES = list("abcdefg")
C = len(NAMES)
SPARSE = tuple(name for name in WEIGHTINGS if name != "kernel")


def build(weighting="paper", tau=0.3, x=True, num_labels=C, **options):
    random = np.random.default_rng(0)
    targets = (random.random((60, num_labels)) < random.random(num_labels)).astype(np.int8)
    embeddings = random.normal(size=(num_labels, 4)).astype(np.float32) if x else None
    names = NAMES[:num_labels]
    return LabelGraph.from_targets(targets, x=embeddings, label_names=names, tau=tau, weighting=weighting, **options)


def permutation_of(graph, seed):
    """π, found by the distinct numbers that are put on the nodes of the graph before they are moved."""
    marked = graph.clone()
    marked.self_weight = torch.arange(1, graph.num_labels + 1, dtype=graph.self_weight.dtype)
    return permuted_labels(marked, seed).self_weight.long() - 1


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_permuted_labels_are_a_permutation_of_a_hat(weighting, seed):
    graph = build(weighting)
    moved = permuted_labels(graph, seed)
    label = permutation_of(graph, seed)  # the former node of each node
    assert moved.validate() and sorted(label.tolist()) == list(range(C)) != label.tolist()
    assert torch.equal(moved.to_dense(), graph.to_dense()[label][:, label])
    assert torch.equal(moved.x, graph.x) and list(moved.label_names) == NAMES
    assert torch.equal(moved.label_counts, graph.label_counts)
    if weighting == "kernel":
        assert torch.equal(moved.kernel, graph.kernel[label][:, label])


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_permuting_and_reweighting_commute(weighting):
    graph = build(weighting)
    options = {"tau": 0.6, "p": 0.4} | ({"alpha": 0.9} if weighting == "kernel" else {})
    first = permuted_labels(graph.reweighted(**options), 5)
    second = permuted_labels(graph, 5).reweighted(**options)
    assert torch.equal(first.edge_index, second.edge_index) and torch.equal(first.edge_prob, second.edge_prob)
    assert torch.allclose(first.to_dense(), second.to_dense(), atol=1e-6)


def test_weights_that_were_changed_move_with_their_edges():
    graph = build()
    graph.edge_weight = torch.rand(graph.edge_index.size(1))
    graph.self_weight = torch.rand(C)
    label = permutation_of(graph, 3)
    assert torch.equal(permuted_labels(graph, 3).to_dense(), graph.to_dense()[label][:, label])


@pytest.mark.parametrize("weighting", SPARSE)
def test_random_edges_have_the_number_of_edges_and_the_weights_of_the_dense_formula(weighting):
    graph = build(weighting, p=0.3)
    drawn = random_edges(graph, 0)
    assert drawn.validate() and drawn.edge_index.shape == graph.edge_index.shape
    assert not torch.equal(drawn.edge_index, graph.edge_index)
    assert sorted(drawn.edge_prob.tolist()) == sorted(graph.edge_prob.tolist())
    adjacency = np.zeros((C, C))
    adjacency[tuple(drawn.edge_index.numpy())] = 1
    assert np.abs(drawn.to_dense().numpy() - DENSE[weighting](adjacency, 0.3)).max() < 1e-6
    assert drawn.reweighted(tau=0.6).edge_index.size(1) == graph.reweighted(tau=0.6).edge_index.size(1)


def test_each_pair_is_an_edge_equally_often():
    graph = LabelGraph.from_counts([9, 9, 9, 9], [[0, 9, 0, 0], [9, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    counts = np.zeros((4, 4))
    for seed in range(600):
        counts[tuple(random_edges(graph, seed).edge_index.numpy())] += 1
    expected = 600 * 2 / 12
    chi2 = ((counts[~np.eye(4, dtype=bool)] - expected) ** 2 / expected).sum()
    assert counts.trace() == 0 and chi2 < 31.3  # the 0.1 % point of χ² with 11 degrees of freedom


@pytest.mark.parametrize("seed", range(4))
def test_two_labels_are_exchanged(seed):
    graph = LabelGraph.from_targets([[1, 1], [1, 0]], tau=0.6, x=[[1.0], [2.0]])
    assert graph.edge_index.tolist() == [[1], [0]]
    assert permuted_labels(graph, seed).edge_index.tolist() == [[0], [1]]
    assert permuted_embeddings(graph, seed).x.tolist() == [[2.0], [1.0]]


def test_one_label_has_only_the_identity():
    graph = LabelGraph.from_targets([[1]], x=[[1.0]])
    for control in (permuted_labels, random_edges, permuted_embeddings):
        assert control(graph, 0).digest() == graph.digest()


def test_no_edge():
    graph = LabelGraph.from_targets(torch.eye(3), tau=1.0)
    for control in (permuted_labels, random_edges):
        assert control(graph, 0).edge_index.shape == (2, 0) and control(graph, 0).validate()


def test_a_complete_graph_has_no_other_edges():
    graph = LabelGraph.from_targets(torch.ones(2, 4))
    for control in (permuted_labels, random_edges):
        assert torch.equal(control(graph, 0).to_dense(), graph.to_dense())


def test_permuted_embeddings_keep_the_edges():
    graph = build()
    moved = permuted_embeddings(graph, 0)
    assert moved.validate() and not torch.equal(moved.x, graph.x)
    assert sorted(moved.x.tolist()) == sorted(graph.x.tolist())
    assert torch.equal(moved.to_dense(), graph.to_dense()) and list(moved.label_names) == NAMES


@pytest.mark.parametrize("control", [permuted_labels, random_edges, permuted_embeddings])
def test_the_seed_determines_the_graph(control):
    graph = build()
    before = graph.digest()
    assert control(graph, 1).digest() == control(graph, 1).digest() != control(graph, 2).digest()
    assert graph.digest() == before
    with pytest.raises(InputError, match="seed: expected an integer ≥ 0, found -1"):
        control(graph, -1)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InputError, match="graph: expected label embeddings.*found one-hot"):
        permuted_embeddings(build(x=False), 0)
    for control in (permuted_embeddings, random_edges):
        with pytest.raises(InputError, match="graph: expected a weighting.*found 'kernel'"):
            control(build("kernel"), 0)
    learned = build()
    learned.edge_weight = torch.rand(learned.edge_index.size(1))
    with pytest.raises(InputError, match="edge_weight: expected the weights that p = 0.2"):
        random_edges(learned, 0)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_controls_are_saved_and_trained(weighting, tmp_path):
    controls = [permuted_labels] if weighting == "kernel" else [permuted_labels, random_edges, permuted_embeddings]
    for control in controls:
        control(build(weighting), 0).save(tmp_path / "graph.pt")
        graph = LabelGraph.load(tmp_path / "graph.pt")
        heads = [SharingHead(graph, 5)] + ([MLGCNHead(graph, 5, (6,))] if weighting != "kernel" else [])
        for head in heads:
            head(torch.randn(2, 5)).sum().backward()
            assert all(bool(value.grad.isfinite().all()) for value in head.parameters())
            torch.testing.assert_close(head.to_linear()(torch.ones(1, 5)), head(torch.ones(1, 5)))

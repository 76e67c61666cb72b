"""τ = 0: every pair of labels is an edge, also a pair that never occurs together."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import WEIGHTINGS, CooccurrenceCounter, EdgeRule
from mlgcn_pyg.graph.edges import certain_probabilities
from mlgcn_pyg.graph.mining import MAX_ENTRIES
from mlgcn_pyg.nn import SharingHead
from tests.graph.oracle import DENSE

# label 2 occurs with no other label, label 3 has no images, and of label 4 and label 0 one is always unknown
TARGETS = np.array([[1, 1, 0, 0, -1], [1, 0, 0, 0, -1], [0, 0, 1, 0, 0], [-1, 1, 0, 0, 1]])
C = 5
OFF_DIAGONAL = ~np.eye(C, dtype=bool)
SPARSE = tuple(name for name in WEIGHTINGS if name != "kernel")


def complete(**options):
    return LabelGraph.from_targets(TARGETS, tau=0, **options)


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_eq_8_is_p_over_c_minus_1(p):
    expected = np.where(OFF_DIAGONAL, p / (C - 1), 1 - p)
    assert np.abs(complete(p=p).to_dense().numpy() - expected).max() < 1e-7


@pytest.mark.parametrize("weighting", SPARSE)
def test_all_weightings_equal_the_dense_formula(weighting):
    dense = DENSE[weighting](OFF_DIAGONAL.astype(float), 0.3)
    assert np.abs(complete(p=0.3, weighting=weighting).to_dense().numpy() - dense).max() < 1e-6


def test_p_is_zero_for_pairs_without_images():
    graph = complete()
    prob = dict(zip(map(tuple, graph.edge_index.t().tolist()), graph.edge_prob.tolist(), strict=True))
    assert len(prob) == C * (C - 1) and list(prob) == sorted(prob)
    assert {pair: p for pair, p in prob.items() if p} == {(0, 1): 0.5, (1, 0): 1.0, (1, 4): 1.0, (4, 1): 1.0}


def test_every_builder_and_every_block_size(tmp_path):
    counts, pairs = np.array([3, 3, 2, 0]), np.zeros((4, 4), dtype=int)
    pairs[0, 1] = pairs[1, 0] = 2
    targets = np.array([[1, 1, 0, 0]] * 2 + [[1, 0, 0, 0], [0, 1, 0, 0]] + [[0, 0, 1, 0]] * 2)
    first = LabelGraph.from_targets(targets, tau=0)
    counter = CooccurrenceCounter(4).update(targets[:2]).update(targets[2:])
    others = [LabelGraph.from_counter(counter, tau=0, max_entries=n) for n in (1, MAX_ENTRIES)]
    others += [LabelGraph.from_counts(counts, m, tau=0.0) for m in (pairs, sp.csr_array(pairs))]
    assert first.edge_index.size(1) == 12 and first.validate()
    assert {graph.digest() for graph in others} == {first.digest()}
    first.save(tmp_path / "g.pt")
    again = LabelGraph.load(tmp_path / "g.pt")
    assert again.digest() == first.digest() and again.tau == 0


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_raising_tau_from_zero_equals_building_the_graph_again(weighting):
    for tau in (0.3, 1.0):
        again = LabelGraph.from_targets(TARGETS, tau=tau, p=0.4, weighting=weighting)
        assert complete(weighting=weighting).reweighted(tau=tau, p=0.4).digest() == again.digest()


def test_the_complete_graph_stays_complete_without_a_threshold():
    graph = complete()
    for options in ({"p": 0.4}, {"tau": 0.0}, {"weighting": "binary"}):
        assert graph.reweighted(**options).edge_index.size(1) == C * (C - 1)
    with pytest.raises(InputError, match="tau: expected τ ≥ 0.4, at which this graph was built, found 0"):
        LabelGraph.from_targets(TARGETS, tau=0.4).reweighted(tau=0)


def test_kernel_has_all_edges_and_keeps_them_in_other_weightings():
    graph = complete(weighting="kernel")
    assert graph.edge_index.size(1) == graph.summary().num_likely == C * (C - 1)
    assert graph.reweighted(alpha=0.9).edge_index.size(1) == C * (C - 1)
    assert graph.reweighted(weighting="paper").digest() == complete().digest()
    sparse = LabelGraph.from_targets(TARGETS, tau=0.4, weighting="kernel")
    assert torch.equal(graph.to_dense(), sparse.to_dense())


def test_a_count_that_is_given_restricts_the_edges_to_pairs_that_occur():
    pairs = lambda **options: complete(**options).edge_index.t().tolist()  # noqa: E731
    assert pairs(min_count=1) == [[0, 1], [1, 0], [1, 4], [4, 1]]
    assert pairs(min_count=2) == []


def test_top_k_keeps_the_most_probable_and_then_the_first_labels():
    graph = complete(top_k=2)
    expected = [[0, 1], [0, 2], [1, 0], [1, 4], [2, 0], [2, 1], [3, 0], [3, 1], [4, 0], [4, 1]]
    assert graph.edge_index.t().tolist() == expected
    assert complete(top_k=9).digest() == complete().digest()


def test_without_images_and_with_one_label():
    assert LabelGraph.from_targets(torch.zeros(0, 3), tau=0).to_dense().tolist()[0] == pytest.approx([0.8, 0.1, 0.1])
    assert LabelGraph.from_targets([[1]], tau=0).edge_index.shape == (2, 0)


def test_wilson_is_zero_where_nothing_was_counted():
    graph = complete(probability="wilson")
    assert graph.edge_index.size(1) == C * (C - 1) and (graph.edge_prob > 0).sum() == 4
    assert certain_probabilities(complete()).isfinite().all()


def test_too_many_labels_are_refused_before_anything_is_allocated():
    rows, counts = [[0, 1]], torch.zeros(1_000_000, dtype=torch.int64)
    message = "tau: expected τ > 0 for more than 4,096 labels.*found τ = 0 and 1,000,000 labels; pass min_count=1"
    with pytest.raises(InputError, match=message):
        LabelGraph.from_targets(rows, num_labels=1_000_000, tau=0)
    with pytest.raises(InputError, match=message):
        LabelGraph.from_counts(counts, sp.csr_array((1_000_000, 1_000_000), dtype=np.int64), tau=0)
    occurring = LabelGraph.from_targets(rows, num_labels=1_000_000, tau=0, min_count=1)
    assert occurring.edge_index.tolist() == [[0, 1], [1, 0]]


def test_kernel_with_a_part_of_the_pairs_is_refused():
    for options in ({"min_count": 1}, {"top_k": 1}):
        with pytest.raises(InputError, match="tau: expected τ > 0 for weighting 'kernel'"):
            complete(weighting="kernel", **options)


def test_an_edge_of_probability_zero_is_valid_at_tau_zero_only():
    graph = complete()
    graph.tau = 0.1
    with pytest.raises(InputError, match=r"edge_prob: expected probabilities in \(0, 1\]"):
        graph.validate()
    assert EdgeRule(tau=0).is_complete and not EdgeRule(tau=0, min_count=1).is_complete


@pytest.mark.parametrize("weighting", SPARSE)
def test_heads_train_on_the_complete_graph(weighting):
    for head in (MLGCNHead(complete(weighting=weighting), 4, (3,)), SharingHead(complete(weighting=weighting), 4)):
        head(torch.randn(2, 4)).sum().backward()
        torch.testing.assert_close(head.to_linear()(torch.ones(1, 4)), head(torch.ones(1, 4)))

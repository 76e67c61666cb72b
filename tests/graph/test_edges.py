import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import CooccurrenceCounter, EdgeRule
from mlgcn_pyg.graph.edges import wilson


def as_ids(targets):
    return [np.flatnonzero(row == 1).tolist() for row in np.asarray(targets)]


def same(a, b):
    return torch.equal(a.edge_index, b.edge_index) and torch.equal(a.edge_prob, b.edge_prob)


def pairs_by_hand(targets, tau, probability, min_count, top_k):
    """The edges with nested loops, in the order i, j."""
    edges = []
    for i in range(targets.shape[1]):
        row = []
        for j in range(targets.shape[1]):
            known = ((targets[:, i] == 1) & (targets[:, j] != -1)).sum()
            both = ((targets[:, i] == 1) & (targets[:, j] == 1)).sum()
            if i == j or both < min_count:
                continue
            if not both:
                p = 0.0
            elif probability == "ratio":
                p = both / known
            else:
                p = float(wilson(np.array([both * 1.0]), np.array([known * 1.0]))[0])
            if p >= tau:
                row.append((p, j))
        row.sort(key=lambda pj: (-pj[0], pj[1]))
        edges += sorted((i, j, p) for p, j in row[:top_k])
    return edges


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int8, st.tuples(st.integers(0, 12), st.integers(1, 6)), elements=st.integers(-1, 1)),
    st.sampled_from([0.0, 0.05, 0.4, 1.0]), st.sampled_from(["ratio", "wilson"]), st.integers(0, 3),
    st.sampled_from([None, 1, 2]), st.sampled_from([1, 7, 1 << 26]),
)  # fmt: skip
def test_rules_equal_loops_in_blocks_of_any_size(targets, tau, probability, min_count, top_k, max_entries):
    rule = EdgeRule(tau, probability, min_count, top_k)
    edge_index, prob = CooccurrenceCounter(targets.shape[1]).update(targets).edges(rule, max_entries)
    expected = pairs_by_hand(targets, tau, probability, min_count, top_k)
    assert edge_index.t().tolist() == [[i, j] for i, j, _ in expected]
    assert prob.tolist() == pytest.approx([p for _, _, p in expected])


@settings(max_examples=30, deadline=None)
@given(arrays(np.int8, st.tuples(st.integers(0, 12), st.integers(1, 6)), elements=st.integers(0, 1)))
def test_dense_sparse_and_lists_of_ids_give_the_same_graph(targets):
    dense = LabelGraph.from_targets(targets)
    num_labels = targets.shape[1]
    for sparse in (sp.csr_array(targets), sp.csr_matrix(targets), sp.coo_array(targets), sp.csc_array(targets)):
        assert same(dense, LabelGraph.from_targets(sparse))
    assert same(dense, LabelGraph.from_targets(as_ids(targets), num_labels=num_labels))
    assert same(dense, LabelGraph.from_counts(targets.sum(0), targets.T.astype(int) @ targets))


def test_unknown_targets_in_sparse_form():
    targets = np.array([[1, 1, 0], [1, -1, 0], [1, -1, 1], [1, 0, 0]])
    assert same(LabelGraph.from_targets(targets, tau=0.2), LabelGraph.from_targets(sp.csr_array(targets), tau=0.2))


def test_coco_in_blocks_and_from_workers_equals_one_pass(coco_targets):
    targets = coco_targets["train_y"]
    whole = LabelGraph.from_targets(targets)
    assert same(whole, LabelGraph.from_targets(targets, max_entries=100))
    workers = [CooccurrenceCounter(80).update(part) for part in np.array_split(targets, 4)]
    merged = workers[0]
    for worker in workers[1:]:
        merged.merge(worker)
    assert same(whole, LabelGraph.from_counter(merged))


def test_wilson_does_not_trust_a_label_of_two_images():
    rare = torch.zeros(1000, 3)
    rare[:2, :2] = 1  # label 0 is in two images, with label 1 in both
    rare[:, 1] = 1
    rare[:900, 2] = 1
    plain = LabelGraph.from_targets(rare, tau=0.8)
    careful = LabelGraph.from_targets(rare, tau=0.8, probability="wilson")
    pairs = lambda graph: set(map(tuple, graph.edge_index.t().tolist()))  # noqa: E731
    assert (0, 1) in pairs(plain) and (0, 1) not in pairs(careful)
    assert (1, 2) in pairs(careful) and careful.probability == "wilson"
    assert careful.edge_prob.max() < 1


def test_wilson_equals_the_published_example():
    # 15 of 20 at 95 %: 0.531 … 0.888 (e.g. Brown, Cai and DasGupta 2001 give the formula)
    p, n, z = 0.75, 20, 1.959963984540054
    by_hand = (p + z**2 / 40 - z * np.sqrt(p * (1 - p) / 20 + z**2 / 1600)) / (1 + z**2 / 20)
    assert wilson(np.array([15.0]), np.array([20.0]))[0] == pytest.approx(by_hand) == pytest.approx(0.531, abs=5e-4)
    assert n == 20


def test_min_count_and_top_k_keep_the_best_neighbours():
    targets = np.array([[1, 1, 1, 1]] * 3 + [[1, 0, 1, 1]] * 2 + [[1, 0, 0, 1]])
    graph = LabelGraph.from_targets(targets, tau=0.1, top_k=1)
    assert graph.edge_index.tolist() == [[0, 1, 2, 3], [3, 0, 0, 0]]
    assert LabelGraph.from_targets(targets, tau=0.1, min_count=6).edge_index.tolist() == [[0, 3], [3, 0]]


def test_many_labels_stay_sparse(tmp_path):
    """A million labels, whose dense matrix has 4 TB: the graph is built, summarised, re-weighted, saved and loaded."""
    num_labels = 1_000_000
    rng = np.random.default_rng(0)
    ids = rng.integers(0, num_labels - 1, 20_000)
    rows = [[int(i), int(i) + 1] for i in ids]
    graph = LabelGraph.from_targets(rows, num_labels=num_labels)
    assert graph.num_labels == num_labels and graph.edge_index.size(1) >= 2 * len(set(ids.tolist())) * 0.9
    summary = graph.reweighted(weighting="released").summary()
    assert summary.num_edges == graph.edge_index.size(1)
    graph.save(tmp_path / "g.pt")
    assert same(graph, LabelGraph.load(tmp_path / "g.pt"))
    with pytest.raises(InputError, match="num_labels: expected at most 16384 labels"):
        graph.to_dense()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"probability": "bayes"}, "probability: expected one of ratio, wilson"),
        ({"min_count": -1}, "min_count: expected an integer ≥ 0"),
        ({"top_k": 0}, "top_k: expected an integer ≥ 1"),
        ({"max_entries": 0}, "max_entries: expected an integer ≥ 1"),
    ],
)
def test_refused_rules(options, message):
    with pytest.raises(InputError, match=message):
        LabelGraph.from_targets([[1, 1]], **options)


def test_refused_forms():
    with pytest.raises(InputError, match="label ids in 0…1, found 2"):
        LabelGraph.from_targets([[0, 2]], num_labels=2)
    with pytest.raises(InputError, match=r"values in \{-1, 0, 1\}, found 3"):
        LabelGraph.from_targets(sp.csr_array([[0, 3]]))
    with pytest.raises(InputError, match=r"shape \(num_images, 3\), found shape \(1, 2\)"):
        CooccurrenceCounter(3).update(sp.csr_array([[0, 1]]))


def test_a_matrix_is_a_matrix_even_with_num_labels():
    targets = np.array([[0, 0, 1, 1]] * 5)
    for form in (targets, torch.tensor(targets), sp.csr_array(targets)):
        assert LabelGraph.from_targets(form, num_labels=4).label_counts.tolist() == [0, 0, 5, 5]
        with pytest.raises(InputError, match=r"shape \(num_images, 3\)"):
            LabelGraph.from_targets(form, num_labels=3)


@pytest.mark.parametrize("rows", [[[0.9, 2.7]], [[True, False]], [["a"]], [[[0]]]])
def test_label_ids_that_are_not_integers(rows):
    with pytest.raises(InputError, match="lists of integer label ids"):
        LabelGraph.from_targets(rows, num_labels=3)


def test_errors_suggest_num_labels_or_a_scipy_matrix():
    with pytest.raises(InputError, match="for lists of label ids, pass num_labels"):
        LabelGraph.from_targets([[0, 1], [2]])
    with pytest.raises(InputError, match="a dense tensor, or a SciPy sparse matrix"):
        LabelGraph.from_targets(torch.eye(3).to_sparse())


def test_the_callers_matrix_is_not_changed():
    matrix = sp.csr_array((np.array([1, 1]), np.array([2, 0]), np.array([0, 2])), shape=(1, 3))
    LabelGraph.from_targets(matrix)
    assert matrix.indices.tolist() == [2, 0]


def test_unknown_targets_count_in_the_memory_budget():
    import tracemalloc

    rng = np.random.default_rng(0)
    targets = np.full((300, 2000), -1, np.int8)
    targets[np.arange(300), rng.integers(0, 2000, 300)] = 1
    counter = CooccurrenceCounter(2000).update(targets)
    peaks = []
    for max_entries in (2_000, 1 << 26):
        tracemalloc.start()
        counter.edges(max_entries=max_entries)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < peaks[1] / 2

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import CooccurrenceCounter, LabelGraph
from mlgcn_pyg.released import read_released_counts


def counted_by_hand(targets):
    """N, M and #{i present, j known} with three nested loops."""
    num_labels = targets.shape[1]
    n = np.zeros(num_labels, dtype=int)
    m, known = np.zeros((num_labels, num_labels), int), np.zeros((num_labels, num_labels), int)
    for row in targets:
        for i in range(num_labels):
            n[i] += row[i] == 1
            for j in range(num_labels):
                if row[i] == 1 and i != j:
                    m[i, j] += row[j] == 1
                    known[i, j] += row[j] != -1
    return n, m, known


@settings(max_examples=50, deadline=None)
@given(arrays(np.int8, st.tuples(st.integers(0, 12), st.integers(1, 5)), elements=st.integers(-1, 1)))
def test_counts_and_probabilities_equal_loops(targets):
    counter = CooccurrenceCounter(targets.shape[1]).update(targets)
    n, m, known = counted_by_hand(targets)
    assert counter.label_counts.tolist() == n.tolist()
    assert (counter.pair_counts.toarray() == m).all()
    expected = np.divide(m, known, out=np.zeros(m.shape), where=m > 0)
    assert (counter.probabilities().toarray() == expected).all()


@settings(max_examples=30, deadline=None)
@given(arrays(np.int8, st.tuples(st.integers(0, 12), st.just(4)), elements=st.integers(-1, 1)), st.integers(0, 12))
def test_batches_and_merged_counters_equal_one_pass(targets, cut):
    whole = CooccurrenceCounter(4).update(targets)
    batches = CooccurrenceCounter(4).update(targets[:cut]).update(targets[cut:])
    merged = CooccurrenceCounter(4).update(targets[cut:]).merge(CooccurrenceCounter(4).update(targets[:cut]))
    for other in (batches, merged):
        assert other.num_images == whole.num_images
        assert torch.equal(other.label_counts, whole.label_counts)
        assert (other.pair_counts != whole.pair_counts).nnz == 0
        assert (other.probabilities() != whole.probabilities()).nnz == 0


def test_coco_training_targets_give_the_released_counts(shared, coco_targets):
    nums, pairs = read_released_counts(shared / "reference" / "coco_adj.pkl")
    counter = CooccurrenceCounter(80).update(coco_targets["train_y"])
    assert counter.num_images == 82_081
    assert (counter.label_counts.numpy() == nums).all()
    assert (counter.pair_counts.toarray() == pairs).all()


def test_no_image():
    counter = CooccurrenceCounter(3).update(np.zeros((0, 3)))
    assert counter.num_images == 0 and counter.probabilities().nnz == 0


def test_every_target_unknown():
    counter = CooccurrenceCounter(2).update([[-1, -1]])
    assert counter.label_counts.tolist() == [0, 0] and counter.probabilities().nnz == 0


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int64, torch.float32, torch.float16])
def test_any_dtype_of_targets(dtype):
    targets = torch.tensor([[1, 1], [1, 0]]).to(dtype)
    assert CooccurrenceCounter(2).update(targets).probabilities().toarray().tolist() == [[0, 0.5], [1, 0]]


@pytest.mark.parametrize(
    "targets, message",
    [
        ([[0, 2]], r"targets: expected values in \{-1, 0, 1\}, found 2 at image 0, label 1"),
        ([[0.0, float("nan")]], "found nan at image 0, label 1"),
        ([[0.5, 1.0]], "found 0.5 at image 0, label 0"),
        ([0, 1], r"found shape \(2,\)"),
        ([[0, 1, 1]], r"\(num_images, 2\), found shape \(1, 3\)"),
    ],
)
def test_refused_targets(targets, message):
    with pytest.raises(InputError, match=message):
        CooccurrenceCounter(2).update(targets)


def test_merging_other_labels_is_refused():
    with pytest.raises(InputError, match="a counter over 2 labels, found a counter over 3"):
        CooccurrenceCounter(2).merge(CooccurrenceCounter(3))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: CooccurrenceCounter("3"), "num_labels: expected an integer ≥ 1, found '3'"),
        (lambda: CooccurrenceCounter(2).update(None), "targets: expected a tensor, an array or nested lists"),
        (lambda: CooccurrenceCounter(2).update_ids(None), "rows: expected lists of integer label ids"),
        (lambda: CooccurrenceCounter(2).update_ids([["a"]]), "rows: expected lists of integer label ids"),
        (lambda: CooccurrenceCounter(2).update_ids([[2]]), "rows: expected label ids in 0…1, found 2"),
        (lambda: CooccurrenceCounter(2).merge(None), "other: expected a CooccurrenceCounter, found NoneType"),
        (lambda: CooccurrenceCounter(2).edges(0.4), "rule: expected an EdgeRule, found float"),
        (lambda: CooccurrenceCounter(2).edges(max_entries="1"), "max_entries: expected an integer ≥ 1, found '1'"),
    ],
)
def test_arguments_of_the_wrong_type(call, message):
    with pytest.raises(InputError, match=f"^{message}"):
        call()


@pytest.mark.parametrize(
    "nums, pairs, message",
    [
        ([4, 4], [[0, 5], [5, 0]], r"P ≤ 1\), found M\[0,1\] = 5 but label 0 is in 4 images"),
        ([4, 4], [[0, 2], [1, 0]], r"a symmetric matrix, found M\[0,1\] = 2, M\[1,0\] = 1"),
        ([4, 4], [[0, -1], [-1, 0]], "whole numbers ≥ 0"),
        ([4, 4], [[0, 0.5], [0.5, 0]], "whole numbers ≥ 0"),
        ([4, 4], [[0, float("nan")], [0, 0]], "whole numbers ≥ 0"),
        ([4, 4], [[0, 1, 1]], r"shape \(2, 2\), found shape \(1, 3\)"),
        ([4, -4], [[0, 1], [1, 0]], "label_counts: expected whole numbers"),
        ([[4, 4]], [[0, 1], [1, 0]], "label_counts: expected one count per label"),
    ],
)
def test_refused_counts(nums, pairs, message):
    with pytest.raises(InputError, match=message):
        LabelGraph.from_counts(nums, pairs)


def test_counts_may_be_dense_or_sparse_and_have_a_diagonal():
    dense = np.array([[4, 3], [3, 5]])
    graphs = [
        LabelGraph.from_counts([4, 5], pairs)
        for pairs in (
            dense,
            dense.tolist(),
            sp.csr_matrix(dense),
            sp.coo_array(dense),
            torch.tensor(dense),
            torch.tensor(dense).to_sparse(),
            dense - np.diag([4, 5]),
        )
    ]
    for graph in graphs:
        assert graph.edge_prob.tolist() == [0.75, 0.6]

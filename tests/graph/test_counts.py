import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlgcn_pyg.errors import InputError, InputWarning
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


def test_twice_the_released_readings_of_a_diagonal(tmp_path):
    nums = np.array([40, 10, 6, 9, 0])
    pairs = np.array([[0, 9, 5, 1, 0], [9, 0, 0, 2, 0], [5, 0, 0, 0, 0], [1, 2, 0, 0, 0], [0] * 5])
    with_diagonal = pairs + np.diag(nums)
    path = tmp_path / "adj.pkl"
    path.write_bytes(pickle.dumps({"nums": nums, "adj": with_diagonal}))
    with pytest.raises(InputError, match="adj: .* zero diagonal.* diagonal='kept' .* diagonal='ignored'"):
        LabelGraph.from_released(path)
    # gen_A and gen_adj of the released code
    with np.errstate(invalid="ignore"):
        a = (with_diagonal / nums[:, None] >= 0.4).astype(float)
    a = a * 0.25 / (a.sum(0, keepdims=True) + 1e-6) + np.identity(5)
    d = np.diag(a.sum(1) ** -0.5)
    kept = LabelGraph.from_released(path, diagonal="kept")
    assert np.allclose(kept.to_dense(), (a @ d).T @ d, atol=1e-6)
    ignored = LabelGraph.from_released(path, diagonal="ignored")
    assert torch.equal(ignored.to_dense(), LabelGraph.from_counts(nums, pairs, weighting="released").to_dense())
    assert not torch.allclose(kept.to_dense(), ignored.to_dense(), atol=0.01)
    paper = LabelGraph.from_released(path, weighting="paper")  # Eq. 8 leaves the diagonal out in any case
    assert torch.equal(paper.to_dense(), LabelGraph.from_counts(nums, pairs).to_dense())
    with pytest.raises(InputError, match="edge_weight: .* would be lost"):
        kept.reweighted(p=0.3)
    with pytest.raises(InputError, match="diagonal: expected one of kept, ignored"):
        LabelGraph.from_released(path, diagonal="both")


@pytest.mark.parametrize(
    "nums, pairs, message",
    [
        ([10, 7], [[3, 7], [7, 99]], r"0 or the label counts on the diagonal, found M\[0,0\] = 3 but label 0 is in 10"),
        ([10, 7], [[10, 7], [7, 99]], r"found M\[1,1\] = 99 but label 1 is in 7 images"),
        ([17, 12], [[10, 7], [7, 5]], r"found M\[0,0\] = 10 and, as label counts, the sums of the rows, such as 17"),
        ([7, 7], [[10, 7], [7, 9]], "sums of the rows"),  # without the diagonal
        ([4, 4], [[0, 2.0**60], [2.0**60, 0]], "at most 2.53 images"),
    ],
)
def test_counts_that_no_images_can_have(nums, pairs, message):
    with pytest.raises(InputError, match=f"pair_counts: expected .*{message}"):
        LabelGraph.from_counts(nums, pairs)
    with pytest.raises(InputError, match="pair_counts"):
        LabelGraph.from_counts(nums, sp.csr_array(np.array(pairs)))


@pytest.mark.parametrize(
    "nums, pairs, found",
    [
        ([10, 10, 10], [[0, 10, 10], [10, 0, 0], [10, 0, 0]], r"M\[0,1\] = 10, M\[0,2\] = 10 and M\[1,2\] = 0"),
        ([9, 9, 9], [[0, 6, 6], [6, 0, 2], [6, 2, 0]], "but label 0 is in 9 images"),
    ],
)
def test_three_labels_with_counts_that_no_images_have_are_said(nums, pairs, found):
    with pytest.warns(InputWarning, match=f"no images have these counts: .*{found}"):
        LabelGraph.from_counts(nums, pairs)


@pytest.mark.parametrize("seed", range(20))
def test_counts_of_images_are_possible(seed, recwarn):
    generator = np.random.default_rng(seed)
    targets = (generator.random((int(generator.integers(1, 40)), 6)) < generator.random()).astype(int)
    targets[:, 5] = targets[:, 0]
    pairs = targets.T @ targets
    LabelGraph.from_counts(targets.sum(0), pairs, tau=0.01)
    LabelGraph.from_counts(targets.sum(0), pairs - np.diag(pairs.diagonal()), tau=0.01)
    assert not recwarn.list

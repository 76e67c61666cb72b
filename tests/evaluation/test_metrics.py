import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import COUNT_METRICS, multilabel_metrics

LOGITS = torch.tensor([[2.0, 1.0, -1.0, 0.5], [-1.0, 3.0, 2.0, 1.0], [0.1, -0.2, -0.3, -0.4]])
TARGETS = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0]])


def by_loops(logits, targets, top_k=None):
    """Every metric again, image by image and class by class."""
    num_images, num_labels = targets.shape
    tp, predicted, positives = np.zeros(num_labels), np.zeros(num_labels), np.zeros(num_labels)
    for n in range(num_images):
        known = [c for c in range(num_labels) if targets[n, c] != -1]
        allowed = sorted(known, key=lambda c: -logits[n, c])[: top_k or num_labels]
        for c in known:
            said = logits[n, c] > 0 and c in allowed
            tp[c] += said and targets[n, c] == 1
            predicted[c] += said
            positives[c] += targets[n, c] == 1
    cp = np.mean([tp[c] / predicted[c] if predicted[c] else 0 for c in range(num_labels)])
    recalls = [tp[c] / positives[c] for c in range(num_labels) if positives[c]]
    cr = np.mean(recalls) if recalls else 0
    op, o_r = tp.sum() / max(predicted.sum(), 1), tp.sum() / max(positives.sum(), 1)
    f1 = [2 * a * b / (a + b) if a + b else 0 for a, b in ((cp, cr), (op, o_r))]
    return dict(zip(COUNT_METRICS, (cp, cr, f1[0], op, o_r, f1[1]), strict=True))


def test_hand_worked_table():
    # predicted: image 0 {0, 1, 3}, image 1 {1, 2, 3}, image 2 {0}; tp per class (2, 1, 0, 0)
    metrics = multilabel_metrics(LOGITS, TARGETS)
    assert metrics["CP"] == pytest.approx((1 + 1 / 2 + 0 + 0) / 4)
    assert metrics["CR"] == pytest.approx((1 + 1 / 2 + 0) / 3)  # class 3 has no positive
    assert metrics["OP"] == pytest.approx(3 / 7) and metrics["OR"] == pytest.approx(3 / 5)
    assert metrics["CF1"] == pytest.approx(2 * 0.375 * 0.5 / 0.875)
    assert metrics["OF1"] == pytest.approx(2 * (3 / 7) * (3 / 5) / (3 / 7 + 3 / 5))
    # class 0 ranks its two positives first; class 1: positives at ranks 1 and 3; class 2: at rank 2 of 3
    assert metrics["AP"][:3].tolist() == pytest.approx([1.0, (1 + 2 / 3) / 2, 1 / 2])
    assert metrics["mAP"] == pytest.approx((1 + 5 / 6 + 1 / 2) / 3)


def test_hand_worked_top_1():
    metrics = multilabel_metrics(LOGITS, TARGETS, top_k=1)  # predicted {0}, {1}, {0}: all of them right
    assert metrics["OP"] == 1.0 and metrics["OR"] == pytest.approx(3 / 5)
    assert metrics["CP"] == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert metrics["mAP"] == multilabel_metrics(LOGITS, TARGETS)["mAP"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 5), st.sampled_from([None, 1, 2, 3, 9]))
def test_random_tables_equal_loops_and_scikit_learn(seed, num_images, num_labels, top_k):
    generator = np.random.default_rng(seed)
    logits = generator.permutation(num_images * num_labels).reshape(num_images, num_labels) - num_images
    targets = generator.integers(-1, 2, size=logits.shape)
    metrics = multilabel_metrics(torch.tensor(logits, dtype=torch.float32), torch.tensor(targets), top_k)
    for name, value in by_loops(logits, targets, top_k).items():
        assert metrics[name] == pytest.approx(value), name
    for c in range(num_labels):
        known = targets[:, c] >= 0
        truth = targets[known, c]
        if truth.any():
            assert metrics["AP"][c] == pytest.approx(average_precision_score(truth, logits[known, c]))
        else:
            assert metrics["AP"][c].isnan()


def test_tied_scores_equal_scikit_learn():
    scores, truth = [1.0, 1.0, 1.0, 0.0, 0.0], [1, 0, 1, 1, 0]
    metrics = multilabel_metrics(torch.tensor(scores)[:, None], torch.tensor(truth)[:, None])
    assert metrics["mAP"] == pytest.approx(average_precision_score(truth, scores))


def test_logits_far_beyond_where_a_float32_sigmoid_saturates():
    logits = torch.tensor([[100.0], [101.0], [102.0], [103.0]])
    assert multilabel_metrics(logits, torch.tensor([[0], [0], [0], [1]]))["mAP"] == 1.0


def test_logits_that_all_lie_between_0_and_1_are_still_logits():
    metrics = multilabel_metrics(torch.tensor([[0.2, 0.4], [0.1, 0.3]]), torch.tensor([[1, 1], [1, 1]]))
    assert metrics["OR"] == 1.0  # every logit is above 0, though below one half


def test_a_class_without_positives_is_left_out_of_map_and_cr():
    metrics = multilabel_metrics(torch.tensor([[1.0, -1.0], [2.0, -2.0]]), torch.tensor([[1, 0], [1, 0]]))
    assert metrics["mAP"] == 1.0 and metrics["CR"] == 1.0 and metrics["AP"][1].isnan()
    assert metrics["CP"] == 0.5  # but it counts in CP


def test_a_class_never_predicted_has_precision_0():
    metrics = multilabel_metrics(torch.tensor([[1.0, -1.0]]), torch.tensor([[1, 1]]))
    assert metrics["CP"] == 0.5 and metrics["CR"] == 0.5 and metrics["OP"] == 1.0


def test_unknown_targets_leave_every_metric():
    known = multilabel_metrics(LOGITS, TARGETS)
    more_logits = torch.cat([LOGITS, torch.tensor([[9.0, 9.0, 9.0, 9.0]])])
    more = multilabel_metrics(more_logits, torch.cat([TARGETS, torch.full((1, 4), -1)]))
    assert all(more[name] == known[name] for name in ("mAP", *COUNT_METRICS))


def test_unknown_targets_take_no_top_k_place():
    metrics = multilabel_metrics(torch.tensor([[5.0, 1.0]]), torch.tensor([[-1, 1]]), top_k=1)
    assert metrics["OR"] == 1.0


def test_k_beyond_the_number_of_labels_is_no_limit():
    unlimited = multilabel_metrics(LOGITS, TARGETS)
    for k in (4, 5, 100):
        limited = multilabel_metrics(LOGITS, TARGETS, top_k=k)
        assert all(limited[name] == unlimited[name] for name in COUNT_METRICS)


def test_top_k_never_adds_a_label_below_0():
    metrics = multilabel_metrics(-torch.ones(1, 4), torch.ones(1, 4), top_k=3)
    assert metrics["OR"] == 0.0


def test_equal_logits_take_places_in_label_order():
    metrics = multilabel_metrics(torch.ones(1, 5), torch.tensor([[1, 1, 1, 0, 0]]), top_k=3)
    assert metrics["OP"] == 1.0 and metrics["OR"] == 1.0


def test_no_image():
    metrics = multilabel_metrics(torch.zeros(0, 3), torch.zeros(0, 3))
    assert np.isnan(metrics["mAP"]) and all(metrics[name] == 0 for name in COUNT_METRICS)


def test_no_positive_anywhere():
    metrics = multilabel_metrics(torch.ones(2, 2), torch.zeros(2, 2))
    assert np.isnan(metrics["mAP"]) and metrics["OP"] == 0 and metrics["CR"] == 0


def test_one_image():
    metrics = multilabel_metrics(torch.tensor([[1.0, -1.0]]), torch.tensor([[1, 0]]))
    assert metrics["mAP"] == 1.0 and metrics["OF1"] == 1.0


@pytest.mark.parametrize(
    "logits, targets, top_k, message",
    [
        (torch.zeros(2, 3), torch.zeros(2, 2), None, r"logits: expected the shape of targets, \(2, 2\)"),
        (torch.full((1, 2), torch.nan), torch.zeros(1, 2), None, "logits: expected finite numbers"),
        (torch.zeros(1, 2), torch.full((1, 2), 2), None, r"values in \{-1, 0, 1\}"),
        (torch.zeros(1, 2), torch.zeros(1, 2), 0, "top_k: expected an integer ≥ 1, found 0"),
    ],
)
def test_refusals(logits, targets, top_k, message):
    with pytest.raises(InputError, match=message):
        multilabel_metrics(logits, targets, top_k)


def test_integer_logits():
    metrics = multilabel_metrics(torch.tensor([[2, -1, 1], [1, 3, 2]]), torch.tensor([[1, 0, 1], [0, 1, -1]]), top_k=1)
    assert metrics["OP"] == 1.0


def test_thresholds_replace_0():
    logits, cuts = torch.tensor([[2.0, 1.0, -1.0], [0.5, 3.0, -2.0]]), torch.tensor([1.0, 2.0, -1.5])
    targets = torch.tensor([[1, 0, 1], [1, 1, 0]])
    moved = multilabel_metrics(logits - cuts, targets)  # no top-k: only the sign of the difference matters
    found = multilabel_metrics(logits, targets, thresholds=cuts)
    assert all(found[name] == moved[name] for name in COUNT_METRICS)
    assert found["mAP"] == multilabel_metrics(logits, targets)["mAP"]


def test_top_k_ranks_the_logits_before_thresholds_apply():
    logits, targets = torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[1, 1, 1]])
    found = multilabel_metrics(logits, targets, top_k=2, thresholds=torch.tensor([5.0, 0.0, 0.0]))
    assert found["OR"] == pytest.approx(1 / 3)  # label 0 has a place, but is not above its threshold
    with pytest.raises(InputError, match=r"thresholds: expected one logit per label, shape \(3,\)"):
        multilabel_metrics(logits, targets, thresholds=[0.0, 1.0])


def test_lists_and_arrays():
    lists = multilabel_metrics([[2.0, -1.0]], [[1, 0]])
    arrays = multilabel_metrics(np.array([[2.0, -1.0]]), np.array([[1, 0]]), thresholds=np.zeros(2))
    assert lists["mAP"] == arrays["mAP"] == 1.0


def test_logits_that_are_no_real_numbers_are_refused():
    for logits in (torch.zeros(1, 2, dtype=torch.complex64), torch.zeros(1, 2, dtype=torch.bool), [["a", "b"]], None):
        with pytest.raises(InputError, match="logits: expected"):
            multilabel_metrics(logits, torch.zeros(1, 2))

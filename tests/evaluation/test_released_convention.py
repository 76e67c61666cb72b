"""``convention="released"`` against the meter of the released code, written again from its description.

The meter receives targets of three values: 1 for present, −1 for absent, 0 for difficult.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import COUNT_METRICS, multilabel_metrics


def meter(logits, targets, top_k=None):
    """Every number of the released meter, entry by entry. NaN where it divides 0 by 0 or fails."""
    scores = torch.as_tensor(logits).float()
    num_images, num_labels = scores.shape
    ap = [_average_precision(scores[:, c], targets[:, c].tolist()) for c in range(num_labels)]
    tp, predicted, positives = [0] * num_labels, [0] * num_labels, [0] * num_labels
    for n in range(num_images):
        places = range(num_labels) if top_k is None else scores[n].topk(min(top_k, num_labels)).indices.tolist()
        for c in range(num_labels):
            said = c in places and scores[n, c].item() >= 0
            present = targets[n, c].item() == 1  # difficult and absent alike are negatives
            tp[c] += said and present
            predicted[c] += said
            positives[c] += present
    predicted = [count or 1 for count in predicted]
    op, o_r = _divide(sum(tp), sum(predicted)), _divide(sum(tp), sum(positives))
    cp = math.fsum(_divide(a, b) for a, b in zip(tp, predicted, strict=True)) / num_labels
    cr = math.fsum(_divide(a, b) for a, b in zip(tp, positives, strict=True)) / num_labels
    f1 = [_divide(2 * a * b, a + b) for a, b in ((cp, cr), (op, o_r))]
    return {
        "mAP": float(np.mean(np.array(ap, dtype=np.float32))), "AP": ap,
        **dict(zip(COUNT_METRICS, (cp, cr, f1[0], op, o_r, f1[1]), strict=True)),
    }  # fmt: skip


def _average_precision(scores, targets):
    ranking = scores.sort(descending=True).indices.tolist()  # torch decides between equal scores
    found = seen = 0
    total = 0.0
    for n in ranking:
        if targets[n] == -1:  # difficult
            continue
        seen += 1
        if targets[n] == 1:
            found += 1
            total += found / seen
    return _divide(total, found)


def _divide(a, b):
    return a / b if b else math.nan


def check(logits, targets, top_k=None):
    found = multilabel_metrics(logits, targets, top_k, convention="released")
    expected = meter(logits, targets, top_k)
    for name in ("mAP", *COUNT_METRICS):
        assert found[name] == pytest.approx(expected[name], rel=3e-7 if name == "mAP" else 1e-15, nan_ok=True), name
    rounded = torch.tensor(expected["AP"], dtype=torch.float32).double()
    assert torch.equal(found["AP"].nan_to_num(-1), rounded.nan_to_num(-1))
    return found


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 6), st.sampled_from([None, 1, 2, 3, 9]), st.booleans()
)
def test_random_tables_with_and_without_ties(seed, num_images, num_labels, top_k, ties):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(num_images, num_labels)) * 2
    logits = torch.tensor(logits.round() if ties else logits)
    check(logits, torch.tensor(generator.integers(-1, 2, size=logits.shape)), top_k)


def test_a_large_table():
    torch.manual_seed(1)
    check(torch.randn(500, 80), torch.randint(-1, 2, (500, 80)), top_k=3)


def test_zero_counts_as_predicted():
    logits, targets = torch.tensor([[0.0, -0.0, -1.0]]), torch.tensor([[1, 1, 0]])
    assert check(logits, targets)["OR"] == 1.0
    assert multilabel_metrics(logits, targets)["OR"] == 0.0


def test_a_negative_number_that_float32_rounds_to_zero_counts_as_predicted():
    logits, targets = torch.tensor([[-1e-60]], dtype=torch.float64), torch.tensor([[1]])
    assert check(logits, targets)["OR"] == 1.0
    assert multilabel_metrics(logits, targets)["OR"] == 0.0


def test_difficult_entries_count_as_negative_and_take_places():
    logits, targets = torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[-1, 1, 1]])
    released = check(logits, targets, top_k=2)
    assert released["OP"] == pytest.approx(1 / 3)  # one of two predictions, and one class that is never predicted
    assert released["OR"] == 0.5
    paper = multilabel_metrics(logits, targets, top_k=2)
    assert paper["OP"] == 1.0 and paper["OR"] == 1.0


def test_difficult_entries_are_left_out_of_average_precision():
    logits, targets = torch.tensor([[3.0], [2.0], [1.0]]), torch.tensor([[-1], [1], [0]])
    assert check(logits, targets)["AP"].tolist() == [1.0]


def test_classes_never_predicted_enter_the_denominator_of_op():
    logits, targets = torch.tensor([[1.0, -1.0, -1.0]]), torch.tensor([[1, 1, 1]])
    assert check(logits, targets)["OP"] == pytest.approx(1 / 3)
    assert multilabel_metrics(logits, targets)["OP"] == 1.0


def test_equal_logits_have_different_ranks():
    logits, targets = torch.zeros(2, 1), torch.tensor([[1], [0]])
    assert {check(logits, order)["mAP"] for order in (targets, targets.flip(0))} == {0.5, 1.0}
    assert multilabel_metrics(logits, targets)["mAP"] == multilabel_metrics(logits, targets.flip(0))["mAP"] == 0.5


def test_a_class_without_a_positive_leaves_no_number_for_mean_ap_and_cr():
    found = check(torch.tensor([[1.0, 1.0]]), torch.tensor([[1, 0]]))
    assert math.isnan(found["mAP"]) and math.isnan(found["CR"]) and math.isnan(found["CF1"])
    assert found["OR"] == 1.0


def test_no_image():
    found = multilabel_metrics(torch.zeros(0, 2), torch.zeros(0, 2), convention="released")
    assert found["OP"] == 0 and all(math.isnan(found[name]) for name in ("mAP", "CR", "OR", "OF1"))


def test_both_conventions_agree_without_ties_difficult_entries_and_unpredicted_classes():
    torch.manual_seed(0)
    logits, targets = torch.randn(60, 5, dtype=torch.float64).float(), torch.randint(0, 2, (60, 5))
    for top_k in (None, 3):
        paper, released = (
            multilabel_metrics(logits, targets, top_k, convention=name) for name in ("paper", "released")
        )
        for name in ("mAP", *COUNT_METRICS):
            assert paper[name] == pytest.approx(released[name], rel=1e-6), name


def test_refusals():
    logits, targets = torch.zeros(1, 2), torch.zeros(1, 2)
    with pytest.raises(InputError, match="convention: expected one of paper, released, found 'coco'"):
        multilabel_metrics(logits, targets, convention="coco")
    with pytest.raises(InputError, match="thresholds: expected None for the released convention"):
        multilabel_metrics(logits, targets, thresholds=torch.zeros(2), convention="released")

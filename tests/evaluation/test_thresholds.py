"""Thresholds against every cut tried one by one, and scikit-learn's F1."""

import math

import pytest
import torch
from sklearn.metrics import f1_score

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import f1_per_label, fit_thresholds
from mlgcn_pyg.evaluation import thresholds as module


def brute_force(logits, targets) -> float:
    """The best F1 of one label over all cuts, in plain Python."""
    pairs = [(x, y) for x, y in zip(logits.tolist(), targets.tolist(), strict=True) if y >= 0]
    best = 0.0
    for cut in [-math.inf, *(x for x, _ in pairs)]:
        tp = sum(y == 1 and x > cut for x, y in pairs)
        wrong = sum((y == 1) != (x > cut) for x, y in pairs)
        best = max(best, 2 * tp / (2 * tp + wrong) if tp else 0.0)
    return best


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("num_images", [1, 2, 7, 60])
def test_no_cut_is_better(num_images, ties):
    logits = torch.randn(num_images, 30) * 3
    logits = logits.round() if ties else logits
    targets = torch.randint(-1, 2, (num_images, 30))
    thresholds = fit_thresholds(logits, targets)
    found = f1_per_label(logits, targets, thresholds)
    for c in range(30):
        if not (targets[:, c] == 1).any():
            assert thresholds[c] == 0 and found[c].isnan()
            continue
        known = targets[:, c] >= 0
        decided = logits[known, c].double() > thresholds[c]
        assert found[c] == pytest.approx(brute_force(logits[:, c], targets[:, c]), abs=1e-12)
        assert found[c] == pytest.approx(f1_score(targets[known, c], decided), abs=1e-12)


def test_blocks_of_labels_change_nothing(monkeypatch):
    logits, targets = torch.randn(20, 7), torch.randint(-1, 2, (20, 7))
    whole = fit_thresholds(logits, targets)
    monkeypatch.setattr(module, "BLOCK", 40)
    assert torch.equal(fit_thresholds(logits, targets), whole)


def test_the_highest_of_equally_good_cuts_halfway():
    logits = torch.tensor([[4.0], [2.0], [1.0], [0.0]])
    # predicting the first image and predicting all of them both give F1 = 2/3
    targets = torch.tensor([[1], [0], [0], [1]])
    assert fit_thresholds(logits, targets).tolist() == [3.0]


def test_everything_predicted_keeps_the_number_nearest_to_zero_below_all():
    assert fit_thresholds(torch.tensor([[3.0], [2.0]]), torch.ones(2, 1)).tolist() == [0.0]
    low = fit_thresholds(torch.tensor([[-3.0], [-2.0]]), torch.ones(2, 1))
    assert low.item() < -3 and low.item() == pytest.approx(-3)


def test_labels_without_a_positive_and_labels_never_known_keep_a_half():
    logits, targets = torch.randn(5, 2), torch.tensor([[0, -1]] * 5)
    assert fit_thresholds(logits, targets).sigmoid().tolist() == [0.5, 0.5]


def test_no_image_gives_a_half():
    assert fit_thresholds(torch.zeros(0, 3), torch.zeros(0, 3)).tolist() == [0, 0, 0]


def test_a_threshold_separates_adjacent_floating_point_numbers():
    low = torch.tensor(1.0, dtype=torch.float64)
    high = torch.nextafter(low, low + 1)
    logits, targets = torch.stack([high, low])[:, None], torch.tensor([[1], [0]])
    assert f1_per_label(logits, targets, fit_thresholds(logits, targets)).item() == 1


def test_a_threshold_separates_logits_whose_sigmoid_is_one():
    logits, targets = torch.tensor([[60.0], [50.0]]), torch.tensor([[1], [0]])
    assert logits.double().sigmoid().unique().numel() == 1
    assert f1_per_label(logits, targets, fit_thresholds(logits, targets)).item() == 1


def test_refusals():
    with pytest.raises(InputError, match="the shape of targets"):
        fit_thresholds(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(InputError, match="logits: expected finite"):
        fit_thresholds(torch.tensor([[float("nan")]]), torch.ones(1, 1))

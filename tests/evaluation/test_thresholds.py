"""Thresholds against every cut tried one by one, and scikit-learn's F1."""

import math

import pytest
import torch
from sklearn.metrics import f1_score

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import cross_fitted_f1, f1_per_label, fit_thresholds
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
    thresholds = fit_thresholds(logits, targets, min_positives=1)
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
    assert fit_thresholds(logits, targets, min_positives=1).tolist() == [3.0]


def test_everything_predicted_keeps_the_number_nearest_to_zero_below_all():
    assert fit_thresholds(torch.tensor([[3.0], [2.0]]), torch.ones(2, 1), min_positives=1).tolist() == [0.0]
    low = fit_thresholds(torch.tensor([[-3.0], [-2.0]]), torch.ones(2, 1), min_positives=1)
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
    assert f1_per_label(logits, targets, fit_thresholds(logits, targets, min_positives=1)).item() == 1


def test_a_threshold_separates_logits_whose_sigmoid_is_one():
    logits, targets = torch.tensor([[60.0], [50.0]]), torch.tensor([[1], [0]])
    assert logits.double().sigmoid().unique().numel() == 1
    assert f1_per_label(logits, targets, fit_thresholds(logits, targets, min_positives=1)).item() == 1


@pytest.mark.parametrize("positives", [1, 2, 3, 4])
@pytest.mark.parametrize("min_positives", [1, 2, 3, 5])
def test_labels_with_too_few_positives_keep_a_half(positives, min_positives):
    logits = torch.arange(10.0, 0, -1)[:, None]
    targets = (torch.arange(10) < positives).long()[:, None]
    fitted = fit_thresholds(logits, targets, min_positives=min_positives)
    assert (fitted.item() != 0) == (positives >= min_positives)


def test_three_positives_are_required_unless_stated_otherwise():
    logits, targets = torch.tensor([[5.0], [4.0], [3.0], [1.0]]), torch.tensor([[1], [1], [0], [0]])
    assert fit_thresholds(logits, targets).item() == 0
    more = torch.cat([targets, torch.ones(1, 1)]), torch.cat([logits, torch.tensor([[6.0]])])
    assert fit_thresholds(more[1], more[0]).item() == 3.5
    unknown = torch.cat([targets, -torch.ones(1, 1)])  # an unknown entry is no positive
    assert fit_thresholds(more[1], unknown).item() == 0


def cross_fitted_by_loops(logits, targets, min_positives, folds) -> float:
    """The cross-fitted F1 of one label, image by image in plain Python."""
    count = [0, 0]
    part = []
    for y in targets.tolist():
        part.append(count[y == 1] % folds)
        count[y == 1] += 1
    tp = wrong = 0
    for k in range(folds):
        train = [n for n, other in enumerate(part) if other != k and targets[n] >= 0]
        cut = 0.0
        if count[1] >= min_positives and any(targets[n] == 1 for n in train):
            cut = fit_thresholds(logits[train, None], targets[train, None], min_positives=1).item()
        for n in (n for n, own in enumerate(part) if own == k and targets[n] >= 0):
            said, present = logits[n].item() > cut, targets[n].item() == 1
            tp += said and present
            wrong += said != present
    return 2 * tp / (2 * tp + wrong) if count[1] else math.nan


@pytest.mark.parametrize("num_images, min_positives, folds", [(1, 1, 2), (6, 3, 5), (40, 3, 5), (41, 1, 7), (9, 2, 20)])
def test_cross_fitted_f1_by_loops(num_images, min_positives, folds, monkeypatch):
    logits, targets = torch.randn(num_images, 9) * 2, torch.randint(-1, 2, (num_images, 9))
    found = cross_fitted_f1(logits, targets, min_positives, folds)
    for c in range(9):
        expected = cross_fitted_by_loops(logits[:, c].double(), targets[:, c], min_positives, folds)
        assert found[c].item() == pytest.approx(expected, abs=1e-12, nan_ok=True)
    monkeypatch.setattr(module, "BLOCK", 2 * num_images)
    assert torch.equal(cross_fitted_f1(logits, targets, min_positives, folds).nan_to_num(), found.nan_to_num())


def test_thresholds_of_noise_promise_more_than_they_hold():
    torch.manual_seed(0)
    logits, targets = torch.randn(60, 200), (torch.rand(60, 200) < 0.1).long()
    targets[:3] = 1
    promised = f1_per_label(logits, targets, fit_thresholds(logits, targets)).mean()
    estimated = cross_fitted_f1(logits, targets).mean()
    new_logits, new_targets = torch.randn(60, 200), (torch.rand(60, 200) < 0.1).long()
    new_targets[:3] = 1
    kept = f1_per_label(new_logits, new_targets, fit_thresholds(logits, targets)).mean()
    assert abs(estimated - kept) < 0.05 < promised - estimated


def test_cross_fitted_f1_of_no_image():
    assert cross_fitted_f1(torch.zeros(0, 2), torch.zeros(0, 2)).isnan().all()


def test_refusals():
    with pytest.raises(InputError, match="the shape of targets"):
        fit_thresholds(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(InputError, match="logits: expected finite"):
        fit_thresholds(torch.tensor([[float("nan")]]), torch.ones(1, 1))
    with pytest.raises(InputError, match="min_positives: expected an integer ≥ 1, found 0"):
        fit_thresholds(torch.zeros(1, 1), torch.ones(1, 1), min_positives=0)
    with pytest.raises(InputError, match="folds: expected an integer ≥ 2, found 1"):
        cross_fitted_f1(torch.zeros(1, 1), torch.ones(1, 1), folds=1)
    with pytest.raises(InputError, match=r"thresholds: expected one logit per label, shape \(1,\), found shape \(2,\)"):
        f1_per_label(torch.zeros(1, 1), torch.ones(1, 1), torch.zeros(2))

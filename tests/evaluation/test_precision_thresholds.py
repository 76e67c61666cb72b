"""Thresholds for a wanted precision, against every cut tried one by one and scikit-learn's precision and recall."""

import math

import pytest
import torch
from sklearn.metrics import precision_score, recall_score

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import cross_fitted_precision, fit_precision_thresholds, precision_recall


def best_recall(logits, targets, wanted):
    """The highest recall of one label over all cuts with the precision, in plain Python; None if there is none."""
    pairs = [(x, y) for x, y in zip(logits.tolist(), targets.tolist(), strict=True) if y >= 0]
    positives, found = sum(y for _, y in pairs), []
    for cut in [-math.inf, *(x for x, _ in pairs)]:
        predicted = [y for x, y in pairs if x > cut]
        if sum(predicted) and sum(predicted) / len(predicted) >= wanted - 1e-12:
            found.append(sum(predicted) / positives)
    return max(found, default=None)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("wanted", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("num_images", [1, 7, 60])
def test_no_cut_with_the_precision_has_a_higher_recall(num_images, wanted, ties):
    torch.manual_seed(num_images)
    targets = torch.randint(-1, 2, (num_images, 30))
    logits = torch.randn(num_images, 30) * 2 + targets
    logits = logits.round() if ties else logits
    cuts = fit_precision_thresholds(logits, targets, wanted, min_positives=1)
    found = precision_recall(logits, targets, cuts)
    for c in range(30):
        best = best_recall(logits[:, c], targets[:, c], wanted)
        if best is None:
            assert cuts[c] == math.inf and found.precision[c].isnan()
            continue
        known = targets[:, c] >= 0
        decided, truth = logits[known, c].double() > cuts[c], targets[known, c]
        assert (
            found.precision[c] == pytest.approx(precision_score(truth, decided)) and found.precision[c] >= wanted - 1e-9
        )
        assert found.recall[c] == pytest.approx(recall_score(truth, decided)) == pytest.approx(best)


def test_nine_of_ten_reach_nine_tenths():
    logits, targets = torch.arange(10.0, 0, -1)[:, None], torch.tensor([[0]] + [[1]] * 9)
    found = precision_recall(logits, targets, fit_precision_thresholds(logits, targets, 0.9))
    assert found.precision == 0.9 and found.recall == 1


def test_labels_with_few_positives_are_never_predicted():
    logits, targets = torch.tensor([[3.0], [2.0], [-1.0]]), torch.tensor([[1], [1], [0]])
    assert fit_precision_thresholds(logits, targets, 0.5).tolist() == [math.inf]
    assert fit_precision_thresholds(logits, targets, 0.9, min_positives=2).tolist() == [0.5]
    found = cross_fitted_precision(logits, targets, 0.5)
    assert found.precision.isnan().all() and found.recall.tolist() == [0]


@pytest.mark.parametrize("targets", [torch.zeros(4, 2), torch.full((4, 2), -1), torch.zeros(0, 2)])
def test_without_positives_nothing_is_predicted(targets):
    logits = torch.zeros(targets.shape)
    assert fit_precision_thresholds(logits, targets, 0.9, min_positives=1).tolist() == [math.inf] * 2
    assert cross_fitted_precision(logits, targets, 0.9).recall.isnan().all()


def test_the_cross_fitted_precision_is_that_of_new_images():
    """Of a label whose logits say nothing, a small cut is precise by chance on the images of the fit only."""
    torch.manual_seed(0)
    targets = torch.randint(0, 2, (60, 200))
    logits = torch.randn(60, 200)
    cuts = fit_precision_thresholds(logits, targets, 0.9, min_positives=1)
    found = precision_recall(logits, targets, cuts)
    crossed = cross_fitted_precision(logits, targets, 0.9, min_positives=1)
    assert found.precision.nanmean() > 0.9 > 0.6 > crossed.precision.nanmean()


def test_wrong_arguments():
    for wanted in (0, 1.1, math.nan, "0.9"):
        with pytest.raises(InputError, match="precision"):
            fit_precision_thresholds(torch.zeros(1, 1), [[1]], wanted)
    with pytest.raises(InputError, match="folds"):
        cross_fitted_precision(torch.zeros(1, 1), [[1]], 0.9, folds=1)

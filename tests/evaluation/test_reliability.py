"""Reliability against tables worked by hand and scikit-learn's calibration curve."""

import pytest
import torch
from sklearn.calibration import calibration_curve

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import reliability


def logit(p):
    return torch.tensor(p, dtype=torch.float64).logit()


def test_a_table_worked_by_hand():
    logits = logit([[0.1, 0.9], [0.2, 0.9], [0.4, 0.6], [0.7, 0.3]])
    targets = [[0, 1], [0, 1], [1, 0], [1, -1]]
    found = reliability(logits, targets, bins=2)
    assert found.counts.tolist() == [3, 4]  # 0.1, 0.2, 0.4; 0.7, 0.9, 0.9, 0.6; 0.3 is unknown
    assert found.predicted.tolist() == pytest.approx([0.7 / 3, 3.1 / 4])
    assert found.observed.tolist() == pytest.approx([1 / 3, 3 / 4])
    assert found.ece.item() == pytest.approx((3 * (1 / 3 - 0.7 / 3) + 4 * (3.1 / 4 - 3 / 4)) / 7)
    assert found.edges.tolist() == [0, 0.5, 1]


def test_labels_of_their_own():
    logits = logit([[0.1, 0.9], [0.2, 0.9], [0.4, 0.6], [0.7, 0.3]])
    targets = torch.tensor([[0, 1], [0, 1], [1, 0], [1, -1]])
    found = reliability(logits, targets, bins=3, per_label=True)
    for c in range(2):
        alone = reliability(logits[:, [c]], targets[:, [c]], bins=3)
        for name in ("counts", "predicted", "observed", "ece"):
            assert torch.allclose(getattr(found, name)[c], getattr(alone, name), equal_nan=True)


def test_the_curve_of_scikit_learn():
    torch.manual_seed(0)
    logits, targets = torch.randn(500, 4) * 2, torch.randint(0, 2, (500, 4))
    found = reliability(logits, targets, bins=10)
    observed, predicted = calibration_curve(targets.flatten(), logits.double().sigmoid().flatten(), n_bins=10)
    filled = found.counts > 0
    assert found.observed[filled].tolist() == pytest.approx(observed)
    assert found.predicted[filled].tolist() == pytest.approx(predicted)


def test_certain_probabilities_are_in_the_outer_bins():
    found = reliability([[-900.0], [900.0]], [[0], [1]], bins=4)
    assert found.counts.tolist() == [1, 0, 0, 1] and found.ece == 0
    assert found.observed.isnan().tolist() == [False, True, True, False]


def test_nothing_known_has_no_error():
    for targets in (torch.full((3, 2), -1), torch.zeros(0, 2)):
        found = reliability(torch.zeros(len(targets), 2), targets, per_label=True)
        assert found.counts.sum() == 0 and found.ece.isnan().all() and found.ece.shape == (2,)
    assert reliability(torch.zeros(3, 2), torch.full((3, 2), -1)).ece.isnan()


def test_one_bin_compares_the_means():
    found = reliability(logit([[0.2], [0.4]]), [[1], [0]], bins=1)
    assert found.ece.item() == pytest.approx(0.5 - 0.3)


def test_no_bins_are_refused():
    with pytest.raises(InputError, match="bins"):
        reliability(torch.zeros(1, 1), [[1]], bins=0)

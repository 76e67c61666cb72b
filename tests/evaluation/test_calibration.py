"""Calibration against SciPy's general minimisers and scikit-learn's logistic regression."""

import inspect

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from sklearn.linear_model import LogisticRegression

from mlgcn_pyg.cli.calibrate import calibrate
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import (
    cross_fitted_calibration,
    fit_calibration,
    fit_temperature,
    mean_average_precision,
    reliability,
)
from mlgcn_pyg.evaluation.logistic import logistic_map


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, (800, 5))
    p = 1 / (1 + np.exp(-(logits * [0.5, 0.7, 0.3, 1.5, 0.6] + [0, 1, -1, 0.5, 0])))
    targets = (rng.random((800, 5)) < p).astype(int)
    targets[rng.random((800, 5)) < 0.1] = -1
    return logits, targets


def cross_entropy(logits, targets):
    known = targets >= 0
    return (np.logaddexp(0, logits) - np.maximum(targets, 0) * logits)[known].sum()


def test_the_temperature_is_that_of_a_general_minimiser(data):
    logits, targets = data
    best = minimize_scalar(lambda t: cross_entropy(logits / t, targets), bounds=(0.1, 10), method="bounded",
                           options={"xatol": 1e-9})  # fmt: skip
    assert fit_temperature(logits, targets) == pytest.approx(best.x, rel=1e-5)
    calibration = fit_calibration(logits, targets, "temperature")
    assert torch.allclose(calibration.scale, torch.full((5,), 1 / best.x, dtype=torch.float64), rtol=1e-5)
    assert not calibration.shift.any()


def test_platt_is_the_most_probable_scale_and_shift(data):
    logits, targets = data
    fitted, t = fit_calibration(logits, targets, "platt"), fit_temperature(logits, targets)
    for c in range(5):

        def loss(theta, c=c):
            z = (theta[0] * logits[:, c] + theta[1])[:, None]
            return cross_entropy(z, targets[:, [c]]) + ((theta[0] * t - 1) / 0.5) ** 2 / 2 + theta[1] ** 2 / 2

        best = minimize(loss, [1 / t, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).x
        assert [fitted.scale[c].item(), fitted.shift[c].item()] == pytest.approx(best, abs=1e-5)


def test_library_and_command_have_the_same_default(data):
    default = inspect.signature(calibrate).parameters["method"].default
    fitted, expected = fit_calibration(*data), fit_calibration(*data, default)
    assert torch.equal(fitted.scale, expected.scale) and torch.equal(fitted.shift, expected.shift)
    assert torch.equal(cross_fitted_calibration(*data), cross_fitted_calibration(*data, default))


def test_many_images_outweigh_the_prior(data):
    logits, targets = (np.tile(part, (50, 1)) for part in data)
    fitted = fit_calibration(logits, targets, "platt")
    for c in range(5):
        known = targets[:, c] >= 0
        free = LogisticRegression(C=np.inf, tol=1e-8).fit(logits[known][:, [c]], targets[known, c])
        assert fitted.scale[c].item() == pytest.approx(free.coef_.item(), abs=0.01)
        assert fitted.shift[c].item() == pytest.approx(free.intercept_.item(), abs=0.01)


def test_a_label_never_known_has_the_common_temperature(data):
    logits, targets = data[0], data[1].copy()
    targets[:, 2] = -1
    fitted = fit_calibration(logits, targets, "platt")
    assert fitted.scale[2].item() == pytest.approx(1 / fit_temperature(logits, targets)) and fitted.shift[2] == 0


def test_a_label_without_positives_is_less_probable_but_finite():
    torch.manual_seed(0)
    logits = torch.randn(200, 2)
    targets = torch.stack([(torch.rand(200) < logits[:, 0].sigmoid()).int(), torch.zeros(200)], 1)
    fitted = fit_calibration(logits, targets, "platt")
    assert fitted.shift.isfinite().all() and fitted.scale.isfinite().all() and fitted.shift[1] < -1


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_logits_that_rank_images_the_wrong_way_keep_their_order(method):
    torch.manual_seed(0)
    logits = torch.randn(2000, 2) * 3
    targets = torch.stack([logits[:, 0] > 0, logits[:, 1] < 0], 1).int()
    fitted = fit_calibration(logits, targets, method)
    assert (fitted.scale > 0).all()
    assert mean_average_precision(fitted(logits), targets) == mean_average_precision(logits, targets)


def test_separable_and_meaningless_logits_have_the_extreme_temperatures():
    logits = torch.tensor([[1.0], [-1.0]])
    assert fit_temperature(logits, [[1], [0]]) == pytest.approx(0.01)
    assert fit_temperature(logits, [[0], [1]]) == pytest.approx(100)
    assert fit_temperature(torch.zeros(2, 1), [[1], [0]]) == 1


def test_cross_fitting_uses_no_image_for_itself(data):
    logits, targets = data
    whole = fit_calibration(logits, targets, "platt")(torch.from_numpy(logits))
    crossed = cross_fitted_calibration(logits, targets, "platt", folds=4)
    assert crossed.shape == (800, 5) and 0 < (crossed - whole).abs().mean() < 0.1
    two = cross_fitted_calibration([[1.0], [2.0]], [[1], [0]], "temperature", folds=2)
    # the first image's scale is fitted to the second alone, whose logit 2 is wrong, and the other way round
    assert two.flatten().tolist() == pytest.approx([0.01 * 1.0, 100 * 2.0])


def test_calibration_lowers_the_error_on_other_images():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 4, (4000, 3))
    targets = rng.random((4000, 3)) < 1 / (1 + np.exp(-logits / 3 - [0, 1, -1]))
    fit, new = slice(0, 2000), slice(2000, None)
    errors = [
        reliability(fit_calibration(logits[fit], targets[fit], method)(torch.from_numpy(logits[new])), targets[new],
                    per_label=True).ece.mean()
        for method in ("temperature", "platt")
    ]  # fmt: skip
    before = reliability(logits[new], targets[new], per_label=True).ece.mean()
    assert errors[1] < errors[0] < before and errors[1] < 0.05


def test_thresholds_are_calibrated_as_logits():
    fitted = fit_calibration([[2.0], [2.0], [-2.0], [-2.0]], [[1], [0], [0], [0]], "platt")
    logits, threshold = torch.tensor([[1.0], [3.0]]), torch.tensor([2.0])
    assert ((fitted(logits) > fitted(threshold)) == (logits > threshold)).all()
    assert fitted(torch.tensor([torch.inf])) == torch.inf


@pytest.mark.parametrize("logits, targets, argument", [
    (torch.zeros(2, 1), torch.full((2, 1), -1), "targets"),
    (torch.zeros(0, 1), torch.zeros(0, 1), "targets"),
    (torch.full((2, 1), torch.nan), torch.zeros(2, 1), "logits"),
    (torch.zeros(2, 1), torch.zeros(2, 2), "logits"),
])  # fmt: skip
def test_wrong_arguments(logits, targets, argument):
    for fit in (fit_temperature, fit_calibration):
        with pytest.raises(InputError) as error:
            fit(logits, targets)
        assert error.value.argument == argument
    with pytest.raises(InputError, match="method"):
        fit_calibration(torch.zeros(1, 1), [[1]], "isotonic")
    with pytest.raises(InputError, match="at least two images"):
        cross_fitted_calibration([[1.0]], [[1]])
    with pytest.raises(InputError, match="folds"):
        cross_fitted_calibration([[1.0], [1.0]], [[1], [0]], folds=1)


def test_a_newton_step_that_is_too_long_is_halved():
    """Far from the solution, where the loss is almost linear, a full step overshoots by orders of magnitude."""
    x, y = np.array([[1.0], [1.0]]), np.array([1.0, 0.0])
    theta = logistic_map(np.array([30.0, 30.0]), x, y, np.array([1e-6]))
    assert theta[0] == pytest.approx(-30, abs=1e-3)  # P = 1/2 for both

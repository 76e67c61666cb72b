r"""Calibration: logits whose probabilities are as frequent as they say.

A calibrated logit is :math:`a_c z_c + b_c`. With ``method="temperature"`` all labels have :math:`a_c = 1/T` and
:math:`b_c = 0` (Guo et al., On Calibration of Modern Neural Networks, ICML 2017, https://arxiv.org/abs/1706.04599).
With ``method="platt"`` each label has its own numbers (Platt, Probabilistic Outputs for Support Vector Machines, 1999),
with a Gaussian prior around those of the common temperature, so that few images do not decide: :math:`T a_c` has the
standard deviation 0.5 around 1, and :math:`b_c` the standard deviation 1 around 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import expit
from torch import Tensor

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation.inputs import check_scores
from mlgcn_pyg.evaluation.logistic import Floats, logistic_map
from mlgcn_pyg.evaluation.parts import fitted_parts

METHODS = ("platt", "temperature")
HOTTEST = 100.0  # the largest temperature, and the reciprocal of the smallest
PRECISION = (1 / 0.5**2, 1.0)  # of T·a_c − 1 and b_c
FLATTEST = 0.1  # the smallest T·a_c: the order of the images of a label never changes


@dataclass(frozen=True, eq=False)
class Calibration:
    """An increasing affine function of the logits of each label.

    Attributes:
        scale: a (C,) float64, > 0.
        shift: b (C,) float64.
    """

    scale: Tensor
    shift: Tensor

    def __call__(self, logits: Tensor) -> Tensor:
        """Returns the calibrated logits (…, C), float64, also of thresholds (C,).

        >>> Calibration(torch.tensor([2.0]), torch.tensor([-1.0]))(torch.tensor([[3.0]]))
        tensor([[5.]], dtype=torch.float64)
        """
        return logits.double() * self.scale.double().to(logits.device) + self.shift.double().to(logits.device)


def fit_temperature(logits: Any, targets: Any) -> float:
    """Returns the temperature T for which the logits, divided by T, have the smallest cross entropy.

    T > 1 if the logits are overconfident. It is between 0.01 and 100; these are the values for logits that separate all
    positives from all negatives at 0, and for logits that say nothing.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, or no target is known.

    >>> logits = torch.tensor([[2.0], [2.0], [2.0], [2.0]])
    >>> round(fit_temperature(logits, [[1], [1], [1], [0]]), 4)  # P is to be 3/4: log(3) = 2 / T
    1.8205
    """
    logits, targets = check_scores(logits, targets)
    _check_known(targets)
    return 1 / common_scale(logits.double().cpu().numpy(), targets.cpu().numpy())


def fit_calibration(logits: Any, targets: Any, method: str = "platt") -> Calibration:
    """Fits a calibration to logits of images that the head was not trained on.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        method: ``"platt"`` for a scale and a shift of each label, which are close to the common temperature for labels
            with few images, or ``"temperature"`` for one temperature.

    Raises:
        InputError: if ``method`` is unknown, shapes differ, logits are not finite, targets have other values, or no
            target is known.

    >>> fit_calibration(torch.tensor([[2.0], [2.0], [2.0], [2.0]]), [[1], [1], [1], [0]], "temperature").scale
    tensor([0.5493], dtype=torch.float64)
    """
    check_choice("method", method, METHODS)
    logits, targets = check_scores(logits, targets)
    _check_known(targets)
    return _calibration(logits.double().cpu().numpy(), targets.cpu().numpy(), method)


def cross_fitted_calibration(
    logits: Any, targets: Any, method: str = "platt", *, folds: int = 5, seed: int = 0
) -> Tensor:
    """Returns calibrated logits (N, C) float64: those of each fold by a calibration that is fitted to the other folds.

    Their :func:`~mlgcn_pyg.evaluation.reliability` estimates that of calibrated logits of new images.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        method: as in :func:`fit_calibration`.
        folds: the number of folds, ≥ 2; at most the number of images.
        seed: the seed of the folds.

    Raises:
        InputError: as :func:`fit_calibration`, or if ``folds`` < 2 or there are fewer than two images.
    """
    check_choice("method", method, METHODS)
    logits, targets = check_scores(logits, targets)
    _check_known(targets)
    if len(logits) < 2:
        raise InputError("logits", "at least two images", len(logits))
    z, y = logits.double().cpu().numpy(), targets.cpu().numpy()
    out = np.empty_like(z)
    for part in fitted_parts(targets.cpu(), folds, seed):
        fitted = _calibration(z[part.fitted], y[part.fitted], method)
        out[part.held_out] = z[part.held_out] * fitted.scale.numpy() + fitted.shift.numpy()
    return torch.from_numpy(out)


def common_scale(logits: Floats, targets: np.ndarray) -> float:
    """Returns 1/T of known targets, in [1/HOTTEST, HOTTEST]; 1 if there are none."""
    known = targets >= 0
    z, y = logits[known], targets[known]

    def slope(scale: float) -> float:  # increases with the scale
        return float(z @ (expit(scale * z) - y))

    if not z.any():
        return 1.0
    if slope(1 / HOTTEST) >= 0:
        return 1 / HOTTEST
    return HOTTEST if slope(HOTTEST) <= 0 else float(brentq(slope, 1 / HOTTEST, HOTTEST, xtol=1e-10))


def _calibration(logits: Floats, targets: np.ndarray, method: str) -> Calibration:
    common, num_labels = common_scale(logits, targets), logits.shape[1]
    scale, shift = np.full(num_labels, common), np.zeros(num_labels)
    if method == "platt":
        for c in range(num_labels):
            known = targets[:, c] >= 0
            scale[c], shift[c] = _platt(common * logits[known, c], targets[known, c].astype(np.float64))
        scale *= common
    return Calibration(torch.from_numpy(scale), torch.from_numpy(shift))


def _platt(z: Floats, present: Floats) -> Floats:
    """Returns the scale and the shift of one label, of logits that are divided by the common temperature."""
    change, shift = logistic_map(z, np.stack([z, np.ones_like(z)], 1), present, np.array(PRECISION))
    if change >= FLATTEST - 1:
        return np.array([1 + change, shift])
    (shift,) = logistic_map(FLATTEST * z, np.ones((len(z), 1)), present, np.array(PRECISION[1:]))
    return np.array([FLATTEST, shift])


def _check_known(targets: Tensor) -> None:
    if not bool((targets >= 0).any()):
        raise InputError("targets", "at least one known target", "none among " + str(tuple(targets.shape)))

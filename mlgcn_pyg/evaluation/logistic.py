"""Logistic regression with a Gaussian prior, which calibration and the audit of labels share."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from mlgcn_pyg.seeding import one_thread

Floats = NDArray[np.float64]
MOST_STEPS = 50
CONVERGED = 1e-12  # twice the decrease that a Newton step predicts


def logistic_map(
    offset: Floats, features: Floats, present: Floats, precision: Floats, start: Floats | None = None
) -> Floats:
    r"""Returns the most probable weights (K,) of a logistic regression with a Gaussian prior around 0.

    .. math:: \min_\theta \; \sum_n \bigl(\log(1 + e^{z_n}) - y_n z_n\bigr) + \tfrac12 \sum_k \lambda_k \theta_k^2,
        \qquad z_n = o_n + \mathbf{x}_n^\top \theta

    The problem is strictly convex. It is solved by Newton's method with halved steps where the value would increase.

    Args:
        offset: o (N,).
        features: x (N, K).
        present: y (N,) in {0, 1}.
        precision: λ (K,) > 0, the reciprocal variances of the prior.
        start: (K,) weights that the steps start from; default: 0.

    >>> theta = logistic_map(np.zeros(4), np.ones((4, 1)), np.array([1.0, 1, 1, 0]), np.array([1e-9]))
    >>> round(float(theta[0]), 6), round(float(np.log(3)), 6)  # the log odds
    (1.098612, 1.098612)
    """
    theta = np.zeros(features.shape[1]) if start is None else start
    value = _value(offset, features, present, precision, theta)
    x = torch.from_numpy(features)
    for _ in range(MOST_STEPS):
        p = expit(offset + features @ theta)
        gradient = features.T @ (p - present) + precision * theta
        hessian = _weighted_products(x, p * (1 - p)) + np.diag(precision)
        step = np.linalg.solve(hessian, gradient)
        if gradient @ step <= CONVERGED * (1 + abs(value)):
            return theta - step
        length = 1.0
        while (new := _value(offset, features, present, precision, theta - length * step)) > value and length > 1e-9:
            length /= 2
        theta, value = theta - length * step, new
    return theta


def _weighted_products(x: torch.Tensor, weights: Floats) -> Floats:
    """Returns Σ w_n x_n x_nᵀ (K, K), with one thread: NumPy's threads slow each other down in small products."""
    with one_thread():
        products: Floats = (x.T @ (x * torch.from_numpy(weights)[:, None])).numpy()
    return products


def _value(offset: Floats, features: Floats, present: Floats, precision: Floats, theta: Floats) -> float:
    z = offset + features @ theta
    return float((np.logaddexp(0, z) - present * z).sum() + (precision * theta**2).sum() / 2)

"""The solver of convex problems agrees with scikit-learn, SciPy and finite differences."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.training.heads.exact.lbfgs import gradient_at, losses, minimise
from mlgcn_pyg.training.heads.exact.preconditioner import Preconditioner, feature_spectrum, spectrum
from mlgcn_pyg.training.heads.exact.problem import Task, make_problem
from mlgcn_pyg.training.heads.exact.table import FeatureTable


def data(num_images=60, num_features=7, num_labels=4, unknown=0.0, seed=0, views=None):
    g = torch.Generator().manual_seed(seed)
    shape = (num_images, num_features) if views is None else (num_images, views, num_features)
    x = (
        torch.randn(shape, generator=g, dtype=torch.float64)
        @ torch.randn(num_features, num_features, generator=g).double()
    )
    w = torch.randn(num_features, num_labels, generator=g, dtype=torch.float64)
    z = (x if views is None else x.mean(1)) @ w / 3 - 1
    y = (torch.rand(z.shape, generator=g) < z.sigmoid()).to(torch.int8)
    y[torch.rand(z.shape, generator=g) < unknown] = -1
    return x, y


def table_of(x, y, dtype=torch.float64):
    mean, std = x.flatten(0, -2).mean(0), x.flatten(0, -2).std(0, unbiased=False)
    return FeatureTable(ResidentRows(x, y), mean, torch.where(std > 0, 1 / std, 0.0), dtype)


def strength(value, num_labels=4):
    return torch.full((num_labels,), float(value), dtype=torch.float64)


def solve(table, tasks, tolerance=1e-9, problem=None):
    problem = problem or make_problem(table, tasks)
    return problem, minimise(problem, feature_spectrum(table), problem.start(), tolerance)


def value(problem, theta):
    return losses(problem, problem.logits(theta), theta).sum()


def operator(num_labels, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.eye(num_labels).double() + 0.3 * torch.randn(num_labels, num_labels, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("c", [0.1, 1.0, 100.0])
def test_a_linear_head_is_that_of_scikit_learn(c):
    x, y = data()
    _, solution = solve(table_of(x, y), [Task(None, strength(c))])
    standardised = ((x - x.mean(0)) / x.std(0, unbiased=False)).numpy()
    for label in range(4):
        peer = LogisticRegression(C=1 / c, tol=1e-10, max_iter=10_000).fit(standardised, y[:, label].numpy())
        expected = np.concatenate([peer.coef_[0], peer.intercept_])
        assert np.abs(solution.theta[label].numpy() - expected).max() < 1e-5
    assert solution.gradient.max() <= 1e-9


def objective(flat, x, y, s, c, positive):
    """The problem as the docstring states it, for SciPy."""
    n, num_labels = y.shape
    theta = flat.reshape(num_labels, -1)
    v, b = theta[:, :-1], theta[:, -1]
    z = x @ (s @ v).T + b
    known = (y >= 0) & ((y == 1).any(0) & (y == 0).any(0))
    terms = np.where(y == 1, positive * np.logaddexp(0, -z), np.logaddexp(0, z))
    return (terms * known).sum() / n + 0.5 * c / n * (v**2).sum()


@pytest.mark.parametrize("unknown", [0.0, 0.4])
@pytest.mark.parametrize("sharing", [False, True, "sparse"])
def test_any_head_is_that_of_a_general_optimiser(unknown, sharing):
    x, y = data(unknown=unknown)
    y[:, 3] = torch.where(y[:, 3] == 1, 0, y[:, 3])  # a label without a positive
    s = operator(4) if sharing else torch.eye(4).double()
    positive = torch.tensor([1.0, 2.5, 1.0, 3.0]).double()
    table = table_of(x, y)
    given = None if not sharing else s.to_sparse() if sharing == "sparse" else s
    problem, solution = solve(table, [Task(given, strength(2.0), pos_weight=positive)])
    standardised = ((x - x.mean(0)) / x.std(0, unbiased=False)).numpy()
    arguments = (standardised, y.numpy(), s.numpy(), 2.0, positive.numpy())
    start = problem.start().numpy().ravel()
    peer = minimize(
        objective, start, arguments, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-8}
    )
    ours = objective(solution.theta.numpy().ravel(), *arguments)
    assert ours <= peer.fun + 1e-9
    assert np.abs(solution.theta.numpy().ravel() - peer.x).max() < 2e-3
    assert float(value(problem, solution.theta)) == pytest.approx(ours, rel=1e-9)
    # the gradient is 0 in the objective as stated
    for k in range(0, len(start), 5):
        step = np.zeros_like(start)
        step[k] = 1e-5
        up, down = (objective(solution.theta.numpy().ravel() + sign * step, *arguments) for sign in (1, -1))
        assert abs(up - down) / 2e-5 < 1e-7


def test_the_gradient_is_that_of_finite_differences():
    x, y = data(unknown=0.2, views=2)
    y[:, 0] = 0
    images = torch.arange(60) % 3 != 0
    table = table_of(x, y)
    tasks = [Task(operator(4), strength(3.0), images, torch.tensor([1.0, 2.0, 1.0, 1.0])), Task(None, strength(1.0))]
    problem = make_problem(table, tasks)
    theta = problem.start() + 0.1 * torch.randn(8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradient = gradient_at(problem, theta)
    for row in range(8):
        for column in range(8):
            step = torch.zeros_like(theta)
            step[row, column] = 1e-6
            slope = (value(problem, theta + step) - value(problem, theta - step)) / 2e-6
            assert float(slope) == pytest.approx(float(gradient[row, column]), abs=1e-7)


def test_a_label_without_positives_or_negatives_keeps_its_log_odds():
    x, y = data()
    y[:, 0], y[:, 1] = 0, 1
    y[:, 2] = -1
    problem, solution = solve(table_of(x, y), [Task(None, strength(1.0))])
    assert torch.equal(solution.theta[:3], problem.start()[:3])
    assert solution.theta[:3, -1].tolist() == pytest.approx([np.log(0.5 / 60.5), np.log(60.5 / 0.5), 0.0])
    _, shared = solve(table_of(x, y), [Task(operator(4), strength(1.0))])
    assert shared.theta[:3, :-1].abs().max() > 0.01 and torch.equal(shared.theta[:3, -1], problem.start()[:3, -1])


def test_the_company_of_other_tasks_changes_nothing():
    x, y = data(num_images=90, unknown=0.1)
    table = table_of(x, y)
    images = torch.arange(90) % 3 > 0
    tasks = [
        Task(None, strength(0.3)),
        Task(operator(4), strength(30.0), images),
        Task(None, torch.tensor([0.1, 1.0, 10.0, 1000.0]), images),
        Task(operator(4, seed=2), strength(1.0)),
    ]
    _, together = solve(table, tasks)
    for k, task in enumerate(tasks):
        _, alone = solve(table, [task])
        assert (together.theta[4 * k : 4 * k + 4] - alone.theta).abs().max() < 1e-7


def test_images_that_are_left_out_do_not_count():
    x, y = data(num_images=80)
    images = torch.arange(80) % 4 != 1
    _, part = solve(table_of(x, y), [Task(None, strength(2.0), images)])
    _, alone = solve(table_of(x[images], y[images]), [Task(None, strength(2.0))])
    scale = x.std(0, unbiased=False) / x[images].std(0, unbiased=False)
    assert (part.theta - alone.theta).abs().max() < 1e-7 and scale.max() != 1  # both standardise their images


@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize("factor", [1.0, 100.0, 1e-4])
def test_scaled_and_shifted_features_give_the_same_logits(factor, shift):
    x, y = data()
    logits = []
    for features in (x, factor * (x + shift)):
        problem, solution = solve(table_of(features, y), [Task(None, strength(1.0))])
        logits.append(problem.logits(solution.theta))
    assert (logits[0] - logits[1]).abs().max() < 1e-6


def test_single_precision_and_streamed_products_agree(monkeypatch):
    x, y = data(num_images=300, views=2)
    expected = solve(table_of(x, y), [Task(operator(4), strength(5.0))])[1].theta
    monkeypatch.setattr(FeatureTable, "_free", lambda self: 0)
    tasks = [Task(operator(4), strength(5.0))]
    assert (solve(table_of(x, y), tasks)[1].theta - expected).abs().max() < 1e-8
    single = solve(table_of(x, y, torch.float32), [Task(operator(4).float(), strength(5.0))], tolerance=1e-5)[1]
    assert single.gradient.max() <= 1e-5 and (single.theta - expected).abs().max() < 1e-3


def test_one_image_and_one_label():
    x, y = torch.ones(1, 3).double(), torch.ones(1, 1, dtype=torch.int8)
    problem, solution = solve(table_of(x, y), [Task(None, strength(1.0, 1))])
    assert solution.theta.tolist() == [[0.0, 0.0, 0.0, pytest.approx(np.log(3))]]


def test_wide_features_are_solved_without_their_spectrum(monkeypatch):
    x, y = data()
    expected = solve(table_of(x, y), [Task(None, strength(1.0))])[1].theta
    monkeypatch.setattr("mlgcn_pyg.training.heads.exact.preconditioner.LARGEST", 3)
    assert (solve(table_of(x, y), [Task(None, strength(1.0))])[1].theta - expected).abs().max() < 1e-7


@pytest.mark.parametrize("sharing", [False, True])
def test_a_spectrum_of_few_rows_gives_the_same_inverse_as_that_of_all_features(sharing):
    x, y = data(num_images=10, num_features=30)
    table = table_of(x, y)
    problem = make_problem(table, [Task(operator(4) if sharing else None, strength(3.0))])
    few, whole = feature_spectrum(table), spectrum(table.gram(10))
    assert few.vectors.shape == (30, 9) and whole.vectors.shape == (30, 30)  # the rows are centred
    gradient = torch.randn(4, 31, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = Preconditioner(problem, whole)(gradient.clone())
    assert torch.allclose(Preconditioner(problem, few)(gradient), expected, rtol=1e-9, atol=1e-11)
    _, found = solve(table, problem.tasks)
    assert found.gradient.max() <= 1e-9


def test_features_that_are_constant_have_no_direction():
    table = table_of(torch.ones(3, 5, dtype=torch.float64), data(num_images=3)[1])
    assert feature_spectrum(table).vectors.shape == (5, 0)
    _, solution = solve(table, [Task(None, strength(1.0))])
    assert not solution.theta[:, :-1].any()

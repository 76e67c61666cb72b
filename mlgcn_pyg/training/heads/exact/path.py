"""Fits for a path of decreasing λ, and their scores on images that were left out."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mlgcn_pyg.training.heads.exact.lbfgs import MEMORY, minimise
from mlgcn_pyg.training.heads.exact.preconditioner import Spectrum
from mlgcn_pyg.training.heads.exact.problem import Problem
from mlgcn_pyg.training.heads.exact.scoring import Scorer, Scores
from mlgcn_pyg.training.history import Record

# λ·n as multiples of D/4, for which the logits have a prior standard deviation of 2; measured best values lie between
# 0.1 and 3
STRENGTHS = tuple(10 ** (k / 2) for k in range(3, -6, -1))
USUAL = 1.0  # if no image can be left out
MEASURED = 1e-3  # tolerance of fits that are only scored: at 1e-5, the mAP differs by less than 0.0005
MEMORY_BYTES = 1 << 31  # of logits and L-BFGS pairs at a time


class StrengthPath:
    """Fits of the same tasks for a sequence of λ·n. Each starts at the result of the last.

    Args:
        problem: the tasks.
        features: the spectrum of E[x xᵀ].
        scorer: scores the fits on images that were left out.
        strengths: the values of λ·n, largest first.

    Attributes:
        theta: (K, D + 1) the last fit.
        scores: the scores for each strength so far.
    """

    def __init__(self, problem: Problem, features: Spectrum, scorer: Scorer, strengths: Sequence[float]):
        self.problem, self.features, self.scorer, self.strengths = problem, features, scorer, strengths
        self.theta = problem.start()
        self.scores: list[Scores] = []

    def advance(self, report: Callable[[int, float], None] | None = None) -> None:
        """Fits and scores the tasks for the next strength; ``report`` is that of :func:`minimise`."""
        problem = self.problem.at(torch.full_like(self.problem.columns.l2, self.strengths[len(self.scores)]))
        theta, scores = self.theta.clone(), self.scorer.empty_scores()
        for kept in groups(problem):
            part = problem.restricted(kept)
            theta[kept] = minimise(part, self.features, theta[kept], MEASURED, report).theta
            self.scorer.add(scores, part, theta[kept], kept)
        self.theta = theta
        self.scores.append(scores)


def groups(problem: Problem) -> list[Tensor]:
    """Returns the numbers of the columns in groups of whole units whose fits need about :data:`MEMORY_BYTES`."""
    table = problem.table
    bytes_each = table.dtype.itemsize * (4 * table.num_rows + (2 * MEMORY + 6) * table.num_features)
    size = max(1, MEMORY_BYTES // bytes_each)
    _, unit = problem.columns.unit.unique(return_inverse=True)
    first = torch.zeros(int(unit.max()) + 1 if len(unit) else 0, dtype=torch.int64, device=unit.device)
    first.scatter_reduce_(0, unit, torch.arange(len(unit), device=unit.device), "amin", include_self=False)
    group = first[unit] // size  # of the first column of each unit
    return [(group == number).nonzero().squeeze(1) for number in group.unique()]


def minimise_all(
    problem: Problem, features: Spectrum, tolerance: float, report: Callable[[int, float], None] | None = None
) -> tuple[Tensor, list[list[Record]]]:
    """Minimises a problem from its start, group by group.

    Returns:
        θ (K, D + 1), and for each task a record per iteration: ``iteration``, ``loss``, the mean over the labels, and
        ``gradient``, the largest norm of the gradient of a unit, relative to that at V = 0.
    """
    theta, traces = problem.start(), []
    for kept in groups(problem):
        solution = minimise(problem.restricted(kept), features, theta[kept], tolerance, report, traced=True)
        theta[kept] = solution.theta
        traces.append(torch.stack(solution.trace))  # (iterations, 2, columns)
    longest = max(map(len, traces), default=0)
    trace = torch.cat([torch.cat([t, t[-1:].expand(longest - len(t), -1, -1)]) for t in traces], dim=2)
    order = torch.cat(groups(problem)).argsort()
    return theta, [_records(trace[:, :, order][:, :, span]) for _, span in problem.spans]


def _records(trace: Tensor) -> list[Record]:
    """Returns the records of a task from (iterations, 2, C) the gradients and losses of its columns."""
    gradients, loss = trace[:, 0].amax(1).tolist(), trace[:, 1].mean(1).tolist()
    return [
        {"iteration": n, "loss": value, "gradient": gradient}
        for n, (value, gradient) in enumerate(zip(loss, gradients, strict=True))
    ]

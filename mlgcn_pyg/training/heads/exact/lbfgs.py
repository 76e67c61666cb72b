"""L-BFGS for many convex problems at a time, each with its own step lengths and its own end."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlgcn_pyg.training.heads.exact.preconditioner import Preconditioner, Spectrum
from mlgcn_pyg.training.heads.exact.problem import Problem

MEMORY = 10  # pairs of steps and changes of the gradient
MOST_ITERATIONS = 1000
MOST_TRIALS = 25  # step lengths per iteration
SUFFICIENT, CURVATURE = 0.8, 0.9  # a step may end where the slope is within [−0.9, 0.8] times that at its start
COMPACT = 0.7  # the share of running columns at which the others are removed from the products


@dataclass
class Solution:
    """A minimum.

    Attributes:
        theta: (K, D + 1).
        gradient: (K,) the norm of the gradient of each column's unit, divided by that at V = 0.
        iterations: (K,) the number of iterations of each column's unit.
        trace: if it was requested, (2, K) for each iteration: the relative norm of the gradient of each column's unit,
            and the part of each column in the loss.
    """

    theta: Tensor
    gradient: Tensor
    iterations: Tensor
    trace: list[Tensor] = field(default_factory=list)


def minimise(
    problem: Problem,
    features: Spectrum,
    theta: Tensor,
    tolerance: float,
    report: Callable[[int, float], None] | None = None,
    *,
    traced: bool = False,
) -> Solution:
    """Minimises from ``theta`` until the gradient of each unit is at most ``tolerance`` times that at V = 0.

    A unit that cannot progress in the precision of the table ends as well, and its gradient tells so.

    Args:
        problem: the problem.
        features: the spectrum of E[x xᵀ].
        theta: (K, D + 1) the first iterate.
        tolerance: the relative norm of the gradient at which a unit ends.
        report: a function that is called in each iteration with its number and the largest relative norm of a
            gradient.
        traced: whether to record the trace.
    """
    loss = torch.zeros_like(theta[:, 0])
    solution = Solution(theta.clone(), torch.full_like(theta[:, 0], torch.inf), torch.zeros_like(theta[:, 0]))
    numbers = torch.arange(len(theta), device=theta.device)
    search = Search(problem, features, theta)
    for iteration in range(MOST_ITERATIONS + 1):
        relative = search.relative_gradient()
        solution.theta[numbers], solution.gradient[numbers] = search.theta, relative
        running = (relative > tolerance) & ~search.stuck
        solution.iterations[numbers[running]] = iteration + 1.0
        if traced:
            loss[numbers] = losses(search.problem, search.logits, search.theta)
            solution.trace.append(torch.stack([solution.gradient, loss]))
        if report:
            report(iteration, float(solution.gradient.max()))
        if not running.any() or iteration == MOST_ITERATIONS:
            break
        if running.sum() < COMPACT * len(running):
            kept = running.nonzero().squeeze(1)
            numbers, running = numbers[kept], running[kept]
            search.restrict(kept)
        search.advance(running)
    return solution


class Search:
    """The state of the search: iterates, gradients and the L-BFGS pairs.

    Args:
        problem: the problem.
        features: the spectrum of E[x xᵀ].
        theta: (K, D + 1) the first iterate.
    """

    def __init__(self, problem: Problem, features: Spectrum, theta: Tensor):
        self.problem, self.features, self.theta = problem, features, theta.clone()
        self.precondition = Preconditioner(problem, features)
        self.reference = self.per_unit(gradient_at(problem, problem.start()).square().sum(1))
        self.logits = problem.logits(self.theta)
        self.gradient = problem.gradient(residuals(problem, self.logits)[0], self.theta)
        self.steps: list[Tensor] = []
        self.changes: list[Tensor] = []
        self.stuck = torch.zeros_like(problem.columns.active, dtype=torch.bool)

    def per_unit(self, values: Tensor) -> Tensor:
        """Returns (K,) for each column the sum of ``values`` (K,) over its unit."""
        _, unit = self.problem.columns.unit.unique(return_inverse=True)
        return torch.zeros_like(values).index_add_(0, unit, values)[unit]

    def relative_gradient(self) -> Tensor:
        """Returns (K,) the norm of the gradient of each unit, divided by that at V = 0."""
        squares = self.per_unit(self.gradient.square().sum(1))
        return (squares / self.reference.clamp(min=torch.finfo(squares.dtype).tiny)).sqrt()

    def restrict(self, kept: Tensor) -> None:
        """Continues with some columns only."""
        self.problem = self.problem.restricted(kept)
        self.precondition = Preconditioner(self.problem, self.features)
        for name in ("theta", "gradient", "logits", "reference", "stuck"):
            setattr(self, name, getattr(self, name)[kept])
        self.steps = [step[kept] for step in self.steps]
        self.changes = [change[kept] for change in self.changes]

    def advance(self, running: Tensor) -> None:
        """Takes one step in the columns that are ``running`` (K,)."""
        direction = self.direction() * running.unsqueeze(1)
        change = self.problem.logits(direction)
        length, residual = self.step_length(direction, change)
        step = direction.mul_(length.unsqueeze(1))
        self.theta += step
        self.logits.addcmul_(change, length.unsqueeze(1))
        gradient = self.problem.gradient(residual, self.theta)
        self.steps.append(step)
        self.changes.append(gradient - self.gradient)
        del self.steps[:-MEMORY], self.changes[:-MEMORY]
        self.gradient = gradient

    def direction(self) -> Tensor:
        """Returns the negative product of the L-BFGS approximation of the inverse Hessian with the gradient."""
        v, pairs = -self.gradient, []
        for step, change in zip(reversed(self.steps), reversed(self.changes), strict=True):
            product = self.per_unit((step * change).sum(1))
            inverse = torch.where(product > 0, 1 / product, 0.0)
            share = inverse * self.per_unit((step * v).sum(1))
            v.addcmul_(change, share.unsqueeze(1), value=-1)
            pairs.append((step, change, inverse, share))
        v = self.precondition(v)
        for step, change, inverse, share in reversed(pairs):
            v.addcmul_(step, (share - inverse * self.per_unit((change * v).sum(1))).unsqueeze(1))
        return v

    def step_length(self, direction: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the step length (K,) of each unit, and the residuals (K, R) after the step.

        The loss is convex, so its slope increases along the step and a slope of nearly 0 is sought. Slopes are
        accurate where differences of losses are lost to rounding.

        Args:
            direction: (K, D + 1).
            change: (K, R) the change of the logits for a step length of 1.
        """
        columns, v = self.problem.columns, direction[:, :-1]
        start = self.per_unit((self.gradient * direction).sum(1))
        constant = columns.l2 * (self.theta[:, :-1] * v).sum(1)
        linear = columns.l2 * v.square().sum(1)
        length, lower, upper = torch.ones_like(start), torch.zeros_like(start), torch.full_like(start, torch.inf)
        for _ in range(MOST_TRIALS):
            residual, data = residuals(self.problem, self.logits, change, length)
            slope = self.per_unit(data + constant + length * linear)
            too_long, too_short = slope > -SUFFICIENT * start, slope < CURVATURE * start
            if not (too_long | too_short).any():
                break
            upper, lower = torch.where(too_long, length, upper), torch.where(too_short, length, lower)
            root = (length * start / (start - slope)).nan_to_num(torch.inf)  # of the line through both slopes
            inside = root.minimum(10 * length).clamp(lower + 0.05 * (upper - lower).nan_to_num(posinf=1.0), upper)
            length = torch.where(too_long | too_short, inside, length)
        self.stuck |= too_long | too_short
        return length, residual


def residuals(
    problem: Problem, logits: Tensor, change: Tensor | None = None, length: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Returns the derivatives (K, R) of the loss by the logits, and its slope (K,) along ``change``.

    Args:
        problem: the problem.
        logits: (K, R).
        change: (K, R) a direction of the logits; None for a slope of 0.
        length: (K,) the multiple of ``change`` that is added to the logits.
    """
    out, slope = torch.empty_like(logits), torch.zeros_like(logits[:, 0])
    for piece in problem.pieces:
        rows = slice(int(piece[0]), int(piece[-1]) + 1)
        omega, present = problem.row_weights(piece)
        z = logits[rows]
        if change is not None and length is not None:
            z = torch.addcmul(z, change[rows], length[rows].unsqueeze(1))
        torch.sigmoid(z, out=out[rows]).sub_(present).mul_(omega)
        if change is not None:
            slope[rows] = (out[rows] * change[rows]).sum(1)
    return out, slope


def gradient_at(problem: Problem, theta: Tensor) -> Tensor:
    """Returns the gradient (K, D + 1) at ``theta``."""
    return problem.gradient(residuals(problem, problem.logits(theta))[0], theta)


def losses(problem: Problem, logits: Tensor, theta: Tensor) -> Tensor:
    """Returns (K,) the part of each column in the value of its problem, for the logits (K, R) of ``theta``."""
    columns = problem.columns
    out = columns.l2 * theta[:, :-1].square().sum(1) / 2
    for piece in problem.pieces:
        omega, present = problem.row_weights(piece)
        z = logits[piece]
        out[piece] += (omega * (torch.nn.functional.softplus(z) - present * z)).sum(1)
    return out

r"""The convex problems that the exact solver minimises, many at a time.

A head with a fixed label operator S (C, C) has the logits :math:`z_i = S V \tilde{x}_i + b`. Its problem is

.. math::
    \min_{V, b} \; \frac{1}{n} \sum_{i, c \text{ known}} \omega_{ic} \bigl(\log(1 + e^{z_{ic}}) - y_{ic} z_{ic}\bigr)
    + \frac{\lambda}{2} \lVert V \rVert_F^2

over n images, known or not. The weight :math:`\omega` is ``pos_weight`` for positives, and 1 otherwise. If S = I, which
is the linear head, the labels do not depend on each other: each of them is a *unit* with its own steps and its own end.
Any other head is one unit.

The parameters of all tasks form one matrix θ (K, D + 1) with one row per label of each task: V, and b in the last
place. The labels of all tasks are called *columns*, as they are the columns of the logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlgcn_pyg.training.heads.exact.table import FeatureTable

CACHED = 1 << 18  # logits that are processed at a time on a CPU, so that they stay in its cache


@dataclass
class Task:
    """The problem of one head.

    Attributes:
        operator: S (C, C), dense or sparse COO; None for the identity.
        strength: (C,) the products λ·n, whose best value depends little on the number of images n.
        images: (N,) bool, the images to train on; None for all.
        pos_weight: (C,) the weights of positives; None for 1.
    """

    operator: Tensor | None
    strength: Tensor
    images: Tensor | None = None
    pos_weight: Tensor | None = None


@dataclass
class Columns:
    """Properties of the K columns. Each is a tensor (K,).

    Attributes:
        task: the number of the task.
        label: the number of the label.
        unit: the number of the unit.
        l2: λ.
        num_images: the number n of images that the task trains on.
        active: 1 if the label has a known positive and a known negative, else 0. Such a label leaves the data term.
        positive: the weight of positives.
        start: the bias at the start, the log odds of the label.
        curvature: the mean second derivative of the loss at the start.
    """

    task: Tensor
    label: Tensor
    unit: Tensor
    l2: Tensor
    num_images: Tensor
    active: Tensor
    positive: Tensor
    start: Tensor
    curvature: Tensor

    def __len__(self) -> int:
        return len(self.label)

    def select(self, kept: Tensor) -> "Columns":
        """Returns the columns with the numbers ``kept``."""
        return Columns(**{name: value[kept] for name, value in vars(self).items()})


@dataclass
class Problem:
    """Tasks on the same features and targets.

    Attributes:
        table: the features and targets.
        tasks: T tasks.
        columns: the columns of the tasks, task by task.
        weights: (T, R) the weight of each row in the loss of a task: 0 for images that the task leaves out.
        mean: (T, D) the mean of the table's features over the rows of a task, which the task subtracts again.
        scale: (T, D) the reciprocal of their standard deviation.
    """

    table: FeatureTable
    tasks: Sequence[Task]
    columns: Columns
    weights: Tensor
    mean: Tensor
    scale: Tensor
    spans: list[tuple[int, slice]] = field(init=False)

    def __post_init__(self) -> None:
        sizes = torch.bincount(self.columns.task, minlength=len(self.tasks)).tolist()
        ends = torch.tensor(sizes).cumsum(0).tolist()
        self.spans = [(k, slice(end - n, end)) for k, (n, end) in enumerate(zip(sizes, ends, strict=True)) if n]
        columns = torch.arange(len(self.columns), device=self.table.device)
        on_cpu = self.table.device.type == "cpu"
        size = max(1, CACHED // max(1, self.table.num_rows)) if on_cpu else max(1, len(columns))
        self.pieces = list(columns.split(size))
        self.all_known = bool((self.table.targets >= 0).all())
        self.all_ones = bool((self.columns.positive == 1).all())

    def at(self, strength: Tensor) -> "Problem":
        """Returns the problem with other products λ·n (K,)."""
        return replace(self, columns=replace(self.columns, l2=strength / self.columns.num_images))

    def restricted(self, kept: Tensor) -> "Problem":
        """Returns the problem for the columns with the numbers ``kept``, which are whole units."""
        return Problem(self.table, self.tasks, self.columns.select(kept), self.weights, self.mean, self.scale)

    def start(self) -> Tensor:
        """Returns θ (K, D + 1) with V = 0 and the log odds as biases."""
        theta = torch.zeros(len(self.columns), self.table.num_features + 1).to(self.weights)
        theta[:, -1] = self.columns.start
        return theta

    def classifiers(self, theta: Tensor) -> Tensor:
        """Returns the classifiers and biases (K, D + 1) for the features of the table: S V and b."""
        out = theta.clone()
        for task, span in self.spans:
            if (operator := self.tasks[task].operator) is not None:
                out[span, :-1] = operator @ theta[span, :-1]
            out[span, :-1] *= self.scale[task]
            out[span, -1] -= out[span, :-1] @ self.mean[task]
        return out

    def logits(self, theta: Tensor) -> Tensor:
        """Returns the logits (K, R), which are linear in ``theta``."""
        linear = self.classifiers(theta)
        return self.table.times(linear[:, :-1]).add_(linear[:, -1:])

    def gradient(self, residuals: Tensor, theta: Tensor) -> Tensor:
        """Returns the gradient (K, D + 1) from the residuals (K, R): the derivatives by the logits."""
        out = torch.empty_like(theta)
        out[:, :-1], out[:, -1] = self.table.weighted_sums(residuals), residuals.sum(1)
        for task, span in self.spans:
            out[span, :-1].addcmul_(out[span, -1:], self.mean[task], value=-1).mul_(self.scale[task])
            if (operator := self.tasks[task].operator) is not None:
                out[span, :-1] = operator.t() @ out[span, :-1]
        out[:, :-1].addcmul_(theta[:, :-1], self.columns.l2.unsqueeze(1))
        return out

    def row_weights(self, piece: Tensor) -> tuple[Tensor, Tensor]:
        """Returns ω/n (k, R), 0 where a target does not count, and y (k, R) of the columns ``piece``."""
        columns = self.columns
        targets = self.table.targets[columns.label[piece]]
        present = targets > 0
        omega = self.weights[columns.task[piece]] * columns.active[piece].unsqueeze(1)
        if not self.all_known:
            omega *= targets >= 0
        if not self.all_ones:
            omega = torch.where(present, omega * columns.positive[piece].unsqueeze(1), omega)
        return omega, present.to(omega.dtype)


def make_problem(table: FeatureTable, tasks: Sequence[Task]) -> Problem:
    """Returns the problem of several tasks."""
    whole = torch.ones(table.num_images, dtype=torch.bool, device=table.device)
    images = torch.stack([whole if task.images is None else task.images.to(table.device) for task in tasks])
    parts = images.repeat_interleave(table.num_views, 1)
    mean, scale = table.moments(parts)
    counts = parts.sum(1, keepdim=True).clamp(min=1)
    weights = parts.to(table.dtype) / counts
    columns = _columns(table, tasks, weights, counts // table.num_views)
    return Problem(table, tasks, columns, weights, mean, scale)


def _columns(table: FeatureTable, tasks: Sequence[Task], weights: Tensor, counts: Tensor) -> Columns:
    """Returns the columns of all tasks.

    Args:
        table: the features and targets.
        tasks: T tasks.
        weights: (T, R) the weights of the rows.
        counts: (T, 1) the number of images of each task.
    """
    num_labels, device = len(table.targets), table.device
    ones = torch.ones(num_labels, dtype=torch.float64, device=device)
    share = torch.stack([weights.double() @ (table.targets == value).t().double() for value in (1, 0)])  # (2, T, C)
    positives, negatives = (share * counts).round()
    positive = torch.stack([ones if t.pos_weight is None else t.pos_weight.to(ones) for t in tasks])
    start = ((positives + 0.5) / (negatives + 0.5)).log()
    p = start.sigmoid()
    curvature = p * (1 - p) * (positive * share[0] + share[1])
    task = torch.arange(len(tasks), device=device).unsqueeze(1).expand(-1, num_labels)
    label = torch.arange(num_labels, device=device).expand(len(tasks), -1)
    separable = torch.tensor([t.operator is None for t in tasks], device=device).unsqueeze(1)
    floats = {
        "l2": torch.stack([t.strength.to(ones) for t in tasks]) / counts,
        "num_images": counts.expand(-1, num_labels),
        "active": (positives > 0) & (negatives > 0),
        "positive": positive,
        "start": start,
        "curvature": curvature,
    }
    return Columns(
        task.flatten(),
        label.flatten(),
        (task * num_labels + torch.where(separable, label, 0)).flatten(),
        **{name: value.flatten().to(table.dtype) for name, value in floats.items()},
    )

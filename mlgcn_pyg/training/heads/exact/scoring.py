"""Scores of fits on images that were left out: average precision, and the logarithmic loss."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.evaluation.average_precision import average_precision
from mlgcn_pyg.training.heads.exact.problem import Problem
from mlgcn_pyg.training.heads.exact.table import FeatureTable


@dataclass
class Scores:
    """Scores of T tasks with K columns on N images.

    The losses of a label are divided by its entropy, the loss of a constant prediction, and by the number of labels.
    The sum over all images and labels is then a mean over labels, as mAP is, and about 1 for a head without weights.

    Attributes:
        ap: (K,) the AP of each column; NaN without a known positive.
        loss: (K,) the loss of each column.
        image_loss: (T, N) the loss of each image; 0 for images that a task does not score.
    """

    ap: Tensor
    loss: Tensor
    image_loss: Tensor


class Scorer:
    """Scores tasks on the images that they leave out, or on validation images.

    Args:
        problem: the tasks.
        views: the views that are scored, ``"first"`` or ``"mean"``.
        validation: the validation images, standardised like the table of the problem; None scores the images left out.
    """

    def __init__(self, problem: Problem, views: str, validation: FeatureTable | None = None):
        self.views, self.validation = views, validation
        table = problem.table if validation is None else validation
        self.targets = by_image(table.targets, table, "first")  # (C, N)
        self.weight = _label_weights(self.targets)
        every = torch.full((table.num_images,), validation is not None, device=table.device)
        scored = [every if validation is not None or t.images is None else ~t.images for t in problem.tasks]
        self.scored = torch.stack(scored)  # (T, N)
        self.num_columns = len(problem.columns)

    def empty_scores(self) -> Scores:
        """Returns scores that :meth:`add` fills."""
        columns = torch.full((self.num_columns,), torch.nan, dtype=torch.float64)
        return Scores(columns, columns.clone(), torch.zeros(self.scored.shape, dtype=torch.float64))

    def add(self, scores: Scores, problem: Problem, theta: Tensor, columns: Tensor) -> None:
        """Adds the scores of some columns.

        Args:
            scores: the scores of all columns.
            problem: the problem of these columns.
            theta: (k, D + 1) their parameters.
            columns: (k,) their numbers.
        """
        logits = self._logits(problem, theta)
        for task, span in problem.spans:
            labels, images = problem.columns.label[span], self.scored[task]
            z, targets = logits[span][:, images], self.targets[labels][:, images]
            losses = _losses(z, targets) * self.weight[labels].unsqueeze(1)
            scores.ap[columns[span].cpu()] = average_precision(z.t(), targets.t())
            scores.loss[columns[span].cpu()] = losses.sum(1).cpu()
            scores.image_loss[task, images.cpu()] += losses.sum(0).cpu()

    def _logits(self, problem: Problem, theta: Tensor) -> Tensor:
        """Returns the logits (K, N) of the images."""
        if self.validation is None:
            return by_image(problem.logits(theta), problem.table, self.views)
        linear = problem.classifiers(theta)
        logits = self.validation.times(linear[:, :-1]).add_(linear[:, -1:])
        return by_image(logits, self.validation, self.views)


def by_image(values: Tensor, table: FeatureTable, views: str) -> Tensor:
    """Returns values (K, N) of the images from values (K, R) of the rows."""
    values = values.unflatten(1, (table.num_images, table.num_views))
    return values[:, :, 0] if views == "first" or table.num_views == 1 else values.mean(2)


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the logarithmic loss in float64; 0 for unknown targets."""
    z = logits.double()
    return (F.softplus(z) - (targets > 0) * z) * (targets >= 0)


def _label_weights(targets: Tensor) -> Tensor:
    """Returns (C,) the factors of the losses of each label, for targets (C, N)."""
    present, known = (targets > 0).sum(1).double(), (targets >= 0).sum(1).double()
    varies = (present > 0) & (present < known)
    share = present / known.clamp(min=1)
    entropy = known * -(torch.special.xlogy(share, share) + torch.special.xlog1py(1 - share, -share))
    return torch.where(varies, 1 / entropy, 0.0) / varies.sum().clamp(min=1)

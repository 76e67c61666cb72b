"""Selects λ and α from scores on images that were left out.

AP is what counts, but a label with a few positives has a noisy AP. λ is therefore that with the smallest loss among
those whose mAP is within one standard error over the folds of the best one. An α above 0 must have a smaller loss than
α = 0 by more than one standard error over the images, since S = I is the simpler head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.stratification import stratified_folds
from mlgcn_pyg.training.heads.exact.operators import Operators
from mlgcn_pyg.training.heads.exact.problem import Task


@dataclass
class Choice:
    """The selected hyper-parameters of one head.

    Attributes:
        number: the number of α among the head's values.
        strength: (C,) λ·n of each label.
        score: the mAP on the images left out; NaN if it was not measured.
    """

    number: int
    strength: Tensor
    score: float


@dataclass
class PathScores:
    """The scores of one head for each strength (S), fold (F), α (A) and label (C) or image (N).

    Attributes:
        ap: (S, F, A, C).
        loss: (S, F, A, C).
        image_loss: (S, F, A, N).
    """

    ap: Tensor
    loss: Tensor
    image_loss: Tensor

    def length(self, number: int) -> int:
        """Returns the number of strengths until AP and loss of α ``number`` have both become worse twice in a row."""
        lengths = range(1, len(self.ap) + 1)
        return next((n for n in lengths if self._has_passed(number, n)), len(self.ap))

    def has_ended(self) -> bool:
        """Returns whether smaller strengths need not be tried for any α."""
        return all(self._has_passed(k, self.length(k)) for k in range(self.ap.size(2)))

    def _has_passed(self, number: int, length: int) -> bool:
        ap, gain = self.mean_ap(number).nan_to_num(-1.0), -self.total_loss(number)
        return has_passed(ap[:length].tolist()) and has_passed(gain[:length].tolist())

    def total_loss(self, number: int) -> Tensor:
        """Returns (S,) the loss of α ``number``, summed over folds and labels."""
        return self.loss[:, :, number].sum((1, 2))

    def mean_ap(self, number: int) -> Tensor:
        """Returns (S,) the mAP of α ``number``: the mean over the folds of the mean over the fold's labels."""
        return self.ap[:, :, number].nanmean(2).nanmean(1)

    def best_loss(self, number: int) -> int:
        """Returns the row of the strength with the smallest loss."""
        return int(self.total_loss(number)[: self.length(number)].argmin())

    def best_row(self, number: int) -> int:
        """Returns the row of the selected strength of α ``number``."""
        length = self.length(number)
        means, losses = self.mean_ap(number)[:length], self.total_loss(number)[:length]
        if means.isnan().all():
            return int(losses.argmin())
        of_fold = self.ap[:length, :, number].nanmean(2)  # (S, F)
        behind = of_fold[int(means.nan_to_num(-1.0).argmax())] - of_fold
        behind = behind[:, ~behind.isnan().any(0)]
        folds = behind.size(1)
        error = behind.std(1) / folds**0.5 if folds > 1 else torch.zeros_like(losses)
        return int(torch.where(behind.mean(1) <= error, losses, torch.inf).argmin())

    def refined(self, number: int, row: int, strengths: Sequence[float]) -> float:
        """Returns the strength at the minimum of the parabola, over log λ, through the losses around a row.

        A row that is at the end of the path, or does not have a smaller loss than both of its neighbours, is kept.
        """
        losses = self.total_loss(number)[: self.length(number)].tolist()
        if not 0 < row < len(losses) - 1 or losses[row] >= min(losses[row - 1], losses[row + 1]):
            return strengths[row]
        larger, here, smaller = losses[row - 1 : row + 2]
        step = 0.5 * (larger - smaller) / (larger - 2 * here + smaller)
        return strengths[row] * (strengths[row + 1] / strengths[row]) ** step

    def best_alpha(self) -> int:
        """Returns the number of the selected α; the first is the simplest."""
        images = [self.image_loss[self.best_loss(k), :, k].sum(0) for k in range(self.ap.size(2))]
        best = min(range(len(images)), key=lambda k: float(images[k].sum()))
        gain = images[0] - images[best]
        error = float(gain.std(correction=0)) * len(gain) ** 0.5
        return best if float(gain.sum()) > error else 0


def has_passed(values: Sequence[float]) -> bool:
    """Returns whether values have passed their maximum: they have decreased twice in a row.

    >>> has_passed([0.5, 0.6, 0.59]), has_passed([0.5, 0.6, 0.59, 0.58])
    (False, True)
    """
    return len(values) > 2 and values[-3] > values[-2] > values[-1]


def left_out(targets: Tensor, num_folds: int, seed: int) -> list[Tensor]:
    """Returns for each stratified fold (N,) bool: the images to train on, which are those of all other folds."""
    masks = []
    for fold in stratified_folds(targets.cpu(), min(num_folds, len(targets)), seed=seed):
        mask = torch.ones(len(targets), dtype=torch.bool)
        mask[torch.from_numpy(fold)] = False
        masks.append(mask)
    return masks


def candidate_tasks(
    operators: Operators, targets: Tensor, images: Sequence[Tensor | None], strength: float, pos_weight: Tensor | None
) -> list[Task]:
    """Returns a task for each set of training images and each α, fold by fold.

    Args:
        operators: the operators of the head.
        targets: (N, C).
        images: for each fold, (N,) bool, the images to train on; None for all.
        strength: λ·n of the tasks.
        pos_weight: (C,) the weights of positives, or None.
    """
    strengths = torch.full((targets.size(1),), strength, dtype=torch.float64)
    tasks = []
    for mask in images:
        for operator in operators.at(targets if mask is None else targets[mask]):
            tasks.append(Task(operator, strengths, mask, pos_weight))
    return tasks


def choose(scores: PathScores, strengths: Sequence[float], usual: float, per_label: bool) -> Choice:
    """Selects λ·n and α of one head.

    Args:
        scores: its scores.
        strengths: the values of λ·n.
        usual: λ·n if nothing can be selected.
        per_label: whether λ is that with the smallest loss for each label.
    """
    number = scores.best_alpha()
    row = scores.best_row(number)
    strength = torch.full((scores.ap.size(3),), scores.refined(number, row, strengths), dtype=torch.float64)
    if not bool(scores.loss.any()):  # no label has positives and negatives: nothing can be selected
        value = usual if len(strengths) > 1 else strengths[0]
        return Choice(0, torch.full_like(strength, value), float("nan"))
    if per_label:
        of_label = scores.loss[: scores.length(number), :, number].sum(1)  # (S, C)
        selected = torch.tensor(strengths, dtype=torch.float64)[of_label.argmin(0)]
        strength = torch.where(of_label.any(0), selected, strength)
    return Choice(number, strength, float(scores.mean_ap(number)[row]))

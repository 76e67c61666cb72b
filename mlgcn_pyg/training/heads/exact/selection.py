"""Selects λ and α on images that are left out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.stratification import stratified_folds
from mlgcn_pyg.training.heads.exact.operators import Operators
from mlgcn_pyg.training.heads.exact.path import USUAL, has_ended
from mlgcn_pyg.training.heads.exact.problem import Task

CLEAR = 1e-9  # a score must be higher by more than rounding


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


def left_out(targets: Tensor, num_folds: int, seed: int) -> list[Tensor]:
    """Returns for each stratified fold (N,) bool: the images to train on, which are those of all other folds."""
    masks = []
    for fold in stratified_folds(targets.cpu(), min(num_folds, len(targets)), seed=seed):
        mask = torch.ones(len(targets), dtype=torch.bool)
        mask[torch.from_numpy(fold)] = False
        masks.append(mask)
    return masks


def candidate_tasks(
    operators: Operators, targets: Tensor, images: Sequence[Tensor | None], pos_weight: Tensor | None
) -> list[Task]:
    """Returns a task for each set of training images and each α, fold by fold.

    Args:
        operators: the operators of the head.
        targets: (N, C).
        images: for each fold, (N,) bool, the images to train on; None for all.
        pos_weight: (C,) the weights of positives, or None.
    """
    usual = torch.full((targets.size(1),), USUAL, dtype=torch.float64)
    tasks = []
    for mask in images:
        for operator in operators.at(targets if mask is None else targets[mask]):
            tasks.append(Task(operator, usual, mask, pos_weight))
    return tasks


def choose(
    scores: Sequence[Tensor], strengths: Sequence[float], num_folds: int, num_alphas: int, per_label: bool
) -> Choice:
    """Selects λ·n and α.

    The score of a fold is its mAP, the mean over the labels with a positive image in the fold; the score of a candidate
    is the mean over the folds. Of equal scores, the larger λ and the smaller α win.

    Args:
        scores: for each strength so far, the AP (F·A·C,) of a head's columns, fold by fold and α by α.
        strengths: the values of λ·n.
        num_folds: F.
        num_alphas: A.
        per_label: whether λ is selected for each label by its mean AP over the folds.
    """
    ap = torch.stack(list(scores)).unflatten(1, (num_folds, num_alphas, -1))  # (strengths, folds, α, labels)
    ap = ap[: path_length(ap)].cpu()
    means = ap.nanmean(3).nanmean(1)  # (strengths, α)
    if means.isnan().all():
        usual = USUAL if len(strengths) > 1 else strengths[0]
        return Choice(0, torch.full((ap.size(3),), usual, dtype=torch.float64), float("nan"))
    row, number = divmod(int(first_best(means.flatten())), num_alphas)
    strength = torch.full((ap.size(3),), strengths[row], dtype=torch.float64)
    if per_label:
        of_label = ap[:, :, number].nanmean(1)  # (strengths, labels)
        selected = torch.tensor(strengths, dtype=torch.float64)[first_best(of_label)]
        strength = torch.where(of_label.isnan().all(0), strength, selected)
    return Choice(number, strength, float(means[row, number]))


def first_best(scores: Tensor) -> Tensor:
    """Returns the number of the first score, along dimension 0, that is not clearly lower than another one."""
    known = scores.nan_to_num(-1.0)
    return (known >= known.amax(0) - CLEAR).int().argmax(0)


def path_length(ap: Tensor) -> int:
    """Returns the number of strengths until the path has ended, for the AP (strengths, folds, α, labels)."""
    best = ap.nanmean(3).nanmean(1).nan_to_num(-1.0).amax(1).tolist()  # of the best α
    return next((n for n in range(1, len(best)) if has_ended(best[:n])), len(best))

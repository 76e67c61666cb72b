"""An exact fit of heads: the selection of λ and α, and the state from which it resumes."""

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.heads.exact.operators import ConvexHead, label_operators
from mlgcn_pyg.training.heads.exact.path import STRENGTHS, USUAL, StrengthPath, minimise_all
from mlgcn_pyg.training.heads.exact.preconditioner import feature_spectrum
from mlgcn_pyg.training.heads.exact.problem import Problem, Task, make_problem
from mlgcn_pyg.training.heads.exact.scoring import Scorer, Scores
from mlgcn_pyg.training.heads.exact.selection import Choice, PathScores, candidate_tasks, choose
from mlgcn_pyg.training.heads.exact.table import FeatureTable
from mlgcn_pyg.training.history import Record
from mlgcn_pyg.training.run_folder import StateFormat, plain_copy

EXACT_STATE = StateFormat("mlgcn_pyg.exact", "an exact fit", frozenset({"epoch", "step", "tensors", "records"}))
Report = Callable[[int, float], None]


class ExactRun:
    """Heads of convex problems on the same data, and the position of their fit.

    Args:
        heads: H heads of C labels.
        config: the settings.
        table: the training data.
        folds: for each fold, (N,) bool, the images to train on; called if λ or α is selected. None for all images.
        validation: the images that λ and α are selected on; None for those that each fold leaves out.

    Attributes:
        path: the fits for decreasing λ.
        solution: (H·C, D + 1) the final θ; None until it is known.
        records: for each head, the records of its final fit.
    """

    def __init__(
        self,
        heads: Sequence[ConvexHead],
        config: ExactConfig,
        table: FeatureTable,
        folds: Callable[[], Sequence[Tensor | None]],
        validation: FeatureTable | None = None,
    ):
        self.heads, self.config, self.table = list(heads), config, table
        self.targets = table.targets[:, :: table.num_views].t()
        self.operators = [label_operators(head, self.targets, config.alpha) for head in heads]
        self.pos_weight = _pos_weight(config, len(table.targets))
        self.features = feature_spectrum(table)
        n = table.num_images
        self.unit = max(1, int((table.scale > 0).sum())) / 4  # of the strengths
        self.strengths = tuple(self.unit * s for s in STRENGTHS) if config.l2 is None else (config.l2 * n,)
        self.images = folds() if self._has_choice() else [None]
        tasks = [task for k in range(len(heads)) for task in self._candidates(k)]
        problem = self._problem(tasks)
        scorer = Scorer(problem, config.views, validation)
        self.path = StrengthPath(problem, self.features, scorer, self.strengths)
        self.solution: Tensor | None = None
        self.records: list[list[Record]] = [[] for _ in heads]

    def _candidates(self, k: int) -> list[Task]:
        return candidate_tasks(self.operators[k], self.targets, self.images, self.unit * USUAL, self.pos_weight)

    def _problem(self, tasks: Sequence[Task]) -> Problem:
        for task in tasks:
            if task.operator is not None:
                task.operator = task.operator.to(self.table.device, self.table.dtype)
        return make_problem(self.table, tasks)

    def scores_of(self, k: int) -> PathScores:
        """Returns the scores of a head for each strength so far."""
        folds, alphas = len(self.images), [len(operators.alphas) for operators in self.operators]
        tasks = [folds * number for number in alphas]
        columns = [number * len(self.table.targets) for number in tasks]
        shape = (folds, alphas[k], -1)
        return PathScores(
            torch.stack([scores.ap.split(columns)[k].view(shape) for scores in self.path.scores]),
            torch.stack([scores.loss.split(columns)[k].view(shape) for scores in self.path.scores]),
            torch.stack([scores.image_loss.split(tasks)[k].view(shape) for scores in self.path.scores]),
        )

    @property
    def selected(self) -> bool:
        """Whether λ and α of all heads are selected."""
        if len(self.path.scores) == len(self.strengths) or not self._can_select():
            return True
        return bool(self.path.scores) and all(self.scores_of(k).has_ended() for k in range(len(self.heads)))

    def _has_choice(self) -> bool:
        return len(self.strengths) > 1 or any(len(operators.alphas) > 1 for operators in self.operators)

    def _can_select(self) -> bool:
        return self._has_choice() and bool(self.path.scorer.scored.any())

    def choices(self) -> list[Choice]:
        """Returns what was selected for each head."""
        if not self.path.scores:  # nothing to select
            value = self.unit * USUAL if self.config.l2 is None else self.strengths[0]
            strength = torch.full((len(self.table.targets),), value, dtype=torch.float64)
            return [Choice(0, strength, float("nan")) for _ in self.heads]
        return [
            choose(self.scores_of(k), self.strengths, self.unit * USUAL, self.config.per_label)
            for k in range(len(self.heads))
        ]

    def selected_values(self, k: int) -> Record:
        """Returns λ, the mean over the labels, α, if the head has one, and the mAP that selected them, if measured."""
        choice = self.choices()[k]
        values = {"l2": float(choice.strength.mean()) / self.table.num_images}
        if (alpha := self.operators[k].alphas[choice.number]) is not None:
            values["alpha"] = alpha
        return values if math.isnan(choice.score) else values | {"selection_mAP": choice.score}

    @cached_property
    def final_problem(self) -> Problem:
        """The problem of all heads on all images, with what was selected. It must not be used before the selection."""
        tasks = []
        for choice, operators in zip(self.choices(), self.operators, strict=True):
            operator = operators.at(self.targets)[choice.number]
            tasks.append(Task(operator, choice.strength, None, self.pos_weight))
        return self._problem(tasks)

    def solve(self, report: Report | None) -> None:
        """Fits all heads to all images with what was selected."""
        self.solution, self.records = minimise_all(self.final_problem, self.features, self.config.tolerance, report)

    def state(self) -> dict:
        """Returns everything that resuming needs, as plain values."""
        tensors = {"theta": self.path.theta}
        for k, scores in enumerate(self.path.scores):
            tensors |= {f"{name}{k}": value for name, value in vars(scores).items()}
        if self.solution is not None:
            tensors["solution"] = self.solution
        return {"epoch": len(self.path.scores) + 1, "step": 0, "tensors": plain_copy(tensors), "records": self.records}

    def load_state(self, state: dict) -> None:
        """Restores what :meth:`state` returned."""
        tensors, empty = state["tensors"], self.path.scorer.empty_scores()
        self.path.theta = tensors["theta"].to(self.path.theta).view(self.path.theta.shape)
        self.path.scores = [
            Scores(**{name: tensors[f"{name}{k}"].view(value.shape) for name, value in vars(empty).items()})
            for k in range(state["epoch"] - 1)
        ]
        solution = tensors.get("solution")
        self.solution = None if solution is None else solution.to(self.path.theta)
        self.records = state["records"]


def _pos_weight(config: ExactConfig, num_labels: int) -> Tensor | None:
    """Returns the weights of positives (C,), or None."""
    weights = config.pos_weight
    if not isinstance(weights, tuple):
        return None if weights is None else torch.full((num_labels,), weights, dtype=torch.float64)
    if len(weights) != num_labels:
        raise InputError("pos_weight", f"a number, or {num_labels} numbers, one per label", f"{len(weights)} numbers")
    return torch.tensor(weights, dtype=torch.float64)

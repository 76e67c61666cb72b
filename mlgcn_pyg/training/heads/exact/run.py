"""An exact fit of heads: the selection of λ and α, and the state from which it resumes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.heads.exact.operators import label_operators
from mlgcn_pyg.training.heads.exact.path import STRENGTHS, Scorer, StrengthPath, has_ended, minimise_all
from mlgcn_pyg.training.heads.exact.preconditioner import feature_spectrum
from mlgcn_pyg.training.heads.exact.problem import Problem, Task, make_problem
from mlgcn_pyg.training.heads.exact.selection import Choice, candidate_tasks, choose, path_length
from mlgcn_pyg.training.heads.exact.table import FeatureTable
from mlgcn_pyg.training.history import Record
from mlgcn_pyg.training.run_folder import StateFormat, plain_copy
from mlgcn_pyg.typing import Head

EXACT_STATE = StateFormat("mlgcn_pyg.exact", "an exact fit", frozenset({"epoch", "step", "tensors", "records"}))
Report = Callable[[int, float], None]


class ExactRun:
    """Heads of convex problems on the same data, and the position of their fit.

    Args:
        heads: H heads of C labels.
        config: the settings.
        table: the training data.
        images: for each fold, (N,) bool, the images to train on; None for all, if validation images are scored.
        scorer: scores the fits of the folds.

    Attributes:
        path: the fits for decreasing λ.
        solution: (H·C, D + 1) the final θ; None until it is known.
        records: for each head, the records of its final fit.
    """

    def __init__(
        self,
        heads: Sequence[Head],
        config: ExactConfig,
        table: FeatureTable,
        images: Sequence[Tensor | None],
        scorer: Scorer,
    ):
        self.heads, self.config, self.table, self.images = list(heads), config, table, images
        self.targets = table.targets[:, :: table.num_views].t()
        self.operators = [label_operators(head, self.targets, config.alpha) for head in heads]
        self.pos_weight = _pos_weight(config, len(table.targets))
        self.features = feature_spectrum(table)
        n = table.num_images
        self.strengths = STRENGTHS if config.l2 is None else (config.l2 * n,)
        tasks = [task for k in range(len(heads)) for task in self._candidates(k)]
        self.path = StrengthPath(self._problem(tasks), self.features, scorer, self.strengths)
        self.solution: Tensor | None = None
        self.records: list[list[Record]] = [[] for _ in heads]

    def _candidates(self, k: int) -> list[Task]:
        return candidate_tasks(self.operators[k], self.targets, self.images, self.pos_weight)

    def _problem(self, tasks: Sequence[Task]) -> Problem:
        for task in tasks:
            if task.operator is not None:
                task.operator = task.operator.to(self.table.device, self.table.dtype)
        return make_problem(self.table, tasks)

    def scores_of(self, k: int) -> list[Tensor]:
        """Returns for each strength so far the AP (F·A·C,) of the candidates of a head."""
        sizes = [len(self.images) * len(operators.alphas) * len(self.table.targets) for operators in self.operators]
        return [scores.split(sizes)[k] for scores in self.path.scores]

    def _shape(self, k: int) -> tuple[int, int, int]:
        return len(self.images), len(self.operators[k].alphas), len(self.table.targets)

    @property
    def selected(self) -> bool:
        """Whether λ and α of all heads are selected."""
        if len(self.path.scores) == len(self.strengths) or not self._has_choice():
            return True
        return bool(self.path.scores) and all(self._has_ended(k) for k in range(len(self.heads)))

    def _has_choice(self) -> bool:
        return len(self.strengths) > 1 or any(len(operators.alphas) > 1 for operators in self.operators)

    def _has_ended(self, k: int) -> bool:
        ap = torch.stack(self.scores_of(k)).unflatten(1, self._shape(k))
        best = ap.nanmean(3).nanmean(1).nan_to_num(-1.0).amax(1).tolist()
        return path_length(ap) < len(ap) or has_ended(best)

    def choices(self) -> list[Choice]:
        """Returns what was selected for each head."""
        if not self.path.scores:  # nothing to select
            strength = torch.full((len(self.table.targets),), self.strengths[0], dtype=torch.float64)
            return [Choice(0, strength, float("nan")) for _ in self.heads]
        return [
            choose(self.scores_of(k), self.strengths, *self._shape(k)[:2], self.config.per_label)
            for k in range(len(self.heads))
        ]

    def final_problem(self) -> Problem:
        """Returns the problem of all heads on all images, with what was selected."""
        tasks = []
        for choice, operators in zip(self.choices(), self.operators, strict=True):
            operator = operators.at(self.targets)[choice.number]
            tasks.append(Task(operator, choice.strength, None, self.pos_weight))
        return self._problem(tasks)

    def solve(self, report: Report | None) -> None:
        """Fits all heads to all images with what was selected."""
        self.solution, self.records = minimise_all(self.final_problem(), self.features, self.config.tolerance, report)

    def state(self) -> dict:
        """Returns everything that resuming needs, as plain values."""
        tensors = {"theta": self.path.theta} | {f"scores{k}": scores for k, scores in enumerate(self.path.scores)}
        if self.solution is not None:
            tensors["solution"] = self.solution
        return {"epoch": len(self.path.scores) + 1, "step": 0, "tensors": plain_copy(tensors), "records": self.records}

    def load_state(self, state: dict) -> None:
        """Restores what :meth:`state` returned."""
        tensors = {name: value.to(self.table.device) for name, value in state["tensors"].items()}
        self.path.theta = tensors["theta"].view(self.path.theta.shape)
        self.path.scores = [tensors[f"scores{k}"] for k in range(state["epoch"] - 1)]
        self.solution, self.records = tensors.get("solution"), state["records"]


def _pos_weight(config: ExactConfig, num_labels: int) -> Tensor | None:
    """Returns the weights of positives (C,), or None."""
    weights = config.pos_weight
    if not isinstance(weights, tuple):
        return None if weights is None else torch.full((num_labels,), weights, dtype=torch.float64)
    if len(weights) != num_labels:
        raise InputError("pos_weight", f"a number, or {num_labels} numbers, one per label", f"{len(weights)} numbers")
    return torch.tensor(weights, dtype=torch.float64)

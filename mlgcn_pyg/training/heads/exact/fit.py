"""Fits heads whose problem is convex: linear heads, and sharing heads with fixed edges."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor

from mlgcn_pyg.checkpoints import save_head
from mlgcn_pyg.evaluation import mean_average_precision
from mlgcn_pyg.nn import SharingHead
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.heads.exact.operators import ConvexHead
from mlgcn_pyg.training.heads.exact.run import ExactRun
from mlgcn_pyg.training.heads.exact.selection import Choice, left_out
from mlgcn_pyg.training.heads.exact.table import FeatureTable
from mlgcn_pyg.training.heads.observers import Observers
from mlgcn_pyg.training.heads.scoring import source_logits
from mlgcn_pyg.training.heads.statistics import feature_statistics
from mlgcn_pyg.training.history import History, Record
from mlgcn_pyg.training.interruption import Interruption
from mlgcn_pyg.training.run_folder import RunFolder
from mlgcn_pyg.typing import RowSource

SMALL = 1 << 22  # features; below it, float64 costs little time


def fit_exactly(
    heads: Sequence[ConvexHead],
    names: Sequence[str],
    config: ExactConfig,
    source: RowSource,
    validation: RowSource | None,
    folder: RunFolder,
    observers: Observers,
) -> list[History]:
    """Fits heads in place; see :func:`~mlgcn_pyg.training.fit_heads`.

    The state is saved after each λ. An interrupted fit is resumed from there, with the same result bit for bit.
    """
    run = _open_run(heads, config, source, validation)
    folder.restore(run.load_state)
    if run.solution is None:
        observers.trackers.start()
    with Interruption(wanted=folder.path is not None) as stop:

        def save() -> None:
            if folder.path is not None:
                folder.save_state(saved)

        def report(iteration: int, gradient: float) -> None:
            folder.end_if_interrupted(stop, save)
            observers.show(0, _position(run, iteration, gradient))

        saved = run.state()
        while not run.selected:
            run.path.advance(report)
            saved = run.state()
            folder.save_or_end(stop, save)
        if run.solution is None:
            run.solve(report)
            saved = run.state()
            save()
    histories = [History([dict(record) for record in records]) for records in run.records]
    _write_parameters(run)
    _score(heads, histories, validation, config.views)
    for k, history in enumerate(histories):
        history.last.update(run.selected_values(k))
    for k, (name, head, history) in enumerate(zip(names, heads, histories, strict=True)):
        folder.write_history(name, history.epochs)
        folder.keep(f"{name}-last", partial(save_head, head=head, config=describe_fit(config, run.choices()[k])))
    observers.end(names, histories)
    return histories


def _open_run(
    heads: Sequence[ConvexHead], config: ExactConfig, source: RowSource, validation: RowSource | None
) -> ExactRun:
    statistics = feature_statistics(source)
    for head in heads:
        head.set_statistics(statistics.mean, statistics.std)
    standardize = heads[0].standardize
    assert standardize is not None, "the heads have statistics"
    mean, scale = standardize.mean.double(), standardize.scale.double()
    size = source.num_images * source.num_views * source.num_features
    double = size <= SMALL or next(heads[0].parameters()).dtype == torch.float64
    dtype = torch.float64 if double and source.device.type != "mps" else torch.float32
    table = FeatureTable(source, mean, scale, dtype)
    selecting = None
    if config.select == "val" and validation is not None:
        selecting = FeatureTable(validation, mean, scale, dtype)

    def folds() -> list[Tensor | None]:
        number = config.num_folds(source.num_images)
        if selecting is not None or min(source.num_images, number) < 2:
            return [None]
        return [mask.to(source.device) for mask in left_out(source.targets, number, config.seed)]

    return ExactRun(heads, config, table, folds, selecting)


def _position(run: ExactRun, iteration: int, gradient: float) -> Record:
    """Returns the record that reports progress: stages are the values of λ, and the final fit."""
    stages = len(run.path.strengths) + 1
    stage = stages if run.selected else len(run.path.scores) + 1
    return {"stage": stage, "stages": stages, "iteration": iteration, "gradient": gradient}


@torch.no_grad()
def _write_parameters(run: ExactRun) -> None:
    """Copies the solution to the heads, whose statistics are those of the table."""
    problem, choices = run.final_problem, run.choices()
    if run.solution is None:
        raise RuntimeError("the heads have not been fitted")
    linear = problem.classifiers(run.solution)
    for k, (task, span) in enumerate(problem.spans):
        head, choice = run.heads[k], choices[k]
        weight = run.solution[span, :-1] * problem.scale[task]
        if isinstance(head, SharingHead):
            if (alpha := run.operators[k].alphas[choice.number]) is not None:
                head.set_alpha(alpha)
            head.weight.copy_(weight)
        else:
            head.linear.weight.copy_(weight)
        head.set_bias(linear[span, -1])


def _score(heads: Sequence[ConvexHead], histories: Sequence[History], validation: RowSource | None, views: str) -> None:
    """Adds the mAP on the validation images to the last record of each head."""
    if validation is None:
        return
    logits, targets = source_logits(heads, validation, views)
    for history, values in zip(histories, logits, strict=True):
        history.last["mAP"] = mean_average_precision(values, targets)


def describe_fit(config: ExactConfig, choice: Choice) -> dict:
    """Returns the settings and what was selected, as plain values."""
    return asdict(config) | {"solver": "exact", "strength": choice.strength.tolist(), "selection_mAP": choice.score}

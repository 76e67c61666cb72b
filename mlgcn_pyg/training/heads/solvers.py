"""Fits of heads in a folder, from which they can be resumed: by the exact solver, or by SGD or AdamW."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlgcn_pyg.training.config import HeadConfig, HeadSettings
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.heads.arguments import check_shared
from mlgcn_pyg.training.heads.engines import make_step
from mlgcn_pyg.training.heads.exact.fit import fit_exactly
from mlgcn_pyg.training.heads.exact.operators import ConvexHead
from mlgcn_pyg.training.heads.exact.run import EXACT_STATE
from mlgcn_pyg.training.heads.exact.start import started_at_solution
from mlgcn_pyg.training.heads.loop import check_savable, train_heads
from mlgcn_pyg.training.heads.observers import Observers
from mlgcn_pyg.training.heads.preparation import prepare_heads
from mlgcn_pyg.training.heads.run import HEADS_STATE, HeadsRun
from mlgcn_pyg.training.heads.setup import describe_heads_run
from mlgcn_pyg.training.heads.stacked import check_alike
from mlgcn_pyg.training.heads.steps import make_optimizers
from mlgcn_pyg.training.history import History
from mlgcn_pyg.training.run_folder import RunFolder
from mlgcn_pyg.training.trackers import settings_of
from mlgcn_pyg.typing import Head, RowSource


def fit_in_folder(
    heads: Sequence[ConvexHead],
    names: Sequence[str],
    config: ExactConfig,
    source: RowSource,
    validation: RowSource | None,
    folder: str | Path | None,
    save_seconds: float,
    observers: Observers,
) -> list[History]:
    """Fits heads with the exact solver, in ``folder`` if it is given."""
    configs = [config] * len(heads)
    setup = None if folder is None else describe_heads_run(heads, names, configs, source, validation)
    run_folder = RunFolder(folder, EXACT_STATE, setup, save_seconds)
    with observers.trackers as trackers, run_folder.lock():
        trackers.describe(_settings(names, configs))
        return fit_exactly(heads, names, config, source, validation, run_folder, observers)


def train_in_folder(
    heads: Sequence[Head],
    names: Sequence[str],
    configs: Sequence[HeadConfig],
    source: RowSource,
    validation: RowSource | None,
    folder: str | Path | None,
    save_seconds: float,
    observers: Observers,
) -> list[History]:
    """Trains heads by SGD or AdamW, in ``folder`` if it is given."""
    if folder is not None:
        check_savable(heads)
    check_alike(heads)
    settings = prepare_heads(heads, started_at_solution(heads, configs, source), source)
    check_alike(heads)  # again, since only heads with the recipe "auto" have changed
    check_shared(settings)
    run = HeadsRun(heads, names, settings, make_optimizers(heads, settings, source.device), source)
    setup = None if folder is None else describe_heads_run(heads, names, settings, source, validation)
    run_folder = RunFolder(folder, HEADS_STATE, setup, save_seconds)
    with observers.trackers as trackers, run_folder.lock():
        _resume(run, run_folder)
        trackers.describe(_settings(names, settings))
        if not run.finished:
            trackers.start()
        observers.track(names, run.histories)  # records that an interrupted run did not send
        if not run.finished or run.awaits_callback:
            step = make_step(heads, source, run.optimizers, settings)
            try:
                train_heads(run, step, source, validation, run_folder, observers)
            finally:
                step.release()
    return run.histories


def _settings(names: Sequence[str], configs: Sequence[HeadSettings | ExactConfig]) -> Mapping[str, Any]:
    """Returns what trackers receive as the settings of the run."""
    return {k: v for name, config in zip(names, configs, strict=True) for k, v in settings_of(config, name).items()}


def _resume(run: HeadsRun, folder: RunFolder) -> None:
    """Moves to the saved position, if there is one, and makes the histories in the folder agree with it."""
    folder.restore(run.load_state)
    for name, history in zip(run.names, run.histories, strict=True):
        folder.write_history(name, history.epochs)

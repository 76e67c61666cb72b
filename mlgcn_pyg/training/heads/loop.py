"""The training loop of heads: steps, validation, checkpoints, observers."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from mlgcn_pyg.checkpoints import save_head
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.evaluation import mean_average_precision
from mlgcn_pyg.nn import LabelGNNHead, LinearHead, MLGCNHead, SharingHead
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.training.heads.observers import Observers
from mlgcn_pyg.training.heads.run import HeadsRun
from mlgcn_pyg.training.heads.scoring import source_logits
from mlgcn_pyg.training.interruption import Interruption
from mlgcn_pyg.training.run_folder import RunFolder
from mlgcn_pyg.typing import Head, RowSource, TrainingStep


def train_heads(
    run: HeadsRun,
    step: TrainingStep,
    source: RowSource,
    validation: RowSource | None,
    folder: RunFolder,
    observers: Observers,
) -> None:
    """Trains from the position of ``run`` to the last epoch."""
    recipe = run.configs[0]

    def save() -> None:
        if folder.path is None:
            return
        run.check_losses(folder.last_saved)  # raises, so that a diverged state never replaces a good one
        folder.save_state(run.state())

    def save_all() -> None:
        for k, name in enumerate(run.names):
            folder.keep(f"{name}-last", partial(_write_head, run, k))
        save()

    with Interruption(wanted=folder.path is not None) as stop:
        _call_back(run, observers, save_all)  # if the run was interrupted before it returned
        while not run.finished:
            lrs = run.learning_rates().to(source.device)
            rows = source.row_batches(recipe.batch_size, recipe.seed, run.epoch, start=run.step)
            while run.step < run.num_steps:
                run.record_losses(step.advance(rows, lrs[run.step :]))  # takes one or more steps
                folder.save_or_end(stop, save)

            run.check_losses(folder.last_saved)
            records = run.end_epoch(_validate(run, validation))
            run.awaits_callback = observers.callback is not None
            for k, record in records.items():
                folder.append_history(run.names[k], record)
                if run.histories[k].best is record:
                    folder.keep(f"{run.names[k]}-best", partial(_write_head, run, k))
            if run.finished or folder.is_due(stop):
                save_all()
            observers.track(run.names, run.histories)
            for k, record in records.items():
                observers.show(k, record)
            _call_back(run, observers, save_all)
            stop.obey()


def _call_back(run: HeadsRun, observers: Observers, save_all: Callable[[], None]) -> None:
    """Calls the callback with the records of the last epoch if it awaits that, and ends the heads that it wants to."""
    if not run.awaits_callback or observers.callback is None:
        return
    was_finished = run.finished
    try:
        for k, record in run.last_records().items():
            if observers.callback(k, record):
                run.ended.add(k)
        run.awaits_callback = False
    except BaseException:
        save_all()  # when the run is resumed, the callback is called again
        raise
    if was_finished or run.finished:
        save_all()


def _validate(run: HeadsRun, validation: RowSource | None) -> dict[int, float]:
    """Returns the mAP of each running head, by the number of the head; empty in an epoch without validation."""
    recipe, running = run.configs[0], run.running
    if validation is None or (run.epoch % recipe.val_every and run.epoch != recipe.epochs):
        return {}
    logits, targets = source_logits([run.heads[k] for k in running], validation, recipe.views)
    return {k: mean_average_precision(values, targets) for k, values in zip(running, logits, strict=True)}


def check_savable(heads: Sequence[Head]) -> None:
    """Raises an InputError if a head cannot be written to a folder, before it is trained."""
    fix: list[str | Argument] = ["pass ", Argument("folder", None)]
    for head in heads:
        if not isinstance(head, MLGCNHead | LinearHead | SharingHead | LabelGNNHead):
            raise InputError("head", "a head of mlgcn_pyg.nn, which can be saved", type(head).__name__, fix)
        if isinstance(head, LabelGNNHead) and head.gnn_name is None:
            fix.append(", and write the trained head with save_linear(path, head)")
            expected = "a GNN that was given by name, which can be saved"
            raise InputError("head", expected, f"the module {type(head.gnn).__name__}", fix)


def _write_head(run: HeadsRun, k: int, path: Path) -> None:
    head = run.heads[k]
    assert isinstance(head, StandardizedHead)  # checked before the first step
    save_head(path, head, config=asdict(run.configs[k]) | {"epoch": run.histories[k].last["epoch"]})

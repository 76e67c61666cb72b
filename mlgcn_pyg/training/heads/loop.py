"""The training loop of heads: steps, validation, checkpoints."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from mlgcn_pyg.checkpoints import save_head
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.evaluation import mean_average_precision
from mlgcn_pyg.nn import LinearHead, MLGCNHead, SharingHead
from mlgcn_pyg.training.heads.run import HeadsRun
from mlgcn_pyg.training.heads.scoring import source_logits
from mlgcn_pyg.training.history import Record
from mlgcn_pyg.training.interruption import Interruption
from mlgcn_pyg.training.run_folder import RunFolder
from mlgcn_pyg.typing import RowSource, TrainingStep


def train_heads(
    run: HeadsRun,
    step: TrainingStep,
    source: RowSource,
    validation: RowSource | None,
    folder: RunFolder,
    progress: Callable[[int, Record], None] | None,
) -> None:
    """Trains from the position of ``run`` to the last epoch."""
    recipe = run.configs[0]

    def save() -> None:
        if folder.path is None:
            return
        run.check_losses(folder.last_saved)  # raises, so that a diverged state never replaces a good one
        folder.save_state(run.state())

    with Interruption(wanted=folder.path is not None) as stop:
        while not run.finished:
            lrs = run.learning_rates().to(source.device)
            rows = source.row_batches(recipe.batch_size, recipe.seed, run.epoch, start=run.step)
            while run.step < run.num_steps:
                run.record_losses(step.advance(rows, lrs[run.step :]))  # takes one or more steps
                folder.save_or_end(stop, save)

            run.check_losses(folder.last_saved)
            records = run.end_epoch(_validate(run, validation))
            for k, record in records.items():
                folder.append_history(run.names[k], record)
                if run.histories[k].best is record:
                    folder.keep(f"{run.names[k]}-best", partial(_write_head, run, k))
            if run.finished or folder.is_due(stop):
                for k, name in enumerate(run.names):
                    folder.keep(f"{name}-last", partial(_write_head, run, k))
                save()
            if progress:
                for k, record in records.items():
                    progress(k, record)
            stop.obey()


def _validate(run: HeadsRun, validation: RowSource | None) -> dict[int, float]:
    """Returns the mAP of each running head, by the number of the head; empty in an epoch without validation."""
    recipe, running = run.configs[0], run.running
    if validation is None or (run.epoch % recipe.val_every and run.epoch != recipe.epochs):
        return {}
    logits, targets = source_logits([run.heads[k] for k in running], validation, recipe.views)
    return {k: mean_average_precision(values, targets) for k, values in zip(running, logits, strict=True)}


def _write_head(run: HeadsRun, k: int, path: Path) -> None:
    head = run.heads[k]
    if not isinstance(head, MLGCNHead | LinearHead | SharingHead):
        fix: list[str | Argument] = ["pass ", Argument("folder", None)]
        raise InputError(
            "head", "an MLGCNHead, a SharingHead or a LinearHead, which can be saved", type(head).__name__, fix
        )
    save_head(path, head, config=asdict(run.configs[k]) | {"epoch": run.histories[k].last["epoch"]})

"""Reports during training: progress every few steps, and what follows each epoch."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.training.history import Record
from mlgcn_pyg.training.model.run import ModelRun
from mlgcn_pyg.training.trackers import LogWith, Trackers, listed, settings_of

REPORT_EVERY = 10  # steps; more frequent reports would wait for the device too often


class ProgressReport:
    """Calls ``progress`` every few steps of an epoch, with the mean loss and the speed since the last call."""

    def __init__(self, run: ModelRun, progress: Callable[[dict], None] | None):
        self.run, self.progress = run, progress
        self.first_step, self.start_time = run.step, time.perf_counter()

    def after_step(self) -> None:
        """Calls ``progress`` if a report is due."""
        run, step = self.run, self.run.step
        if self.progress is None or (step % REPORT_EVERY and step != run.num_steps):
            return
        images = int(run.sizes[self.first_step : step].sum())
        # this process's part of the loss, scaled up as an estimate of the whole
        loss = float(run.trainee.size * run.losses[self.first_step : step].mean())
        seconds = time.perf_counter() - self.start_time
        self.first_step, self.start_time = step, time.perf_counter()
        self.progress({
            "epoch": run.epoch, "step": step, "steps": run.num_steps, "lr": run.lr, "loss": loss,
            "images_per_second": images / seconds,
        })  # fmt: skip


@dataclass(frozen=True)
class Observers:
    """The functions and trackers that are told of a run. Progress is reported in each process.

    Attributes:
        progress: a function for progress; None for none.
        callback: a function that returns True to end the run; None for none.
        trackers: the trackers; none in processes other than the first.
        ranks: the processes of the run.
    """

    progress: Callable[[dict], None] | None
    callback: Callable[[Record], bool | None] | None
    trackers: Trackers
    ranks: Ranks

    def begin(self, run: ModelRun) -> None:
        """Starts the trackers of a run that is not finished, and sends the records that they have not received."""
        self.trackers.describe(settings_of(run.trainee.config))
        if not run.finished:
            self.ranks.share(self.trackers.start)
        self.trackers.log(run.history.epochs)

    def call_back(self, run: ModelRun, save: Callable[[], None]) -> None:
        """Calls the callback in the first process, and ends the run if it returns True.

        Nothing happens if the run does not await it. If it raises an exception, the saved state awaits it.
        """
        callback = self.callback
        if not run.awaits_callback or callback is None:
            return
        run.ended = self.ranks.share(lambda: bool(callback(run.history.last)))
        run.awaits_callback = False
        if run.finished:
            save()


def with_tensorboard(log_with: LogWith, tensorboard: bool) -> LogWith:
    """Returns ``log_with`` with TensorBoard added if the deprecated argument ``tensorboard`` is True."""
    if not tensorboard:
        return log_with
    text = "the argument tensorboard of fit_model is deprecated; use log_with='tensorboard'"
    warnings.warn(text, DeprecationWarning, stacklevel=3)
    return ["tensorboard", *(value for value in listed(log_with) if value != "tensorboard")]

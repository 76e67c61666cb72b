"""Reports during training: progress every few steps, and curves for TensorBoard."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.training.history import Record
from mlgcn_pyg.training.model.run import ModelRun

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


@contextmanager
def tensorboard_curves(folder: Path | None) -> Iterator[Callable[[Record], None]]:
    """Yields a function that adds a record to the curves in ``folder/tensorboard``.

    Without a folder, the function does nothing.
    """
    if folder is None:
        yield lambda record: None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder / "tensorboard")

    def add(record: Record) -> None:
        for name in ("loss", "lr", "mAP"):
            if name in record:
                writer.add_scalar(name, record[name], record["epoch"])
        writer.flush()

    try:
        yield add
    finally:
        writer.close()


def check_tensorboard(folder: str | Path | None) -> None:
    """Checks that curves can be written.

    Raises:
        InputError: if ``folder`` is None, or TensorBoard is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        fix = "pip install 'mlgcn_pyg[tensorboard]'"
        raise InputError("tensorboard", "an installed TensorBoard", "none", fix) from error
    if folder is None:
        raise InputError("tensorboard", "a folder for the curves", "none", ["pass ", Argument("folder")])

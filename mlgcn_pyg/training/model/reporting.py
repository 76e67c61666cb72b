"""What a run reports while it trains: progress in seconds, curves for TensorBoard."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.training.history import Record
from mlgcn_pyg.training.model.run import ModelRun

REPORT_EVERY = 10  # steps; reading a loss waits for the device


class ProgressReport:
    """Calls ``progress`` every few steps of an epoch, with the mean loss and the speed since the last call."""

    def __init__(self, run: ModelRun, progress: Callable[[dict], None] | None):
        self.run, self.progress = run, progress
        self.start, self.started = run.step, time.perf_counter()

    def step_done(self) -> None:
        """Reports if a report is due."""
        run, step = self.run, self.run.step
        if self.progress is None or (step % REPORT_EVERY and step != run.num_steps):
            return
        images = int(run.sizes[self.start : step].sum())
        # estimated from the images of this process
        loss = float(run.trainee.size * run.losses[self.start : step].mean())
        seconds = time.perf_counter() - self.started
        self.start, self.started = step, time.perf_counter()
        self.progress({
            "epoch": run.epoch, "step": step, "steps": run.num_steps, "lr": run.lr, "loss": loss,
            "images_per_second": images / seconds,
        })  # fmt: skip


@contextmanager
def tensorboard_curves(folder: Path | None) -> Iterator[Callable[[Record], None]]:
    """Yields a function that adds a record to the curves in ``folder/tensorboard``; it does nothing if there is no
    folder."""
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
        InputError: if there is no folder for them, or TensorBoard is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        fix = "pip install 'mlgcn_pyg[tensorboard]'"
        raise InputError("tensorboard", "an installed TensorBoard", "none", fix) from error
    if folder is None:
        raise InputError("tensorboard", "a folder for the curves", "none", ["pass ", Argument("folder")])

"""A training run of heads: the heads, their optimizers, and the position of the run."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.training.config import HeadSettings
from mlgcn_pyg.training.divergence import check_losses
from mlgcn_pyg.training.heads.steps import trained_tensors
from mlgcn_pyg.training.history import History, Record, checked_records
from mlgcn_pyg.training.run_folder import StateFormat, plain_copy, read_run_state
from mlgcn_pyg.typing import Head, RowSource

HEADS_STATE = StateFormat(
    "mlgcn_pyg.training", "a training run", frozenset({"epoch", "step", "losses", "histories", "tensors"})
)


class HeadsRun:
    """Heads in training, and the position of the run: ``step`` steps of epoch ``epoch`` (from 1) are done.

    Args:
        heads: H heads.
        names: H names, for messages and files.
        configs: H configs.
        optimizers: H optimizers.
        source: the training data.

    Attributes:
        losses: (steps, H) of the current epoch, on the device. They are copied to the CPU once per epoch, since a copy
            waits for the device.
        histories: H histories.
        ended: the numbers of the heads whose training a callback ended.
        awaits_callback: whether the callback of the last epoch has not returned yet.
    """

    def __init__(
        self,
        heads: Sequence[Head],
        names: Sequence[str],
        configs: Sequence[HeadSettings],
        optimizers: Sequence[torch.optim.Optimizer],
        source: RowSource,
    ):
        self.heads, self.names, self.configs, self.optimizers = list(heads), list(names), list(configs), optimizers
        self.num_images, self.batch_size = source.num_images, configs[0].batch_size
        self.num_steps = -(-self.num_images // self.batch_size)
        dtype = next(iter(heads[0].parameters())).dtype
        self.losses = torch.zeros(self.num_steps, len(heads), dtype=dtype, device=source.device)
        self.histories = [History() for _ in heads]
        self.epoch, self.step = 1, 0
        self.ended: set[int] = set()
        self.awaits_callback = False

    @property
    def running(self) -> list[int]:
        """The numbers of the heads whose training continues."""
        return [k for k in range(len(self.heads)) if k not in self.ended and not self._stopped_early(k)]

    def _stopped_early(self, k: int) -> bool:
        patience = self.configs[k].patience
        return patience is not None and self.histories[k].validations_since_best() >= patience

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the training of all heads has been ended early."""
        return self.epoch > self.configs[0].epochs or not self.running

    def learning_rates(self) -> Tensor:
        """Returns the learning rates (steps, H) of the epoch, float64. A rate of 0 leaves a stopped head unchanged."""
        lrs = torch.zeros(self.num_steps, len(self.heads), dtype=torch.float64)
        for k in self.running:
            first = (self.epoch - 1) * self.num_steps
            steps = range(first, first + self.num_steps)
            lrs[:, k] = torch.tensor([self._lr(k, step) for step in steps], dtype=torch.float64)
        return lrs

    def _lr(self, k: int, step: int) -> float:
        """Returns the learning rate of head k in a step of the run."""
        return self.configs[k].lr * self.configs[k].lr_factor(step, self.num_steps)

    def _first_lr(self, k: int) -> float:
        """Returns the learning rate of head k in the first step of the epoch."""
        return self._lr(k, (self.epoch - 1) * self.num_steps)

    def record_losses(self, losses: Tensor) -> None:
        """Records the losses (n, H) of n steps."""
        self.losses[self.step : self.step + len(losses)] = losses
        self.step += len(losses)

    def check_losses(self, last_saved: str) -> None:
        """Checks the losses of the epoch; see :func:`~mlgcn_pyg.training.divergence.check_losses`."""
        running = self.running
        lrs = [self._first_lr(k) for k in running]
        names = [self.names[k] for k in running]
        check_losses(self.losses[: self.step, running], self.epoch, lrs, names, last_saved)

    def end_epoch(self, mean_aps: dict[int, float]) -> dict[int, Record]:
        """Appends a record to the histories of the running heads, and moves to the next epoch.

        Args:
            mean_aps: the mAP of each validated head, by the number of the head.

        Returns:
            The new records, by the number of the head.
        """
        sizes = torch.full((self.num_steps, 1), float(self.batch_size))
        sizes[-1] = self.num_images - self.batch_size * (self.num_steps - 1)
        means = ((self.losses.double().cpu() * sizes).sum(0) / self.num_images).tolist()
        records: dict[int, Record] = {}
        for k in self.running:
            records[k] = {"epoch": self.epoch, "lr": self._first_lr(k), "loss": means[k]}
            if k in mean_aps:
                records[k]["mAP"] = mean_aps[k]
        for k, record in records.items():
            self.histories[k].epochs.append(record)
        self.epoch, self.step = self.epoch + 1, 0
        return records

    def last_records(self) -> dict[int, Record]:
        """Returns the records of the last epoch, by the number of the head. Heads that ended earlier have none."""
        last = {k: history.last for k, history in enumerate(self.histories) if history.epochs}
        return {k: record for k, record in last.items() if record["epoch"] == self.epoch - 1}

    def state(self) -> dict:
        """Returns everything that resuming needs, as plain values."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "losses": self.losses[: self.step].to("cpu", copy=True),
            "histories": [list(map(dict, history.epochs)) for history in self.histories],
            "ended": sorted(self.ended),
            "awaits_callback": self.awaits_callback,
            "tensors": [plain_copy(tensors) for tensors in trained_tensors(self.optimizers)],
        }

    @torch.no_grad()
    def load_state(self, state: dict) -> None:
        """Restores what :meth:`state` returned."""
        for tensors, saved in zip(trained_tensors(self.optimizers), state["tensors"], strict=True):
            for name, tensor in tensors.items():
                if saved[name].shape != tensor.shape:  # copy_ would repeat a smaller tensor
                    raise ValueError(f"{name} of shape {tuple(saved[name].shape)} instead of {tuple(tensor.shape)}")
                tensor.copy_(saved[name])  # in place, since a captured graph refers to this memory
        self.epoch, self.step = state["epoch"], state["step"]
        self.losses[: self.step] = state["losses"].to(self.losses).view_as(self.losses[: self.step])
        self.histories = [History(checked_records(records)) for records in state["histories"]]
        # states of earlier releases have neither of these
        self.ended, self.awaits_callback = set(map(int, state.get("ended", ()))), bool(state.get("awaits_callback"))


def saved_epoch(folder: str | Path) -> int | None:
    """Returns the epoch that the run in ``folder`` has reached; None if there is no run.

    Raises:
        InputError: if the state of the run is damaged.
    """
    state = read_run_state(folder, HEADS_STATE)
    return None if state is None else state["epoch"]

"""A training run of a whole network: the network in training and the position of the run."""

import torch
from torch import Tensor

from mlgcn_pyg.training.divergence import check_losses
from mlgcn_pyg.training.history import History, Record, checked_records
from mlgcn_pyg.training.model.trainee import Trainee
from mlgcn_pyg.training.run_folder import StateFormat

MODEL_STATE = StateFormat(
    "mlgcn_pyg.model_training", "a network's training", frozenset({"trainee", "epoch", "step", "losses", "history"})
)


class ModelRun:
    """A network in training, and the position of the run: ``step`` steps of epoch ``epoch`` (from 1) are done.

    Args:
        trainee: the network in training.
        sizes: (steps,) the number of images in each batch of an epoch.

    Attributes:
        losses: (steps,) this process's part of each loss of the current epoch, on the device.
        history: the :class:`~mlgcn_pyg.training.History`.
        ended: whether a callback ended the run.
        awaits_callback: whether the callback of the last epoch has not returned yet.
    """

    def __init__(self, trainee: Trainee, sizes: Tensor):
        self.trainee, self.sizes = trainee, sizes
        self.epoch, self.step, self.history = 1, 0, History()
        self.losses = torch.zeros(len(sizes), device=trainee.accelerator.device)
        self.ended, self.awaits_callback = False, False

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or a callback ended the run."""
        return self.ended or self.epoch > self.trainee.config.epochs

    @property
    def num_steps(self) -> int:
        """The number of steps of an epoch."""
        return len(self.sizes)

    @property
    def step_of_run(self) -> int:
        """The number of steps since the start of the run."""
        return (self.epoch - 1) * self.num_steps + self.step

    @property
    def lr(self) -> float:
        """The head's learning rate in the last step."""
        return self.trainee.optimizer.param_groups[-1]["lr"]

    def batch_losses(self, last_saved: str) -> Tensor:
        """Returns the losses (step,) of the current epoch, summed over all processes, on the CPU.

        All processes must call this method together.

        Raises:
            NonFiniteLossError: if a loss is not finite.
        """
        if not self.step:
            return torch.zeros(0)
        losses = self.trainee.accelerator.reduce(self.losses[: self.step], "sum").cpu()
        check_losses(losses.unsqueeze(1), self.epoch, [self.lr], last_saved=last_saved)
        return losses

    def end_epoch(self, losses: Tensor, mean_ap: float | None) -> Record:
        """Appends a record to the history, returns it, and moves to the next epoch.

        Args:
            losses: the result of :meth:`batch_losses`.
            mean_ap: the mAP; None in an epoch without validation.
        """
        loss = float((losses.double() * self.sizes).sum() / self.sizes.sum())
        record: Record = {"epoch": self.epoch, "lr": self.lr, "loss": loss}
        if mean_ap is not None:
            record["mAP"] = mean_ap
        self.history.epochs.append(record)
        self.epoch, self.step = self.epoch + 1, 0
        return record

    def state(self, losses: Tensor, *, with_trainee: bool) -> dict:
        """Returns everything that resuming needs, as plain values.

        Args:
            losses: the result of :meth:`batch_losses`.
            with_trainee: whether to copy the network and its optimizer; needed only in the process that writes.
        """
        position = {"epoch": self.epoch, "step": self.step, "losses": losses, "history": self.history.epochs}
        position |= {"ended": self.ended, "awaits_callback": self.awaits_callback}
        return position | ({"trainee": self.trainee.state()} if with_trainee else {})

    def load_state(self, state: dict, *, with_losses: bool) -> None:
        """Restores what :meth:`state` returned.

        Args:
            state: the result of :meth:`state`.
            with_losses: whether this process takes the stored losses. True in one process only, since the losses of all
                processes are summed later.
        """
        self.trainee.load_state(state["trainee"])
        self.epoch, self.step = state["epoch"], state["step"]
        losses = state["losses"].to(self.losses).view_as(self.losses[: self.step])
        self.losses[: self.step] = losses * with_losses
        self.history = History(checked_records(state["history"]))
        # states of earlier releases have neither of these
        self.ended, self.awaits_callback = bool(state.get("ended")), bool(state.get("awaits_callback"))

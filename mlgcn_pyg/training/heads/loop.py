"""The loop: epochs of steps, validation, records; and where it is, so that it can go on from there."""

from collections.abc import Callable, Sequence

import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import multilabel_metrics
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.heads.scoring import source_logits
from mlgcn_pyg.training.heads.steps import set_lr, trained_tensors
from mlgcn_pyg.training.history import History
from mlgcn_pyg.training.run_folder import Interruption, RunFolder, plain_copy
from mlgcn_pyg.typing import RowSource, TrainingStep


class Training:
    """Heads in training and their position: ``step`` steps of epoch ``epoch`` (from 1) are done.

    Attributes:
        losses: (steps of an epoch, H), on the device, looked at once per epoch.
    """

    def __init__(
        self,
        heads: Sequence[torch.nn.Module],
        names: Sequence[str],
        configs: Sequence[HeadConfig],
        optimizers: Sequence[torch.optim.SGD],
        source: RowSource,
    ):
        self.heads, self.names, self.configs, self.optimizers = heads, list(names), list(configs), optimizers
        self.num_images, self.batch_size = source.num_images, configs[0].batch_size
        steps = -(-source.num_images // self.batch_size)
        self.losses = torch.zeros(steps, len(heads), dtype=next(heads[0].parameters()).dtype, device=source.device)
        self.histories = [History() for _ in heads]
        self.epoch, self.step, self.folder = 1, 0, None

    def active(self, k: int) -> bool:
        """Whether head k has not been stopped early."""
        patience = self.configs[k].patience
        return patience is None or self.histories[k].waited() < patience

    @property
    def finished(self) -> bool:
        return self.epoch > self.configs[0].epochs or not any(map(self.active, range(len(self.heads))))

    def set_lrs(self) -> None:
        """The epoch's learning rates; with 0 a stopped head stays as it is."""
        for k, optimizer in enumerate(self.optimizers):
            set_lr(optimizer, self.configs[k].lr_at(self.epoch) if self.active(k) else 0.0)

    def check_losses(self) -> None:
        """InputError where a loss of this epoch is no number any more."""
        running = [k for k in range(len(self.heads)) if self.active(k)]
        bad = (~self.losses[: self.step, running].isfinite()).nonzero()
        if len(bad):
            step, column = bad[0].tolist()
            k = running[column]
            lr, loss = self.configs[k].lr_at(self.epoch), float(self.losses[step, k])
            raise InputError(
                "lr",
                "a learning rate at which training converges",
                f"loss {loss} in epoch {self.epoch}, step {step + 1} ({self.names[k]}) at lr {lr:g}",
                fix="try a tenth of it" + ("" if self.folder is None else f"; last good state: {self.folder.saved}"),
            )

    def close_epoch(self, validation: RowSource | None) -> dict[int, dict]:
        """Validates where it is due, and moves on to the next epoch; the records of the heads still in training."""
        self.check_losses()
        recipe, sizes = self.configs[0], torch.full((len(self.losses), 1), float(self.batch_size))
        sizes[-1] = self.num_images - self.batch_size * (len(self.losses) - 1)
        means = ((self.losses.double().cpu() * sizes).sum(0) / self.num_images).tolist()
        running = [k for k in range(len(self.heads)) if self.active(k)]
        records = {k: {"epoch": self.epoch, "lr": self.configs[k].lr_at(self.epoch), "loss": means[k]} for k in running}
        if validation is not None and (self.epoch % recipe.val_every == 0 or self.epoch == recipe.epochs):
            logits, targets = source_logits([self.heads[k] for k in running], validation, recipe.views)
            for k, found in zip(running, logits, strict=True):
                records[k]["mAP"] = multilabel_metrics(found, targets)["mAP"]
        for k, record in records.items():
            self.histories[k].epochs.append(record)
        self.epoch, self.step = self.epoch + 1, 0
        return records

    def state(self) -> dict:
        """All that going on exactly needs, plain."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "losses": self.losses[: self.step].to("cpu", copy=True),
            "histories": [list(map(dict, history.epochs)) for history in self.histories],
            "tensors": [plain_copy(tensors) for tensors in trained_tensors(self.optimizers)],
        }

    @torch.no_grad()
    def load(self, state: dict) -> None:
        for ours, theirs in zip(trained_tensors(self.optimizers), state["tensors"], strict=True):
            for name, tensor in ours.items():
                tensor.copy_(theirs[name])  # in place: a captured graph holds the addresses
        self.epoch, self.step = state["epoch"], state["step"]
        self.losses[: self.step] = state["losses"].to(self.losses)
        self.histories = [History(list(records)) for records in state["histories"]]


def run_training(
    training: Training,
    step: TrainingStep,
    source: RowSource,
    validation: RowSource | None,
    folder: RunFolder,
    progress: Callable[[int, dict], None] | None,
) -> None:
    """Runs ``training`` from where it is to its end."""
    recipe = training.configs[0]
    with Interruption(wanted=folder.path is not None) as stop:
        while not training.finished:
            training.set_lrs()
            rows = source.row_batches(recipe.batch_size, recipe.seed, training.epoch, start=training.step)
            while training.step < len(training.losses):
                losses = step.advance(rows)
                training.losses[training.step : training.step + len(losses)] = losses
                training.step += len(losses)
                folder.after_step(training, stop)
                stop.obey()
            records = training.close_epoch(validation)
            folder.after_epoch(training, records, stop)
            if progress:
                for k, record in records.items():
                    progress(k, record)
            stop.obey()

"""A whole network's run on disk, and where it is; one process writes for all."""

import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils.data import Dataset

from mlgcn_pyg.checkpoints import save_model
from mlgcn_pyg.checks import check_number
from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.provenance import manifest_digest
from mlgcn_pyg.files import leftovers, load_plain, save_plain, tensor_digest, write_text
from mlgcn_pyg.nn import MLGCN
from mlgcn_pyg.training.config import ModelConfig, current_names
from mlgcn_pyg.training.heads.fit import check_loss
from mlgcn_pyg.training.history import History, json_line
from mlgcn_pyg.training.model.trainee import Trainee
from mlgcn_pyg.training.run_folder import Interruption, first_difference, read_state

FORMAT = "mlgcn_pyg.model_training"
PARTS = {"setup", "trainee", "epoch", "step", "losses", "history"}  # of a state
FILES = ("state.pt", "history.jsonl", "last.pt", "best.pt")
PLACE = ("num_workers", "cpu", "compile", "channels_last", "accumulate")  # where and how, not what is computed


class ModelFolder:
    """Where a run is, and its folder; with ``path`` None a run that leaves nothing.

    ``state.pt`` holds weights, momenta, averages, the position (epoch and step) and the history, ``last.pt`` and
    ``best.pt`` are networks for :func:`~mlgcn_pyg.nn.load_model`, ``history.jsonl`` has a line per epoch. Every file is
    whole at every moment.

    Attributes:
        epoch, step: ``step`` steps of epoch ``epoch`` (from 1) are done.
        losses: this process's parts of the epoch's losses, one per step, on the device.
    """

    def __init__(
        self,
        path: str | Path | None,
        setup: dict | None,
        trainee: Trainee,
        steps: int,
        save_seconds: float,
        tensorboard: bool,
    ):
        self.path, self.setup, self.trainee = None if path is None else Path(path), setup, trainee
        self.save_seconds = check_number("save_seconds", save_seconds, 0, float("inf"))
        self.epoch, self.step, self.history, self.saved_at = 1, 0, History(), time.monotonic()
        self.losses = torch.zeros(steps, device=trainee.accelerator.device)
        self.ranks, self.board = Ranks(), None
        if self.path is not None and self.path.exists() and not self.path.is_dir():
            raise InputError("folder", "a folder", f"the file {path}")
        if tensorboard and self.leads:
            self.board = open_board(self.path)

    @property
    def leads(self) -> bool:
        return self.trainee.rank == 0

    def restore(self) -> None:
        """Goes to where the folder's state is, if it has one; InputError for another run's."""
        if self.path is None:
            return
        state = read_state(self.path, FORMAT, "a network's training", PARTS)
        if state is not None:
            if difference := first_difference(current_names(state["setup"]), self.setup):
                fix = "go on with the same data, network and config, or choose another folder"
                raise InputError("folder", "the run that was begun there", f"{difference} ({self.path})", fix)
            self.trainee.load(state["trainee"])
            self.epoch, self.step = state["epoch"], state["step"]
            # the losses so far are everybody's together: the first process brings them
            self.losses[: self.step] = state["losses"].to(self.losses) * self.leads
            self.history = History([dict(record) for record in state["history"]])
        place = (self.epoch - 1) * len(self.losses) + self.step
        if self.ranks.most(place) != -self.ranks.most(-place):
            fix = "give one that the machines share"
            raise InputError("folder", "a folder that every process sees", f"different states in {self.path}", fix)
        if self.leads:
            for left in (left for name in FILES for left in leftovers(self.path / name)):
                left.unlink()
            self._publish(again=True)

    def after_step(self, stop: Interruption) -> None:
        """The step is done."""
        self.pause(stop, due=time.monotonic() - self.saved_at >= self.save_seconds)

    def pause(self, stop: Interruption, due: bool = False) -> None:
        """Saves where that is due, and ends the run where that was asked for, in all processes at the same place."""
        if self.path is None:
            return
        due, asked = self.ranks.most(int(due)), self.ranks.most(stop.asked or 0)
        if due or asked:
            self.save()
        if asked:
            stop.asked = asked
            stop.obey()

    def after_epoch(self, record: dict, stop: Interruption) -> None:
        """The epoch is done: state, history, networks, in an order in which each can be made again from the state."""
        self.history.epochs.append(record)
        self.epoch, self.step = self.epoch + 1, 0
        if self.path is None:
            return
        self.save()
        if self.leads:
            self._publish()
            if self.board is not None:
                for name in ("loss", "lr", "mAP"):
                    if name in record:
                        self.board.add_scalar(name, record[name], record["epoch"])
                self.board.flush()
        self.pause(stop)

    def _publish(self, again: bool = False) -> None:
        """Writes the history, and the networks of an epoch that has just ended; ``again`` only those that are not there
        yet: a finished one may hold thresholds by now."""
        write_text(self.path / "history.jsonl", "".join(map(json_line, self.history.epochs)))
        if self.step or not self.history.epochs:
            return
        record = self.history.last
        earned = ("last", "best") if self.history.best is record else ("last",)
        for path in (self.path / f"{which}.pt" for which in earned):
            if not (again and _epoch_of(path) == record["epoch"]):
                size, config = self.setup["train"]["image_size"], asdict(self.trainee.config)
                config |= {"epoch": record["epoch"]}
                save_model(path, self.trainee.best_weights, image_size=size, config=config)

    def save(self) -> None:
        """Writes the state; every process takes part, the first one writes."""
        losses = self.trainee.accelerator.reduce(self.losses[: self.step], "sum").cpu() if self.step else torch.zeros(0)
        for loss in losses.tolist():
            check_loss(loss, self.epoch, self.trainee.optimizer.param_groups[-1]["lr"])  # never over a good state
        if self.leads:
            where = {"epoch": self.epoch, "step": self.step, "losses": losses, "history": self.history.epochs}
            content = {"format": FORMAT, "version": 1, "setup": self.setup, "trainee": self.trainee.state()}
            save_plain(self.path / "state.pt", content | where)
        self.saved_at = time.monotonic()


def _epoch_of(path: Path) -> int | None:
    """The epoch whose network lies in ``path``; None where there is none that is whole."""
    try:
        return load_plain("path", path)["config"]["epoch"]
    except (InputError, KeyError, TypeError):
        return None


def describe_run(model: MLGCN, train: Dataset, val: Dataset | None, config: ModelConfig) -> dict:
    """What two runs must share to be one: recipe, network and data; where they run is theirs."""
    recipe = {name: value for name, value in asdict(config).items() if name not in PLACE}
    learned = {name for name, _ in model.head.named_parameters()}
    fixed = {name: value for name, value in model.head.state_dict().items() if name not in learned}
    backbone = {name: getattr(model.backbone, name, None) for name in ("name", "pool", "num_features", "weights")}
    shapes = {name: list(p.shape) for name, p in model.head.named_parameters()}
    network = {"backbone": backbone, "head": shapes, "graph": tensor_digest(fixed)}
    network["fixed"] = [name for name, p in model.named_parameters() if not p.requires_grad]
    data = {"train": _describe_data(train), "val": None if val is None else _describe_data(val)}
    return {"recipe": recipe, "network": network, "labels": list(model.label_names)} | data


def _describe_data(data: Dataset) -> dict:
    size = list(data[0][0].shape[-2:])
    return {"images": len(data), "digest": manifest_digest(data), "image_size": size}


def open_board(folder: Path | None):
    """TensorBoard's writer. Raises InputError where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        fix = "pip install 'mlgcn_pyg[tensorboard]'"
        raise InputError("tensorboard", "TensorBoard", "none installed", fix) from error
    if folder is None:
        raise InputError("tensorboard", "a folder for the curves", "none", "give folder")
    return SummaryWriter(folder / "tensorboard")

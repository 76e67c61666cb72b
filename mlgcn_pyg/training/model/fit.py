"""Fitting backbone and head end to end (Sec. 4.2)."""

import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from mlgcn_pyg.checks import check_same_labels
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import multilabel_metrics
from mlgcn_pyg.files import own_folder
from mlgcn_pyg.loading import load_batches
from mlgcn_pyg.nn import MLGCN
from mlgcn_pyg.training.config import ModelConfig
from mlgcn_pyg.training.heads.fit import check_loss
from mlgcn_pyg.training.history import History
from mlgcn_pyg.training.model.folder import ModelFolder, describe_run
from mlgcn_pyg.training.model.shares import batches, pieces_in_order, shares
from mlgcn_pyg.training.model.trainee import Trainee
from mlgcn_pyg.training.run_folder import Interruption

TOLD_EVERY = 10  # steps between two reports: looking at a loss waits for the device


def fit_model(
    model: MLGCN,
    train_set: Dataset,
    val_set: Dataset | None = None,
    config: ModelConfig | None = None,
    *,
    folder: str | Path | None = None,
    save_seconds: float = 600.0,
    tensorboard: bool = False,
    progress: Callable[[dict], None] | None = None,
) -> History:
    r"""Trains ``model`` in place on photographs, in one process or in all those of a ``torchrun`` or ``accelerate
    launch``:

    .. math:: \mathcal{L} = \frac{1}{BC} \sum_{\text{known}} \ell(z_{bc}, y_{bc})

    over the whole batch, however many processes or pieces it is computed in. Order, augmentation and dropout are
    functions of (seed, epoch, step or index). With ``folder``, a run that was interrupted by Ctrl-C, SIGTERM or a crash
    goes on where its state was last written when it is called again; on a CPU the result is that of an uninterrupted
    run, bit for bit.

    Args:
        model: backbone and head; parameters without ``requires_grad`` stay as they are.
        train_set, val_set: data sets of this package, items ``(image, target, index)``.
        config: the recipe; the paper's by default.
        folder: for ``state.pt``, ``history.jsonl``, and the networks ``last.pt`` and ``best.pt`` (``load_model``).
        save_seconds: the state is written at least this often, and when the run is interrupted.
        tensorboard: also write curves to ``folder/tensorboard``.
        progress: called every few steps with ``{"epoch", "step", "steps", "loss", "lr", "images_per_second"}``.

    Returns:
        The :class:`History`; ``history.last`` is the result.

    Raises:
        InputError: labels that disagree with the model's, no image, images that do not decode, a folder of another run
            (what differs is named), or a loss that is no number any more.
    """
    config = config or ModelConfig()
    for argument, data in (("train_set", train_set), ("val_set", val_set)):
        if data is not None:
            check_same_labels(argument, data.label_names, model.label_names, "the model")
            if not len(data):
                raise InputError(argument, "at least one image", "none")
    train_set.seed = config.seed
    trainee = Trainee(model, config)
    sizes = torch.tensor([len(batch) for batch in batches(len(train_set), config, 1)])  # of every epoch's batches
    setup = describe_run(model, train_set, val_set, config) if folder is not None else None
    run = ModelFolder(folder, setup, trainee, len(sizes), save_seconds, tensorboard)
    try:
        with own_folder(run.path if run.leads else None), Interruption(wanted=folder is not None) as stop:
            run.restore()
            while run.epoch <= config.epochs:
                _train_epoch(trainee, train_set, sizes, run, stop, progress)
                record = _epoch_record(trainee, run, sizes, val_set, partial(run.pause, stop))
                run.after_epoch(record, stop)
    finally:
        trainee.finish()
    return run.history


def _train_epoch(
    trainee: Trainee, data, sizes: Tensor, run: ModelFolder, stop: Interruption, progress: Callable | None
) -> None:
    """The steps of an epoch that are still to be done."""
    config, steps = trainee.config, len(run.losses)
    data.epoch = run.epoch
    trainee.begin_epoch(run.epoch)
    own = shares(len(data), config, run.epoch, trainee.rank, trainee.size)[run.step :]
    pinned = trainee.accelerator.device.type == "cuda"
    told, since = run.step, time.perf_counter()
    for pieces in pieces_in_order(data, own, config.num_workers, pinned):
        number = (run.epoch - 1) * steps + run.step
        run.losses[run.step] = trainee.step(pieces, number, config.lr_factor(number, steps))
        run.step += 1
        if progress and (run.step % TOLD_EVERY == 0 or run.step == steps):
            images = int(sizes[told : run.step].sum())
            loss = float(trainee.size * run.losses[told : run.step].mean())  # this process's images stand for all
            seconds, told, since = time.perf_counter() - since, run.step, time.perf_counter()
            where = {
                "epoch": run.epoch,
                "step": run.step,
                "steps": steps,
                "lr": trainee.optimizer.param_groups[-1]["lr"],
            }
            progress(where | {"loss": loss, "images_per_second": images / seconds})
        run.after_step(stop)


def _epoch_record(
    trainee: Trainee, run: ModelFolder, sizes: Tensor, val_set: Dataset | None, pause: Callable[[], None]
) -> dict:
    config = trainee.config
    losses = trainee.accelerator.reduce(run.losses, "sum").double().cpu()
    lr = trainee.optimizer.param_groups[-1]["lr"]
    record = {
        "epoch": run.epoch,
        "lr": lr,
        "loss": check_loss(float((losses * sizes).sum() / sizes.sum()), run.epoch, lr),
    }
    if val_set is not None and (run.epoch % config.val_every == 0 or run.epoch == config.epochs):
        logits = model_logits(trainee, val_set, pause)
        record["mAP"] = multilabel_metrics(logits, val_set.targets)["mAP"]
    return record


@torch.no_grad()
def model_logits(trainee: Trainee, data: Dataset, pause: Callable[[], None] = lambda: None) -> Tensor:
    """Logits (N, C) float32 of all images on the CPU, each image scored by exactly one process.

    ``pause`` is called after each batch, equally often in every process.
    """
    trainee.share_statistics()
    accelerator, model = trainee.accelerator, trainee.best_weights.eval()
    rows = torch.arange(len(data))[trainee.rank :: trainee.size]
    most = -(-len(data) // trainee.size)
    found = torch.zeros(most, len(data.label_names), device=accelerator.device)
    places = torch.full((most,), -1, device=accelerator.device)  # −1: nothing, to make all shares equally long
    share, size = Subset(data, rows.tolist()), max(1, trainee.config.batch_size // trainee.size)
    batches = load_batches(share, batch_size=size, num_workers=trainee.config.num_workers)
    for start in range(0, most, size):
        for images, _, index in islice(batches, 1):  # none where only the others have one left
            with accelerator.autocast():
                logits = model(images.to(accelerator.device, memory_format=trainee.layout))
            own = slice(start, start + len(images))
            found[own], places[own] = logits.float(), index.to(places)
        pause()
    found, places = accelerator.gather(found).cpu(), accelerator.gather(places).cpu()
    there = places >= 0
    assert torch.equal(places[there].sort().values, torch.arange(len(data))), "an image scored twice, or not at all"
    return torch.zeros(len(data), found.size(1)).index_copy_(0, places[there], found[there])

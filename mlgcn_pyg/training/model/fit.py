"""Training backbone and head end to end (Sec. 4.2)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from mlgcn_pyg.checkpoints import save_model
from mlgcn_pyg.checks import check_callable, check_flag, check_path
from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import mean_average_precision
from mlgcn_pyg.labels import check_same_labels
from mlgcn_pyg.nn import MLGCN
from mlgcn_pyg.tensor_checks import check_module
from mlgcn_pyg.training.config import ModelConfig
from mlgcn_pyg.training.history import History, Record
from mlgcn_pyg.training.interruption import Interruption
from mlgcn_pyg.training.label_warnings import warn_of_labels
from mlgcn_pyg.training.model.images import ImageCheck, without
from mlgcn_pyg.training.model.images import record as record_skipped
from mlgcn_pyg.training.model.layout import channels_last_is_faster
from mlgcn_pyg.training.model.reporting import Observers, ProgressReport, with_tensorboard
from mlgcn_pyg.training.model.run import MODEL_STATE, ModelRun
from mlgcn_pyg.training.model.scoring import model_logits
from mlgcn_pyg.training.model.setup import describe_model_run
from mlgcn_pyg.training.model.shares import batches, pieces_in_order, shares
from mlgcn_pyg.training.model.trainee import Trainee
from mlgcn_pyg.training.run_folder import RunFolder
from mlgcn_pyg.training.trackers import LogWith, Trackers, open_trackers
from mlgcn_pyg.typing import LabeledDataset, SeededDataset
from mlgcn_pyg.values import shown

DATASET = ("targets", "label_names", "ids", "__len__", "__getitem__")  # attributes of a data set
FILES = ("state.pt", "history.jsonl", "skipped.json", "last.pt", "best.pt")


def fit_model(
    model: MLGCN,
    train_set: SeededDataset,
    val_set: LabeledDataset | None = None,
    config: ModelConfig | None = None,
    *,
    folder: str | Path | None = None,
    save_seconds: float = 600.0,
    tensorboard: bool = False,
    log_with: LogWith = None,
    progress: Callable[[dict], None] | None = None,
    callback: Callable[[Record], bool | None] | None = None,
    on_error: str = "stop",
    checking: Callable[[int, str], None] | None = None,
) -> History:
    r"""Trains a network end to end and in place on images.

    The function runs in a single process, or in every process that ``torchrun`` or ``accelerate launch`` starts. SGD
    minimises, for each batch of B images,

    .. math:: \frac{1}{BC} \sum_{b,c \text{ known}} \ell(z_{bc}, y_{bc}),

    where z are logits, y targets, and :math:`\ell` is the loss of ``config``. The number of processes, and of the parts
    into which a batch is split, does not change this objective. The order of the images, their augmentation and dropout
    are functions of the seed, the epoch, the step, the index of the image and the rank of the process.

    All images are decoded once before the first epoch, so that a damaged image does not end a run after hours.

    With ``folder``, an interrupted run can be resumed: call this function again with the same arguments after Ctrl-C,
    SIGTERM or a crash. The run resumes from its last saved state. On a CPU, the result equals that of an
    uninterrupted run bit for bit.

    Args:
        model: backbone and head. Parameters without ``requires_grad`` stay fixed.
        train_set: the training images; items are ``(image, target, index)``. Its ``seed`` and ``epoch`` are set during
            training and restored afterwards.
        val_set: the validation images; None disables validation.
        config: the recipe; default: the paper's, ``ModelConfig()``.
        folder: the folder for ``state.pt``, ``history.jsonl``, ``skipped.json`` and the networks ``last.pt`` and
            ``best.pt`` (:func:`~mlgcn_pyg.checkpoints.load_checkpoint`); None writes no files.
        save_seconds: the longest time between two saved states, in seconds. The state is also saved after each epoch
            and when the run is interrupted.
        tensorboard: deprecated; use ``log_with="tensorboard"``.
        log_with: experiment trackers that receive the settings, and ``loss``, ``lr`` and ``mAP`` of each epoch: names
            that Accelerate knows (``"tensorboard"``, ``"wandb"``, ``"mlflow"``, …), instances of
            ``accelerate.tracking.GeneralTracker``, or :class:`~mlgcn_pyg.training.trackers.Trackers`. TensorBoard
            writes to ``folder/tensorboard``.
        progress: a function that is called every few steps with a dict of ``epoch``, ``step``, ``steps``, ``loss``,
            ``lr`` and ``images_per_second``.
        callback: a function that is called in the first process with the record of each epoch, after the files of the
            epoch are written. If it returns True, the run ends there, and counts as finished. If it raises an
            exception, so does this function, and the state of the epoch is kept. If a run is interrupted before the
            function returns, it is called again when the run is resumed.
        on_error: what to do with images that cannot be decoded. ``"stop"`` raises an error before the first epoch that
            names and counts them. ``"skip"`` leaves them out and lists them in ``folder/skipped.json``.
        checking: a function that is called with a number of decoded images and a description before the first epoch.

    Returns:
        The :class:`History`; ``history.last`` is the result.

    Raises:
        InputError: if labels do not match those of the model.
        InputError: if there is no image, or images cannot be decoded.
        InputError: if ``on_error`` is ``"stop"`` and ``folder`` holds a run that skips images.
        InputError: if the device does not support ``config.precision``, or no parameter is trainable in some epoch.
        InputError: if a tracker is not installed or does not start, or requires ``folder``.
        InputError: if ``folder`` holds a run with different data, a different model or a different config.
        NonFiniteLossError: if a loss is not finite.
    """
    config = _checked_config(model, config)
    check_callable("progress", progress)
    check_callable("checking", checking)
    _check_data("train_set", train_set, model)
    if val_set is not None:
        _check_data("val_set", val_set, model)
    check_callable("callback", callback)
    trackers = open_trackers(with_tensorboard(log_with, check_flag("tensorboard", tensorboard)), folder)
    warn_of_labels([model.head])
    path = None if folder is None else check_path("folder", folder)
    check = ImageCheck(on_error, path, config.num_workers, checking)
    trainee = Trainee(model, config)
    try:
        with _seeded(train_set, config.seed):
            ranks = Ranks()
            skipped = check.skipped(train_set, val_set, ranks)
            train_set = without(train_set, skipped.get("train"))
            val_set = None if val_set is None else without(val_set, skipped.get("val"))
            sizes = torch.tensor([len(batch) for batch in batches(len(train_set), config, epoch=1)])
            run = ModelRun(trainee, sizes)
            setup = None if folder is None else describe_model_run(model, train_set, val_set, config)
            run_folder = RunFolder(folder, MODEL_STATE, setup, save_seconds, ranks)
            observers = Observers(progress, callback, trackers if run_folder.is_writer else Trackers(None), ranks)
            with run_folder.lock(), observers.trackers:
                if path is not None and run_folder.is_writer:
                    record_skipped(path, skipped)
                _train(run, train_set, val_set, run_folder, observers)
    finally:
        trainee.finish()
    return run.history


def _checked_config(model: MLGCN, config: ModelConfig | None) -> ModelConfig:
    check_module("model", model, "backbone", "head", "label_names", "param_groups")
    config = ModelConfig() if config is None else config
    if not isinstance(config, ModelConfig):
        raise InputError("config", "a ModelConfig", shown(config))
    return config


def _check_data(argument: str, data: LabeledDataset, model: MLGCN) -> None:
    if missing := [name for name in DATASET if not hasattr(data, name)]:
        raise InputError(argument, f"a data set with {', '.join(missing)}", shown(data))
    check_same_labels(argument, data.label_names, model.label_names, "the model")
    if not len(data):
        raise InputError(argument, "at least one image", "none")


@contextmanager
def _seeded(data: SeededDataset, seed: int) -> Iterator[None]:
    """Sets the seed of a data set within the block, and restores seed and epoch afterwards."""
    before, epoch = getattr(data, "seed", None), getattr(data, "epoch", 0)
    data.seed = seed
    try:
        yield
    finally:
        data.seed = before
        if before is not None:
            data.epoch = epoch


def _train(
    run: ModelRun, train_set: SeededDataset, val_set: LabeledDataset | None, folder: RunFolder, observers: Observers
) -> None:
    """Resumes the run if the folder has a saved state, and trains to the last epoch."""
    trainee, config = run.trainee, run.trainee.config

    def save() -> None:
        if folder.path is None:
            return
        losses = run.batch_losses(folder.last_saved)  # raises, so that a diverged state never replaces a good one
        folder.save_state(run.state(losses, with_trainee=folder.is_writer))

    with Interruption(wanted=folder.path is not None) as stop:
        _resume(run, folder, train_set)
        observers.begin(run)
        observers.call_back(run, save)  # if the run was interrupted before it returned
        while not run.finished:
            train_set.epoch = run.epoch
            trainee.begin_epoch(run.epoch)
            report = ProgressReport(run, observers.progress)
            remaining = shares(len(train_set), config, run.epoch, trainee.rank, trainee.size)[run.step :]
            for pieces in pieces_in_order(train_set, remaining, config.num_workers, pin_memory=trainee.on_gpu):
                lr_factor = config.lr_factor(run.step_of_run, run.num_steps)
                run.losses[run.step] = trainee.step(pieces, run.step_of_run, lr_factor)
                run.step += 1
                report.after_step()
                folder.save_or_end(stop, save)

            losses = run.batch_losses(folder.last_saved)
            mean_ap = _validate(run, val_set, partial(folder.end_if_interrupted, stop, save))
            run.end_epoch(losses, mean_ap)
            run.awaits_callback = observers.callback is not None
            # the state comes first: history and networks can be written again from it
            save()
            folder.write_history("history", run.history.epochs)
            _keep_networks(run, folder)
            observers.trackers.log(run.history.epochs)
            observers.call_back(run, save)
            folder.end_if_interrupted(stop, save)


def _resume(run: ModelRun, folder: RunFolder, train_set: SeededDataset) -> None:
    """Moves to the saved position, if there is one, and makes the files in the folder agree with it."""
    resumed = folder.restore(partial(run.load_state, with_losses=folder.is_writer))
    if not resumed and run.trainee.config.channels_last is None:
        height, width = train_set[0][0].shape[-2:]
        trial = partial(channels_last_is_faster, run.trainee, (height, width))
        run.trainee.set_layout(trial() if folder.ranks is None else folder.ranks.share(trial))
    folder.remove_partial_files(FILES)
    folder.write_history("history", run.history.epochs)
    if run.history.epochs and not run.step:
        # a saved network of this epoch is not replaced, since thresholds may have been added to its file
        _keep_networks(run, folder, unless_epoch=run.history.last["epoch"])


def _validate(run: ModelRun, val_set: LabeledDataset | None, after_batch: Callable[[], None]) -> float | None:
    """Returns the mAP; None in an epoch without validation."""
    config = run.trainee.config
    if val_set is None or (run.epoch % config.val_every and run.epoch != config.epochs):
        return None
    return mean_average_precision(model_logits(run.trainee, val_set, after_batch), val_set.targets)


def _keep_networks(run: ModelRun, folder: RunFolder, unless_epoch: float | None = None) -> None:
    """Writes the network as ``last.pt``, and also as ``best.pt`` if its last epoch is the best.

    Args:
        run: the run at the end of an epoch.
        folder: the folder of the run.
        unless_epoch: the epoch whose files are not replaced.
    """
    if folder.setup is None:
        return
    record = run.history.last
    config = asdict(run.trainee.config) | {"epoch": record["epoch"]}
    size = folder.setup["train"]["image_size"]
    for name in ("last", "best") if run.history.best is record else ("last",):
        if unless_epoch is None or folder.kept_epoch(name) != unless_epoch:
            folder.keep(name, partial(save_model, model=run.trainee.evaluated_model, image_size=size, config=config))

"""Fitting heads on cached features: seconds instead of hours."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.files import own_folder
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.heads.engines import make_step
from mlgcn_pyg.training.heads.loop import Training, run_training
from mlgcn_pyg.training.heads.scoring import Data, open_source
from mlgcn_pyg.training.heads.stacked import check_alike
from mlgcn_pyg.training.heads.steps import make_optimizers, matmul_precision
from mlgcn_pyg.training.history import History
from mlgcn_pyg.training.run_folder import RunFolder, describe

SHARED = ("epochs", "batch_size", "seed", "precision", "val_every", "views")


def fit_head(
    head: torch.nn.Module,
    train: Data,
    val: Data | None = None,
    config: HeadConfig | None = None,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[dict], None] | None = None,
    stream: bool | None = None,
    folder: str | Path | None = None,
    save_seconds: float = 30.0,
) -> History:
    """Trains ``head`` in place on features that stay on ``device``, without a data loader.

    The order of images and the view drawn of each are functions of (seed, epoch). With ``folder``, a run that was
    interrupted, by Ctrl-C, SIGTERM or a crash, goes on where its state was last written when it is called again with
    the same data, head and config; on a CPU the result is that of an uninterrupted run, bit for bit.

    Args:
        head: :class:`~mlgcn_pyg.nn.MLGCNHead` or :class:`~mlgcn_pyg.nn.LinearHead`.
        train, val: a :class:`~mlgcn_pyg.features.FeatureCache`, or features (N, D) or (N, V, D) and targets (N, C).
        config: the recipe; the paper's by default.
        device: where head and batches lie while training.
        progress: called with each epoch's record.
        stream: read caches window by window instead of loading them; by default where one would take over half of
            the free memory. The result is the same.
        folder: where state, history and the last and best checkpoints are kept (``head-last.pt``, …).
        save_seconds: the state is written at least this often, and when the run is interrupted.

    Returns:
        The :class:`History`; ``history.last`` is the result.

    Raises:
        InputError: labels or widths that disagree, no image, NaN features, a folder of another run (what differs is
            named), or a loss that is no number any more (its step and the last good state are named).

    >>> from mlgcn_pyg.nn import LinearHead
    >>> x = torch.eye(4)
    >>> history = fit_head(LinearHead(2, 4), (x, x[:, :2]), (x, x[:, :2]), HeadConfig(lr=1.0, epochs=20))
    >>> history.last["mAP"]
    1.0
    """
    report = None if progress is None else (lambda _, record: progress(record))
    options = {"names": ["head"], "device": device, "progress": report}
    options |= {"stream": stream, "folder": folder, "save_seconds": save_seconds}
    return fit_heads([head], train, val, config, **options)[0]


def fit_heads(
    heads: Sequence[torch.nn.Module],
    train: Data,
    val: Data | None = None,
    config: HeadConfig | Sequence[HeadConfig] | None = None,
    *,
    names: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
    progress: Callable[[int, dict], None] | None = None,
    stream: bool | None = None,
    folder: str | Path | None = None,
    save_seconds: float = 30.0,
) -> list[History]:
    r"""Trains many heads of equal shape in place, at once, over the same batches.

    .. math::
        \min \sum_h \mathcal{L}_h, \qquad
        \mathbf{X} \, [\mathbf{W}^{(1)\top} \cdots \mathbf{W}^{(H)\top}] \text{ in one product}

    Heads share no parameter, so that the gradient of the sum is each head's own: the result is that of
    :func:`fit_head` with each head, to rounding. They may differ in initial weights, label graph (τ, p, weighting,
    edges), and in the config's lr, lr_step, lr_gamma, momentum, weight_decay, clip_norm and patience.

    On a GPU, and for linear heads everywhere, all heads are one batched program. ML-GCN heads on a CPU are trained
    side by side, each by cores of its own, since products of their size are as fast apart as together there.

    Args:
        heads: of one kind and shape. config: one for all, or one each.
        names: of the heads in messages and files; ``head0``, … by default.
        progress: called with the number of a head and its epoch's record.
        train, val, device, stream, folder, save_seconds: as in :func:`fit_head`.

    Returns:
        One :class:`History` per head.

    Raises:
        InputError: as :func:`fit_head`, and for heads of unequal shape or configs that differ in what is shared.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> x = torch.eye(4)
    >>> histories = fit_heads([LinearHead(2, 4), LinearHead(2, 4)], (x, x[:, :2]), config=HeadConfig(epochs=3))
    >>> [len(history.epochs) for history in histories]
    [3, 3]
    """
    heads, device = list(heads), torch.device(device)
    if not heads:
        raise InputError("heads", "at least one head", "none")
    configs, names = _configs(config, len(heads)), _names(names, len(heads))
    if val is None and any(one.patience is not None for one in configs):
        raise InputError("patience", "a validation set to stop early by", "none", fix="give val")
    with matmul_precision(configs[0], device):
        with renamed_arguments(data="train"):
            source, validation = open_source(train, heads[0], device, stream), None
        if val is not None:
            with renamed_arguments(data="val"):
                validation = open_source(val, heads[0], device, stream)
        for argument, data in (("train", source), ("val", validation)):
            if data is not None and not data.num_images:
                raise InputError(argument, "at least one image", "none")
        check_alike([head.to(device).train() for head in heads])
        optimizers = make_optimizers(heads, configs, device)
        training = Training(heads, names, configs, optimizers, source)
        setup = None if folder is None else describe(training, source, validation)
        training.folder = RunFolder(folder, setup, save_seconds)
        with own_folder(training.folder.path):
            training.folder.restore(training)
            if not training.finished:
                step = make_step(heads, source, optimizers, configs)
                try:
                    run_training(training, step, source, validation, training.folder, progress)
                finally:
                    step.release()
    return training.histories


def _configs(config: HeadConfig | Sequence[HeadConfig] | None, count: int) -> list[HeadConfig]:
    if config is None or isinstance(config, HeadConfig):
        return [config or HeadConfig()] * count
    configs = list(config)
    if len(configs) != count:
        raise InputError("config", f"one config, or {count}, one per head", f"{len(configs)}")
    for k, other in enumerate(configs):
        for name in SHARED:
            first, value = asdict(configs[0])[name], asdict(other)[name]
            if first != value:
                found = f"{first} of head 0 and {value} of head {k}"
                raise InputError("config", f"one {name} for all heads", found, "train them one after another")
    return configs


def _names(names: Sequence[str] | None, count: int) -> list[str]:
    names = [f"head{k}" for k in range(count)] if names is None else [str(name) for name in names]
    if len(names) != count or len(set(names)) != count or any(not name or set(name) & set("/\\\0") for name in names):
        raise InputError("names", f"{count} different file names", names)
    return names


def check_loss(loss: float, epoch: int, lr: float) -> float:
    """``loss`` if it is a finite number; InputError that names the epoch and the learning rate otherwise."""
    if not torch.isfinite(torch.tensor(loss)):
        raise InputError(
            "lr",
            "a learning rate at which training converges",
            f"loss {loss} in epoch {epoch} at lr {lr:g}",
            fix="try a tenth of it",
        )
    return loss

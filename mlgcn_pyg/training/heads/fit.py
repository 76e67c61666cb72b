"""Training heads on cached features, which takes seconds instead of hours."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mlgcn_pyg.checks import check_callable
from mlgcn_pyg.errors import Argument, InputError, renamed_arguments
from mlgcn_pyg.tensor_checks import check_device
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.heads.arguments import check_heads, checked_names, config_per_head, open_images
from mlgcn_pyg.training.heads.exact.solver import convex_heads, exact_config
from mlgcn_pyg.training.heads.observers import Observers
from mlgcn_pyg.training.heads.scoring import Data
from mlgcn_pyg.training.heads.solvers import fit_in_folder, train_in_folder
from mlgcn_pyg.training.heads.steps import matmul_precision
from mlgcn_pyg.training.history import History, Record
from mlgcn_pyg.training.label_warnings import warn_of_labels
from mlgcn_pyg.training.trackers import LogWith, open_trackers
from mlgcn_pyg.typing import Head


def fit_head(
    head: Head,
    train: Data,
    val: Data | None = None,
    config: HeadConfig | ExactConfig | None = None,
    *,
    solver: str = "auto",
    device: str | torch.device = "cpu",
    progress: Callable[[Record], None] | None = None,
    callback: Callable[[Record], bool | None] | None = None,
    log_with: LogWith = None,
    stream: bool | None = None,
    folder: str | Path | None = None,
    save_seconds: float = 30.0,
) -> History:
    r"""Trains a head in place on cached features, without a data loader.

    Without a config, the problem of a linear head, or of a sharing head with fixed edges, is solved exactly
    (:mod:`mlgcn_pyg.training.heads.exact`). There is no learning rate, and the strength of the penalty is selected on
    folds of the training images. All other heads are trained by SGD or AdamW. A sharing head that learns its edges is
    trained from the exact solution for the edges of its graph.

    The optimizer minimises, for each batch of B images,

    .. math:: \frac{1}{BC} \sum_{b,c \text{ known}} \ell(z_{bc}, y_{bc}),

    where z are logits, y targets, and :math:`\ell` is the loss, by default the multi-label soft margin loss of Eq. 5.
    The order of the images and the view of each image are functions of (seed, epoch).

    With ``config.recipe="auto"``, a head without statistics first gets the mean and standard deviation of each feature
    over all views of the training images, the log-odds of each label as its bias, and new weights
    (:func:`~mlgcn_pyg.training.heads.start.start_weights`). A head that has statistics keeps them, its bias and its
    weights. With ``"paper"``, heads are trained as they are; use it to train a head without statistics further.

    With ``folder``, an interrupted run can be resumed: call this function again with the same data, head and config
    after Ctrl-C, SIGTERM or a crash. The run resumes from its last saved state. On a CPU, the result equals that of an
    uninterrupted run bit for bit. Call ``torch.manual_seed`` before the head is built: the recipe ``"auto"`` derives
    settings from its initial weights.

    Args:
        head: an :class:`~mlgcn_pyg.nn.MLGCNHead`, :class:`~mlgcn_pyg.nn.LinearHead`,
            :class:`~mlgcn_pyg.nn.SharingHead` or :class:`~mlgcn_pyg.nn.LabelGNNHead`. With ``folder``, the GNN of the
            latter must have been given by name.
        train: a :class:`~mlgcn_pyg.features.FeatureCache`, or features (N, D) or (N, V, D) and targets (N, C).
        val: the validation data, in the same form; None disables validation.
        config: the settings of the solver, a :class:`~mlgcn_pyg.training.HeadConfig` or a
            :class:`~mlgcn_pyg.training.ExactConfig`; default: those of the solver, with the recipe ``"auto"``.
        solver: ``"exact"``, ``"sgd"`` (SGD or AdamW), or ``"auto"``: exact if ``config`` is None or an ``ExactConfig``
            and the head supports it.
        device: the device of the head and of the batches.
        progress: a function that is called with the record of each epoch. The exact solver calls it in each iteration
            with ``stage``, ``stages``, ``iteration`` and ``gradient``, and with the last record at the end.
        callback: a function that is called with the record of each epoch, after the files of the epoch are written.
            If it returns True, training ends there. If it raises an exception, so does this function, after the state
            is saved. If a run is interrupted before the function returns, it is called again when the run is resumed.
            The exact solver calls it with the last record at the end.
        log_with: experiment trackers that receive the settings and the values ``head/loss``, ``head/mAP``, … of each
            epoch or iteration: names that Accelerate knows (``"tensorboard"``, ``"wandb"``, ``"mlflow"``, …),
            instances of ``accelerate.tracking.GeneralTracker``, or :class:`~mlgcn_pyg.training.trackers.Trackers`.
        stream: True streams a cache in windows, False loads it into memory. Both give the same result. Default: depends
            on free memory.
        folder: the folder for ``state.pt``, the history ``head.jsonl`` and the checkpoints ``head-last.pt`` and
            ``head-best.pt``. None writes no files.
        save_seconds: the longest time between two saved states, in seconds. The state is also saved at the end and
            when the run is interrupted.

    Returns:
        The :class:`History`; ``history.last`` is the result. Its records are epochs, or iterations of the exact solver
        with ``iteration``, ``loss`` (with the penalty) and ``gradient``, the norm of the gradient relative to that of a
        head with a bias only. The last of these also has ``l2``, ``alpha`` and the mAP ``selection_mAP`` that selected
        them.

    Raises:
        InputError: if labels or widths do not match.
        InputError: if there is no image, or features are not finite.
        InputError: if the solver does not support the head or a setting of ``config``.
        InputError: if ``config.patience`` is set, or validation images select the settings, without ``val``.
        InputError: if ``config.pos_weight`` is not one number per label.
        InputError: if ``config.precision`` is ``"tf32"`` and ``device`` is not a CUDA device.
        InputError: if ``folder`` holds a run with different data, a different head or a different config.
        InputError: if a tracker is not installed or does not start, or requires ``folder``.
        NonFiniteLossError: if a loss is not finite.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> x = torch.eye(4)
    >>> history = fit_head(LinearHead(2, 4), (x, x[:, :2]), (x, x[:, :2]), HeadConfig(lr=1.0, epochs=20))
    >>> history.last["mAP"]
    1.0
    """
    check_callable("progress", progress)
    check_callable("callback", callback)
    with renamed_arguments(heads="head"):
        histories = fit_heads(
            [head],
            train,
            val,
            config,
            solver=solver,
            names=["head"],
            device=device,
            progress=None if progress is None else lambda _, record: progress(record),
            callback=None if callback is None else lambda _, record: callback(record),
            log_with=log_with,
            stream=stream,
            folder=folder,
            save_seconds=save_seconds,
        )
    return histories[0]


def fit_heads(
    heads: Sequence[Head],
    train: Data,
    val: Data | None = None,
    config: HeadConfig | ExactConfig | Sequence[HeadConfig] | None = None,
    *,
    solver: str = "auto",
    names: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
    progress: Callable[[int, Record], None] | None = None,
    callback: Callable[[int, Record], bool | None] | None = None,
    log_with: LogWith = None,
    stream: bool | None = None,
    folder: str | Path | None = None,
    save_seconds: float = 30.0,
) -> list[History]:
    r"""Trains several heads of equal shape in place, together, on the same batches.

    The optimizers minimise the sum of the losses of the heads:

    .. math:: \sum_h \mathcal{L}_h

    Heads share no parameters, so the gradient of the sum consists of the gradients of the heads. The result for each
    head is that of :func:`fit_head`, up to rounding. Heads may differ in their initial weights, in their label graphs
    (τ, p, weighting, edges), and in all settings except epochs, batch_size, loss, seed, precision, val_every and views.

    On a GPU, and for linear heads on every device, all heads are computed as one batch. ML-GCN heads on a CPU are
    trained side by side on separate cores, because batching products of their size saves no time there.

    Args:
        heads: heads of equal type and shape.
        train: as in :func:`fit_head`.
        val: as in :func:`fit_head`.
        config: the settings of all heads, or one ``HeadConfig`` per head.
        solver: as in :func:`fit_head`. The exact solver takes heads of any kinds that have the same labels.
        names: names of the heads in messages and files; default: ``head0``, ``head1``, …
        device: as in :func:`fit_head`.
        progress: a function that is called with the number of a head and its record; see :func:`fit_head`. Iterations
            of the exact solver are reported for head 0.
        callback: as in :func:`fit_head`, called with the number of a head and its record. If it returns True, the
            training of this head ends.
        log_with: as in :func:`fit_head`, with the names of the heads in place of ``head``.
        stream: as in :func:`fit_head`.
        folder: as in :func:`fit_head`, with the names of the heads in place of ``head``.
        save_seconds: as in :func:`fit_head`.

    Returns:
        One :class:`History` per head.

    Raises:
        InputError: in the cases of :func:`fit_head`.
        InputError: if heads have unequal shapes, or configs differ in settings that heads must share.
        InputError: if the number of configs or names is not the number of heads, or names are not file names.
        NonFiniteLossError: if a loss is not finite.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> x = torch.eye(4)
    >>> histories = fit_heads([LinearHead(2, 4), LinearHead(2, 4)], (x, x[:, :2]), config=HeadConfig(epochs=3))
    >>> [len(history.epochs) for history in histories]
    [3, 3]
    """
    check_heads(heads)
    observers = Observers(
        check_callable("progress", progress), check_callable("callback", callback), open_trackers(log_with, folder)
    )
    names, device = checked_names(names, len(heads)), check_device("device", device)
    exact = exact_config(solver, config, heads)
    configs = [] if isinstance(config, ExactConfig) else config_per_head(config, len(heads))
    selects_on_val = exact is not None and exact.select == "val"
    if val is None and (selects_on_val or (exact is None and any(c.patience is not None for c in configs))):
        argument = "select" if selects_on_val else "patience"
        raise InputError(argument, "a validation set, which it requires", "none", fix=["pass ", Argument("val")])
    warn_of_labels(heads)
    source = open_images("train", train, heads[0], device, stream)
    validation = None if val is None else open_images("val", val, heads[0], device, stream)
    for head in heads:
        head.to(device).train()
    if exact is not None:
        return fit_in_folder(convex_heads(heads), names, exact, source, validation, folder, save_seconds, observers)
    with matmul_precision(configs[0], device):
        return train_in_folder(heads, names, configs, source, validation, folder, save_seconds, observers)

"""Fitting a head on cached features: seconds instead of hours."""

from collections.abc import Callable

import torch

from mlgcn_pyg.checks import bad_input
from mlgcn_pyg.evaluation import multilabel_metrics
from mlgcn_pyg.features.cache import index_batches
from mlgcn_pyg.nn import multilabel_soft_margin
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.history import History
from mlgcn_pyg.training.scoring import Cached, head_logits, in_memory


def fit_head(
    head: torch.nn.Module,
    train: Cached,
    val: Cached | None = None,
    config: HeadConfig | None = None,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[dict], None] | None = None,
) -> History:
    """Trains ``head`` in place on features that stay on ``device``, without a data loader.

    Args:
        head: :class:`~mlgcn_pyg.nn.MLGCNHead` or :class:`~mlgcn_pyg.nn.LinearHead`.
        train, val: a :class:`~mlgcn_pyg.features.FeatureCache`, or features (N, D) and targets (N, C).
        config: the recipe; the paper's by default.
        device: where features and head lie while training.
        progress: called with each epoch's record.

    Returns:
        The :class:`History`; ``history.last`` is the result.

    Raises:
        InputError: labels or widths that disagree, no image, NaN features, or a loss that is no number any more.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> x = torch.eye(4)
    >>> history = fit_head(LinearHead(2, 4), (x, x[:, :2]), (x, x[:, :2]), HeadConfig(lr=1.0, epochs=20))
    >>> history.last["mAP"]
    1.0
    """
    config = config or HeadConfig()
    device = torch.device(device)
    head.to(device).train()
    features, targets = in_memory(train, head, "train", device)
    if not len(features):
        raise bad_input("train", "at least one image", "none")
    validation = None if val is None else in_memory(val, head, "val", device)
    if validation is not None and not len(validation[0]):
        raise bad_input("val", "at least one image", "none")
    optimizer = torch.optim.SGD(
        head.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, config.lr_step, config.lr_gamma)
    generator = torch.Generator().manual_seed(config.seed)
    history = History()
    for epoch in range(1, config.epochs + 1):
        lr, total = optimizer.param_groups[0]["lr"], torch.zeros((), device=device)
        for batch, truth in index_batches(features, targets, config.batch_size, True, generator):
            loss = multilabel_soft_margin(head(batch), truth)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if config.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(head.parameters(), config.clip_norm)
            optimizer.step()
            total += loss.detach() * len(batch)
        schedule.step()
        record = {"epoch": epoch, "lr": lr, "loss": check_loss(float(total) / len(features), epoch, lr)}
        if validation is not None:
            record["mAP"] = multilabel_metrics(head_logits(head, validation[0]), validation[1])["mAP"]
        history.epochs.append(record)
        if progress:
            progress(record)
    return history


def check_loss(loss: float, epoch: int, lr: float) -> float:
    """``loss`` if it is a finite number; InputError that names the epoch and the learning rate otherwise."""
    if not torch.isfinite(torch.tensor(loss)):
        raise bad_input(
            "lr",
            "a learning rate at which training converges",
            f"loss {loss} in epoch {epoch} at lr {lr:g}",
            fix="try a tenth of it",
        )
    return loss

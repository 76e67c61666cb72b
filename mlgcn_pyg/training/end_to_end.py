"""Fitting backbone and head end to end (Sec. 4.2)."""

from collections.abc import Callable

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mlgcn_pyg.checks import bad_input, check_same_labels
from mlgcn_pyg.evaluation import multilabel_metrics
from mlgcn_pyg.nn import MLGCN, multilabel_soft_margin
from mlgcn_pyg.training.config import ModelConfig
from mlgcn_pyg.training.heads import check_loss
from mlgcn_pyg.training.history import History


def fit_model(
    model: MLGCN,
    train_set: Dataset,
    val_set: Dataset | None = None,
    config: ModelConfig | None = None,
    *,
    progress: Callable[[dict], None] | None = None,
) -> History:
    """Trains ``model`` in place on photographs, on the device and with the precision that Accelerate provides.

    Args:
        model: backbone and head.
        train_set, val_set: data sets of this package, items ``(image, target, index)``.
        config: the recipe; the paper's by default.
        progress: called after each step with ``{"epoch", "step", "steps", "loss"}``.

    Returns:
        The :class:`History`; ``history.last`` is the result.

    Raises:
        InputError: labels that disagree with the model's, no image, or a loss that is no number any more.
    """
    config = config or ModelConfig()
    for argument, data in (("train_set", train_set), ("val_set", val_set)):
        if data is not None:
            check_same_labels(argument, data.label_names, model.label_names, "the model")
    if not len(train_set):
        raise bad_input("train_set", "at least one image", "none")
    set_seed(config.seed)
    AcceleratorState._reset_state(reset_partial_state=True)  # an earlier call may have had another precision or device
    accelerator = Accelerator(mixed_precision=config.mixed_precision, cpu=config.cpu)
    optimizer = torch.optim.SGD(
        model.param_groups(config.lr, config.backbone_lr_factor),
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, config.lr_step, config.lr_gamma)
    loader = _train_loader(train_set, config)
    wrapped, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    history = History()
    for epoch in range(1, config.epochs + 1):
        wrapped.train()
        lr, total, seen = optimizer.param_groups[-1]["lr"], 0.0, 0
        for step, (images, targets, _) in enumerate(loader, start=1):
            with accelerator.autocast():
                loss = multilabel_soft_margin(wrapped(images), targets)
            optimizer.zero_grad()
            accelerator.backward(loss)
            if config.clip_norm is not None:
                accelerator.clip_grad_norm_(wrapped.parameters(), config.clip_norm)
            optimizer.step()
            total, seen = total + float(loss.detach()) * len(images), seen + len(images)
            if progress:
                progress({"epoch": epoch, "step": step, "steps": len(loader), "loss": total / seen})
        schedule.step()
        record = {"epoch": epoch, "lr": lr, "loss": check_loss(total / seen, epoch, lr)}
        if val_set is not None:
            record["mAP"] = multilabel_metrics(*_score(wrapped, val_set, config, accelerator))["mAP"]
        history.epochs.append(record)
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)  # the model is again as it was given
    return history


def _train_loader(train_set: Dataset, config: ModelConfig) -> DataLoader:
    # BatchNorm has nothing to normalise by in a last batch of one image
    lone = len(train_set) > 1 and len(train_set) % config.batch_size == 1
    return DataLoader(train_set, config.batch_size, shuffle=True, num_workers=config.num_workers, drop_last=lone)


@torch.inference_mode()
def _score(model, dataset: Dataset, config: ModelConfig, accelerator: Accelerator) -> tuple[Tensor, Tensor]:
    """Logits and targets (N, C) of a data set; every image counted once, whatever the number of processes."""
    model.eval()
    loader = accelerator.prepare(DataLoader(dataset, config.batch_size, num_workers=config.num_workers))
    scored = [accelerator.gather_for_metrics((model(images).float(), targets)) for images, targets, _ in loader]
    if not scored:
        return torch.zeros(dataset.targets.shape), dataset.targets
    logits, targets = (torch.cat(parts).cpu() for parts in zip(*scored, strict=True))
    return logits, targets

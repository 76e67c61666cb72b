"""Training recipes. The command line takes defaults and help texts from them."""

import math
from dataclasses import dataclass, fields

from mlgcn_pyg.checks import check_count, check_positive
from mlgcn_pyg.training.settings import (
    choice,
    documented,
    flag,
    fraction,
    integer,
    non_negative,
    optional,
    positive,
    positive_fraction,
    positive_or_inf,
    setting,
)

# This module does not import torch, because `mlgcn --help` imports it. Names that are defined next to torch code are
# repeated here.
LOSSES = ("multilabel_soft_margin", "asymmetric")  # the names in mlgcn_pyg.nn.LOSSES
VIEWS = ("first", "mean")  # as in mlgcn_pyg.features.batches
SCHEDULES = ("step", "cosine", "one_cycle")
HEAD_PRECISIONS = ("float32", "tf32", "bf16")
MODEL_PRECISIONS = ("float32", "bf16", "fp16")
OLD_PRECISIONS = {"bfloat16": "bf16", "no": "float32"}  # names in files of earlier versions


@dataclass(frozen=True)
class SGDConfig:
    """The settings that :class:`HeadConfig` and :class:`ModelConfig` share. The defaults are the paper's (Sec. 4.2)."""

    lr: float = setting(
        0.01,
        positive,
        "Learning rate of SGD; the paper's value for the whole network. A head alone also converges with it.",
    )
    momentum: float = setting(0.9, fraction, "Momentum of SGD; the paper's value.")
    weight_decay: float = setting(1e-4, non_negative, "Weight decay on all parameters; the paper's value.")
    lr_step: int = setting(40, check_positive, "Epochs between reductions of the learning rate; the paper's value.")
    lr_gamma: float = setting(
        0.1, positive_fraction, "Factor that multiplies the learning rate at each reduction; the paper's value."
    )
    epochs: int = setting(
        100, check_positive, "Number of epochs. The weights after the last epoch are the result, as in the paper."
    )
    batch_size: int = setting(
        32, check_positive, "Images per step; the released code's value (16 on each of two GPUs)."
    )
    clip_norm: float | None = setting(
        10.0,
        optional(positive_or_inf),
        "Maximum norm of the gradient; the released code's value. None disables clipping.",
    )
    seed: int = setting(0, integer, "Seed for the order of the images and for the choice of their views.")

    def __post_init__(self) -> None:
        for f in fields(self):
            value = f.metadata["check"](f.name, getattr(self, f.name))
            object.__setattr__(self, f.name, value)  # the class is frozen; values are converted, e.g. 1 to 1.0


@documented
@dataclass(frozen=True)
class HeadConfig(SGDConfig):
    """The settings of :func:`~mlgcn_pyg.training.fit_heads`, which trains heads on cached features."""

    precision: str = choice(
        "float32",
        HEAD_PRECISIONS,
        "Precision of matrix products. float32 is accurate enough to compare heads; a float64 head computes in "
        "float64. tf32 has a mantissa of 10 bits and requires CUDA. bf16 uses autocast. Weights and loss keep the "
        "dtype of the head.",
    )
    val_every: int = setting(1, check_positive, "Epochs between validations; the last epoch is always validated.")
    patience: int | None = setting(
        None,
        optional(check_positive),
        "Number of validations without a higher mAP after which a head stops. None disables early stopping, which "
        "would select the epoch on the test set if the validation set is the test set, as in the paper's tables.",
    )
    views: str = choice(
        "first",
        VIEWS,
        "Views that are scored if images have several: the first view, or the mean of all views. Training draws one "
        "view per image and epoch.",
    )

    def lr_at(self, epoch: int) -> float:
        """Returns the learning rate in an epoch, counted from 1: ``lr · lr_gamma^⌊(epoch − 1) / lr_step⌋``.

        >>> HeadConfig(lr=1.0, lr_step=40, lr_gamma=0.5).lr_at(41)
        0.5
        """
        return self.lr * self.lr_gamma ** ((epoch - 1) // self.lr_step)


@documented
@dataclass(frozen=True)
class ModelConfig(SGDConfig):
    """The settings of :func:`~mlgcn_pyg.training.fit_model`, which trains backbone and head end to end."""

    lr: float = setting(0.01, positive, "Learning rate of the head; the paper's value.")
    batch_size: int = setting(
        32,
        check_positive,
        "Images per step, summed over all processes. The number of processes does not change the recipe.",
    )
    seed: int = setting(0, check_count, "Seed for the order of the images, their augmentation and dropout.")
    backbone_lr_factor: float = setting(
        0.1,
        non_negative,
        "Ratio of the backbone's learning rate to the head's; the released code uses 0.1 for a pretrained backbone.",
    )
    loss: str = choice("multilabel_soft_margin", LOSSES, "The loss; multilabel_soft_margin is the paper's.")
    schedule: str = choice(
        "step",
        SCHEDULES,
        "Schedule of the learning rate. step (the paper's) multiplies it by lr_gamma every lr_step epochs. cosine "
        "lowers it to 0 at the end. one_cycle raises it for 30 % of the steps and then lowers it to nearly 0.",
    )
    frozen_epochs: int = setting(0, check_count, "Number of epochs at the start in which only the head is trained.")
    freeze_batchnorm: bool = setting(
        False, flag, "Normalise with the backbone's stored batch-norm statistics, for small batches or many processes."
    )
    accumulate: int = setting(
        1, check_positive, "Number of parts into which each process splits its share of a batch, to save memory."
    )
    ema_decay: float | None = setting(
        None,
        optional(fraction),
        "Decay of an exponential moving average of the weights, e.g. 0.999. The averaged weights are validated and "
        "saved. None disables averaging.",
    )
    val_every: int = setting(1, check_positive, "Epochs between validations; the last epoch is always validated.")
    num_workers: int = setting(
        0, check_count, "Worker processes that decode images, per training process; 0 decodes in the process itself."
    )
    precision: str = choice(
        "float32",
        MODEL_PRECISIONS,
        "Precision of the forward and backward passes. Weights stay in float32. fp16 requires a GPU.",
    )
    channels_last: bool = setting(False, flag, "Use the channels-last memory layout, which is faster on tensor cores.")
    compile: bool = setting(False, flag, "Compile the network with torch.compile.")
    cpu: bool = setting(False, flag, "Train on the CPU even if there is a GPU.")

    def lr_factor(self, step: int, steps: int) -> float:
        """Returns the factor that multiplies the learning rates in one step.

        Args:
            step: the number of the step in the run, from 0.
            steps: the number of steps per epoch.

        >>> config = ModelConfig(epochs=4, lr_step=2, schedule="step")
        >>> [config.lr_factor(step, steps=10) for step in (0, 19, 20)]
        [1.0, 1.0, 0.1]
        >>> config = ModelConfig(epochs=4, schedule="cosine")
        >>> [round(config.lr_factor(step, steps=10), 3) for step in (0, 20, 39)]
        [1.0, 0.5, 0.002]
        """
        if self.schedule == "step":
            return self.lr_gamma ** (step // steps // self.lr_step)
        progress = step / (self.epochs * steps)
        if self.schedule == "cosine":
            return _half_cosine(1.0, 0.0, progress)
        if progress < 0.3:
            return _half_cosine(1 / 25, 1.0, progress / 0.3)
        return _half_cosine(1.0, 1e-4, (progress - 0.3) / 0.7)


def _half_cosine(start: float, end: float, progress: float) -> float:
    """Interpolates from ``start`` (``progress`` 0) to ``end`` (``progress`` 1) along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def current_names(stored: dict) -> dict:
    """Returns a stored config with the current names of its precision settings, also in nested dicts.

    Earlier versions wrote ``"bfloat16"`` for ``"bf16"``, and ``mixed_precision`` with ``"no"`` for ``"float32"``.

    >>> current_names({"recipe": {"lr": 0.01, "mixed_precision": "no"}})
    {'recipe': {'lr': 0.01, 'precision': 'float32'}}
    """
    current = {}
    for name, value in stored.items():
        if isinstance(value, dict):
            value = current_names(value)
        elif isinstance(value, str) and name in ("precision", "mixed_precision"):
            name, value = "precision", OLD_PRECISIONS.get(value, value)
        current[name] = value
    return current

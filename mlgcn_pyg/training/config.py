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

# This module loads no torch, since `mlgcn --help` reads it: names that are defined beside torch code are repeated here.
LOSSES = ("multilabel_soft_margin", "asymmetric")  # the names in mlgcn_pyg.nn.LOSSES
VIEWS = ("first", "mean")  # as in mlgcn_pyg.features.batches
SCHEDULES = ("step", "cosine", "one_cycle")
HEAD_PRECISIONS = ("float32", "tf32", "bf16")
MODEL_PRECISIONS = ("float32", "bf16", "fp16")
OLD_PRECISIONS = {"bfloat16": "bf16", "no": "float32"}  # names in files of earlier versions


@dataclass(frozen=True)
class SGDConfig:
    """The settings that :class:`HeadConfig` and :class:`ModelConfig` share: the paper's recipe (Sec. 4.2)."""

    lr: float = setting(
        0.01,
        positive,
        "Learning rate of SGD; the paper's value for the whole network, from which a head alone also converges.",
    )
    momentum: float = setting(0.9, fraction, "Momentum of SGD; the paper's value.")
    weight_decay: float = setting(1e-4, non_negative, "Weight decay on all parameters; the paper's value.")
    lr_step: int = setting(40, check_positive, "Epochs between reductions of the learning rate; the paper's value.")
    lr_gamma: float = setting(
        0.1, positive_fraction, "Factor of the learning rate at each reduction; the paper's value."
    )
    epochs: int = setting(
        100, check_positive, "Passes over the training images; the last epoch is the result, as in the paper."
    )
    batch_size: int = setting(32, check_positive, "Images per step; as released, where it is 16 on each of two GPUs.")
    clip_norm: float | None = setting(
        10.0,
        optional(positive_or_inf),
        "Maximum norm of the gradient, as in the released code; None disables clipping.",
    )
    seed: int = setting(0, integer, "Seed of the order of the images and of the views that are drawn.")

    def __post_init__(self) -> None:
        for f in fields(self):
            value = f.metadata["check"](f.name, getattr(self, f.name))
            object.__setattr__(self, f.name, value)  # the class is frozen; values are converted, e.g. 1 to 1.0


@documented
@dataclass(frozen=True)
class HeadConfig(SGDConfig):
    """How :func:`~mlgcn_pyg.training.fit_heads` trains heads on cached features."""

    precision: str = choice(
        "float32",
        HEAD_PRECISIONS,
        "Precision of matrix products: float32, which is exact enough to compare heads (a float64 head uses float64); "
        "tf32, with 10 bits of mantissa, on CUDA only; or bf16. Weights and loss keep the type of the head.",
    )
    val_every: int = setting(1, check_positive, "Epochs between validations; the last epoch is always validated.")
    patience: int | None = setting(
        None,
        optional(check_positive),
        "Number of validations without a higher mAP after which a head stops. None disables early stopping: if the "
        "validation set is the test set, as in the paper's tables, stopping early means choosing on the test set.",
    )
    views: str = choice(
        "first",
        VIEWS,
        "How images with several views are scored: by the first view or by the mean of all views. Training draws one "
        "view per image and epoch.",
    )

    def lr_at(self, epoch: int) -> float:
        """Returns the learning rate of an epoch (from 1): ``lr · lr_gamma^⌊(epoch − 1) / lr_step⌋``.

        >>> HeadConfig(lr=1.0, lr_step=40, lr_gamma=0.5).lr_at(41)
        0.5
        """
        return self.lr * self.lr_gamma ** ((epoch - 1) // self.lr_step)


@documented
@dataclass(frozen=True)
class ModelConfig(SGDConfig):
    """How :func:`~mlgcn_pyg.training.fit_model` trains backbone and head end to end."""

    lr: float = setting(0.01, positive, "Learning rate of the head; the paper's value.")
    batch_size: int = setting(
        32, check_positive, "Images per step, over all processes: their number does not change the recipe."
    )
    seed: int = setting(0, check_count, "Seed of the order of the images, of their augmentation and of dropout.")
    backbone_lr_factor: float = setting(
        0.1,
        non_negative,
        "Learning rate of the backbone divided by that of the head; 0.1, as released, for a pretrained backbone.",
    )
    loss: str = choice("multilabel_soft_margin", LOSSES, "The loss; multilabel_soft_margin is the paper's.")
    schedule: str = choice(
        "step",
        SCHEDULES,
        "Schedule of the learning rate: step (the paper's) multiplies it by lr_gamma every lr_step epochs, cosine "
        "lowers it to 0 at the end, one_cycle raises it for 30 % of the steps and then lowers it to nearly 0.",
    )
    frozen_epochs: int = setting(0, check_count, "Number of epochs at the start in which only the head is trained.")
    freeze_batchnorm: bool = setting(
        False, flag, "Keep the backbone's batch statistics, for small batches and for many processes."
    )
    accumulate: int = setting(
        1, check_positive, "Number of parts that each process splits its share of a batch into, to save memory."
    )
    ema_decay: float | None = setting(
        None,
        optional(fraction),
        "Decay of an exponential average of the weights, e.g. 0.999, which is then validated and kept; None disables "
        "averaging.",
    )
    val_every: int = setting(1, check_positive, "Epochs between validations; the last epoch is always validated.")
    num_workers: int = setting(
        0, check_count, "Worker processes that decode images, per training process; 0 decodes in the process itself."
    )
    precision: str = choice(
        "float32",
        MODEL_PRECISIONS,
        "Precision of forward and backward pass; weights stay in float32, and fp16 needs a GPU.",
    )
    channels_last: bool = setting(False, flag, "Use the channels-last memory layout, which tensor cores prefer.")
    compile: bool = setting(False, flag, "Compile the network with torch.compile.")
    cpu: bool = setting(False, flag, "Train on the CPU even if there is a GPU.")

    def lr_factor(self, step: int, steps: int) -> float:
        """Returns the factor of the learning rates in a step (from 0), with ``steps`` steps per epoch.

        >>> config = ModelConfig(epochs=4, lr_step=2, schedule="step")
        >>> [config.lr_factor(step, steps=10) for step in (0, 19, 20)]
        [1.0, 1.0, 0.1]
        >>> config = ModelConfig(epochs=4, schedule="cosine")
        >>> [round(config.lr_factor(step, steps=10), 3) for step in (0, 20, 39)]
        [1.0, 0.5, 0.002]
        """
        if self.schedule == "step":
            return self.lr_gamma ** (step // steps // self.lr_step)
        done = step / (self.epochs * steps)
        if self.schedule == "cosine":
            return _half_cosine(1.0, 0.0, done)
        if done < 0.3:
            return _half_cosine(1 / 25, 1.0, done / 0.3)
        return _half_cosine(1.0, 1e-4, (done - 0.3) / 0.7)


def _half_cosine(start: float, end: float, done: float) -> float:
    """Returns the value after a fraction ``done`` of the way from ``start`` to ``end`` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def current_names(stored: dict) -> dict:
    """Returns a config from a file, alone or inside other dicts, with the names of this version.

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

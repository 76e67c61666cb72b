"""Training recipes. The command line takes defaults and help texts from them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mlgcn_pyg.checks import check_count, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.training.schedules import SCHEDULE_HELP, SCHEDULES, lr_factor, warmup_factor
from mlgcn_pyg.training.settings import (
    by_recipe,
    choice,
    documented,
    flag,
    fraction,
    integer,
    label_weights,
    non_negative,
    one_of,
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
RECIPES = ("auto", "paper")
OPTIMIZERS = ("sgd", "adamw")
HEAD_PRECISIONS = ("float32", "tf32", "bf16")
MODEL_PRECISIONS = ("float32", "bf16", "fp16")


@dataclass(frozen=True)
class SGDConfig:
    """The settings that :class:`HeadConfig` and :class:`ModelConfig` share. The defaults are the paper's (Sec. 4.2)."""

    lr: float | None = by_recipe(positive, "Learning rate. The paper's is 0.01.")
    momentum: float = setting(0.9, fraction, "Momentum of SGD; the paper's value.")
    weight_decay: float | None = by_recipe(non_negative, "Weight decay. The paper's is 1e-4.")
    lr_step: int = setting(40, check_positive, "Epochs between reductions of the learning rate; the paper's value.")
    lr_gamma: float = setting(
        0.1, positive_fraction, "Factor that multiplies the learning rate at each reduction; the paper's value."
    )
    epochs: int | None = by_recipe(
        check_positive, "Number of epochs. The weights after the last epoch are the result. The paper's is 100."
    )
    batch_size: int | None = by_recipe(
        check_positive, "Images per step. The released code's value is 32 (16 on each of two GPUs)."
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


@dataclass(frozen=True)
class _RecipeConfig:
    """The first setting of :class:`HeadConfig`."""

    recipe: str = choice(
        "auto",
        RECIPES,
        "Values of settings that are not given. auto standardises the features, starts the bias at the log-odds of the "
        "labels, and derives the learning rate from the spectra of features and labels; weight decay applies to the "
        "classifiers only. paper trains on the features as they are, with the settings of the paper.",
    )


@documented
@dataclass(frozen=True)
class HeadConfig(SGDConfig, _RecipeConfig):
    """The settings of :func:`~mlgcn_pyg.training.fit_heads`, which trains heads on cached features.

    A setting whose default is None has the value of the recipe (:mod:`mlgcn_pyg.training.heads.recipe`).
    """

    optimizer: str | None = by_recipe(
        one_of(OPTIMIZERS),
        "The optimizer: sgd with momentum (the paper's), or adamw, which ignores it (recipe auto: adamw for GNNs).",
        OPTIMIZERS,
    )
    schedule: str | None = by_recipe(one_of(SCHEDULES), f"{SCHEDULE_HELP} The paper's is step.", SCHEDULES)
    warmup_epochs: float = setting(
        0.0,
        non_negative,
        "Number of epochs in which the learning rate also rises linearly; a fraction of an epoch is possible.",
    )
    loss: str = choice("multilabel_soft_margin", LOSSES, "The loss; multilabel_soft_margin is the paper's.")
    pos_weight: float | tuple[float, ...] | None = setting(
        None,
        optional(label_weights),
        "Weight of present labels in the loss multilabel_soft_margin: a number, or one number per label. None is 1.",
    )
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pos_weight is not None and self.loss != "multilabel_soft_margin":
            raise InputError("pos_weight", f"None for the loss {self.loss}, which does not use it", self.pos_weight)

    def filled(self, values: Mapping[str, Any]) -> "HeadSettings":
        """Returns complete settings: those of this config, and the given values of those that are not given.

        >>> HeadConfig(lr=0.1).filled(PAPER).lr, HeadConfig().filled(PAPER).lr
        (0.1, 0.01)
        """
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return HeadSettings(**own | {name: values[name] for name in values if own[name] is None})

    def known(self) -> "HeadConfig":
        """Returns the complete settings if they do not depend on the data (``"paper"``), else this config."""
        return self.filled(PAPER) if self.recipe == "paper" else self


@documented
@dataclass(frozen=True)
class HeadSettings(HeadConfig):
    """A :class:`HeadConfig` with all settings. The defaults are the paper's."""

    lr: float = setting(0.01, positive, "Learning rate.")
    weight_decay: float = setting(1e-4, non_negative, "Weight decay.")
    epochs: int = setting(100, check_positive, "Number of epochs.")
    batch_size: int = setting(32, check_positive, "Images per step.")
    optimizer: str = choice("sgd", OPTIMIZERS, "The optimizer.")
    schedule: str = choice("step", SCHEDULES, "Schedule of the learning rate.")

    def lr_factor(self, step: int, steps: int) -> float:
        """Returns the factor that multiplies the learning rate in one step; see :func:`lr_factor`.

        Args:
            step: the number of the step in the run, from 0.
            steps: the number of steps per epoch.

        >>> [HeadSettings(lr_step=40).lr_factor(step, steps=10) for step in (0, 399, 400)]
        [1.0, 1.0, 0.1]
        """
        factor = lr_factor(self.schedule, step, steps, self.epochs, self.lr_step, self.lr_gamma)
        return factor * warmup_factor(step, round(self.warmup_epochs * steps))


# the settings that a recipe determines, with their values in the recipe "paper"
PAPER = {f.name: getattr(HeadSettings(), f.name) for f in fields(HeadConfig) if f.metadata["none"] == "recipe"}


@documented
@dataclass(frozen=True)
class ModelConfig(SGDConfig):
    """The settings of :func:`~mlgcn_pyg.training.fit_model`, which trains backbone and head end to end."""

    lr: float = setting(0.01, positive, "Learning rate of the head; the paper's value.")
    weight_decay: float = setting(1e-4, non_negative, "Weight decay on all parameters; the paper's value.")
    epochs: int = setting(
        100, check_positive, "Number of epochs. The weights after the last epoch are the result, as in the paper."
    )
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
    schedule: str = choice("step", SCHEDULES, f"{SCHEDULE_HELP} step is the paper's.")
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
    channels_last: bool | None = setting(
        None,
        optional(flag),
        "Use the channels-last memory layout, which affects speed and rounding. None selects the faster layout by a "
        "trial of two steps at the start of a run; a resumed run keeps it. To repeat a run bit for bit, set a value.",
        none="auto",
    )
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
        return lr_factor(self.schedule, step, steps, self.epochs, self.lr_step, self.lr_gamma)

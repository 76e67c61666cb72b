"""What a run is made of; every default carries its reason."""

import math
from dataclasses import dataclass

from mlgcn_pyg.checks import check_choice, check_count, check_number, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.batches import VIEWS
from mlgcn_pyg.nn.losses import LOSSES

PRECISIONS = ("float32", "tf32", "bfloat16")


@dataclass(frozen=True)
class SGDConfig:
    """What fitting a head and fitting a whole network share: the paper's recipe (Sec. 4.2).

    Args:
        lr: learning rate of SGD. The paper's 0.01 is for the whole network; a head alone takes 0.05 as well.
        momentum: of SGD. weight_decay: on all parameters.
        lr_step, lr_gamma: the learning rate is multiplied by ``lr_gamma`` every ``lr_step`` epochs.
        epochs: passes over the training images; the LAST one is what is reported.
        batch_size: images per step (16 a GPU on two of them, as released).
        clip_norm: the gradient's norm is clipped here, as the released code does (the paper is silent); None for not.
        seed: of the order of images.

    Raises:
        InputError: a value out of its range, named.
    """

    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    lr_step: int = 40
    lr_gamma: float = 0.1
    epochs: int = 100
    batch_size: int = 32
    clip_norm: float | None = 10.0
    seed: int = 0

    def __post_init__(self):
        check_number("lr", self.lr, 0, float("inf"), open_low=True)
        check_number("momentum", self.momentum, 0, 1)
        check_number("weight_decay", self.weight_decay, 0, float("inf"))
        check_number("lr_gamma", self.lr_gamma, 0, 1, open_low=True)
        for name in ("lr_step", "epochs", "batch_size"):
            check_positive(name, getattr(self, name))
        if self.clip_norm is not None:
            check_number("clip_norm", self.clip_norm, 0, float("inf"), open_low=True)
        if self.lr == float("inf"):
            raise InputError("lr", "a finite number", self.lr)


@dataclass(frozen=True)
class HeadConfig(SGDConfig):
    """How a head is fitted on cached features; what :class:`SGDConfig` has, and:

    Args:
        precision: ``"float32"`` (of a head in another type, that type), ``"tf32"`` (CUDA only: matrix products with a
            mantissa of 10 bits), or ``"bfloat16"`` (products in bfloat16, master weights and loss as before).
        val_every: epochs between validations; the last epoch is always validated.
        patience: stop after so many validations without a higher mAP; None for never. Where the validation set is the
            test set, as in the paper's tables, this chooses the epoch on the test set.
        views: how images with several views are scored: by their ``"first"`` one, or the ``"mean"`` of all. Training
            draws one view per image and epoch.

    Raises:
        InputError: a value out of its range, named.
    """

    precision: str = "float32"
    val_every: int = 1
    patience: int | None = None
    views: str = "first"

    def __post_init__(self):
        super().__post_init__()
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("views", self.views, VIEWS)
        check_positive("val_every", self.val_every)
        if self.patience is not None:
            check_positive("patience", self.patience)

    def lr_at(self, epoch: int) -> float:
        """The learning rate of an epoch (from 1): ``lr · lr_gamma^⌊(epoch − 1) / lr_step⌋``.

        >>> HeadConfig(lr=1.0, lr_step=40, lr_gamma=0.5).lr_at(41)
        0.5
        """
        return self.lr * self.lr_gamma ** ((epoch - 1) // self.lr_step)


@dataclass(frozen=True)
class ModelConfig(SGDConfig):
    """How backbone and head are fitted end to end; what :class:`SGDConfig` has, and:

    Args:
        batch_size: images per step over ALL processes, so that a recipe means the same on one GPU or eight.
        backbone_lr_factor: the backbone's learning rate over the head's (0.1, for a pretrained one, as released).
        loss: a name of :data:`mlgcn_pyg.nn.LOSSES`.
        schedule: of the learning rate: ``"step"`` (the paper's ``lr_step``), ``"cosine"`` (to 0 at the end), or
            ``"one_cycle"`` (up for 30 % of the steps, then down to nearly 0).
        frozen_epochs: epochs at the start in which the backbone stays as it is and the head learns alone.
        freeze_batchnorm: leave the backbone's batch statistics as they were (small batches, many processes).
        accumulate: pieces that each process's share of a batch is computed in, where memory is short.
        ema_decay: keep and use an exponential average of the weights, e.g. 0.999; None for not.
        val_every: epochs between validations; the last epoch is always validated.
        num_workers: processes that decode images, per training process.
        mixed_precision: ``"no"``, ``"bf16"`` or ``"fp16"``.
        channels_last: the memory layout that tensor cores like.
        compile: run the network through ``torch.compile``.
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        InputError: a value out of its range, named.
    """

    backbone_lr_factor: float = 0.1
    loss: str = "multilabel_soft_margin"
    schedule: str = "step"
    frozen_epochs: int = 0
    freeze_batchnorm: bool = False
    accumulate: int = 1
    ema_decay: float | None = None
    val_every: int = 1
    num_workers: int = 0
    mixed_precision: str = "no"
    channels_last: bool = False
    compile: bool = False
    cpu: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_choice("loss", self.loss, LOSSES)
        check_choice("schedule", self.schedule, ("step", "cosine", "one_cycle"))
        check_choice("mixed_precision", self.mixed_precision, ("no", "bf16", "fp16"))
        for name in ("num_workers", "frozen_epochs"):
            check_count(name, getattr(self, name))
        for name in ("accumulate", "val_every"):
            check_positive(name, getattr(self, name))
        check_number("backbone_lr_factor", self.backbone_lr_factor, 0, float("inf"))
        if self.ema_decay is not None:
            check_number("ema_decay", self.ema_decay, 0, 1)

    def lr_factor(self, step: int, steps: int) -> float:
        """What the learning rates are multiplied by in a step (from 0) where an epoch has ``steps``.

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
            return _half_wave(1.0, 0.0, done)
        if done < 0.3:
            return _half_wave(1 / 25, 1.0, done / 0.3)
        return _half_wave(1.0, 1e-4, (done - 0.3) / 0.7)


def _half_wave(start: float, end: float, done: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2

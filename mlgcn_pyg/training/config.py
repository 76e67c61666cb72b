"""What a run is made of; every default carries its reason."""

from dataclasses import dataclass

from mlgcn_pyg.checks import bad_input, check_choice, check_count, check_number, check_positive


@dataclass(frozen=True)
class HeadConfig:
    """How a head is fitted on cached features: the paper's recipe (Sec. 4.2).

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
            raise bad_input("lr", "a finite number", self.lr)


@dataclass(frozen=True)
class ModelConfig(HeadConfig):
    """How backbone and head are fitted end to end; what :class:`HeadConfig` has, and:

    Args:
        backbone_lr_factor: the backbone's learning rate over the head's (0.1, for a pretrained one, as released).
        num_workers: processes that decode images.
        mixed_precision: ``"no"``, ``"bf16"`` or ``"fp16"``.
        cpu: stay on the CPU even where there is a GPU.
    """

    backbone_lr_factor: float = 0.1
    num_workers: int = 0
    mixed_precision: str = "no"
    cpu: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_choice("mixed_precision", self.mixed_precision, ("no", "bf16", "fp16"))
        check_count("num_workers", self.num_workers)
        check_number("backbone_lr_factor", self.backbone_lr_factor, 0, float("inf"))

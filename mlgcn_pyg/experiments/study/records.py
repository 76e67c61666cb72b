"""What a study measures: one run per contender, condition, split and draw."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.checks import check_number, check_positive


@dataclass(frozen=True)
class Condition:
    """The training data of a run.

    Attributes:
        num_images: the number of training images, drawn with the shares of the labels; None takes all of the split.
        unknown: the share of the training targets that are hidden, which sets them to −1, in [0, 0.99].

    Raises:
        InputError: if a value is out of range.
    """

    num_images: int | None = None
    unknown: float = 0.0

    def __post_init__(self) -> None:
        if self.num_images is not None:
            object.__setattr__(self, "num_images", check_positive("num_images", self.num_images))
        object.__setattr__(self, "unknown", check_number("unknown", self.unknown, 0, 0.99))

    def __str__(self) -> str:
        """Returns the condition in words.

        >>> str(Condition()), str(Condition(300, 0.9))
        ('all images', '300 images, 90 % unknown')
        """
        images = "all images" if self.num_images is None else f"{self.num_images:,} images"
        return images + (f", {100 * self.unknown:g} % unknown" if self.unknown else "")


@dataclass(frozen=True)
class RunKey:
    """Names a run.

    Attributes:
        contender: the name of the contender.
        condition: the training data.
        split: the number of the split, which is also the seed of the initial weights.
        draw: the number of the control graph on this split; 0 for contenders without one.
    """

    contender: str
    condition: Condition
    split: int
    draw: int = 0


@dataclass(frozen=True, eq=False)
class Run:
    """The result of a run.

    Attributes:
        key: its name.
        rows: (n,) the numbers of the test images in the pool of all images, ascending.
        logits: (n, C) float32, of these images.
        val_mAP: the mAP on the validation images, which selected the candidate.
        seconds: the duration of the fit of the selected candidate.
        factor: the selected factor of the penalty.
        num_parameters: the number of trained parameters.
    """

    key: RunKey
    rows: NDArray[np.int64] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    val_mAP: float
    seconds: float
    factor: float
    num_parameters: int

"""How the splits of a study were drawn, and the errors and tests over splits that follow from it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.evaluation.significance import FEWEST_FLIPS, MOST_FLIPS, Error, mean_error, mean_test, sign_flip_test

Floats = NDArray[np.float64]
Z = 1.96  # half the width of a 95 % interval, in standard errors
FEWEST_IMAGES = 20  # test images; the AP of a few hardly varies over their samples, and looks exact
MOST_SHARED = 0.1  # of the training images; with more, differences of splits depend on each other


@dataclass(frozen=True)
class Needed:
    """Numbers of images and splits; 0 if they cannot be told."""

    images: int
    splits: int


@dataclass(frozen=True)
class Design:
    """How the splits of a study were drawn.

    Attributes:
        shared_test: whether all splits have the same test images.
        overlap: n_test / n_train of overlapping splits; ignored if ``shared_test``.
        shared_training: the share of a split's training images that another split has too; ignored unless
            ``shared_test``.
    """

    shared_test: bool
    overlap: float = 0.0
    shared_training: float = 0.0

    def split_error(self, differences: Floats) -> Error:
        """Returns the standard error of the mean difference over splits."""
        return mean_error(differences, overlap=0.0 if self.shared_test else self.overlap)

    def split_test(self, differences: Floats) -> float:
        """Returns the p value over splits."""
        if not self.shared_test:
            return mean_test(differences, overlap=self.overlap)
        return sign_flip_test(differences) if len(differences) <= MOST_FLIPS else mean_test(differences)

    def joint_error(self, images: Error, splits: Error | None) -> Error:
        """Returns the standard error over images and splits."""
        if splits is None:
            return images
        if self.shared_test:
            return images + splits
        return max(images, splits, key=lambda error: error.interval(0.0).high)

    def problem(self, num_splits: int, num_images: int, constant: bool = False) -> str:
        """Returns why differences over so many splits and test images cannot be tested; empty if they can.

        If they are ``constant`` over the splits, only the images count.
        """
        fewest = FEWEST_FLIPS if self.shared_test else 2
        if not num_splits:
            return "no label has a positive test image"
        if num_images < FEWEST_IMAGES:
            return f"a test over images requires {FEWEST_IMAGES} of them, not {num_images}"
        if constant:
            return ""
        if num_splits < fewest:
            return f"a test over splits requires {fewest} of them, not {num_splits}"
        if self.shared_test and MOST_SHARED < self.shared_training < 1:
            return f"the splits share {100 * self.shared_training:.0f} % of their training images"
        return ""

    def least_p(self, num_splits: int) -> float:
        """Returns the smallest p value over so many splits: that of the sign-flip test, 0 for a t test."""
        return 2.0 ** (1 - num_splits) if self.shared_test and 0 < num_splits <= MOST_FLIPS else 0.0

    def needed(self, images: Error, splits: Error | None, smallest: float, num_images: int, num_splits: int) -> Needed:
        """Returns how many images and splits, at least the present ones, make the joint interval ± ``smallest``.

        Variances fall as 1 / N with N images and as 1 / R with R splits. If the variance over splits leaves room, more
        images are enough; otherwise, each source gets half of the variance. More overlapping splits of one pool do not
        help: they need more images.
        """
        target = (smallest / Z) ** 2
        of_splits = splits.size**2 if splits else 0.0
        if math.isnan(images.size) or not num_splits:
            return Needed(0, 0)
        if not self.shared_test:
            return Needed(_scaled(num_images, max(images.size**2, of_splits) / target), num_splits)
        if of_splits <= target / 2:
            return Needed(_scaled(num_images, images.size**2 / (target - of_splits)), num_splits)
        half = target / 2
        return Needed(_scaled(num_images, images.size**2 / half), _scaled(num_splits, of_splits / half))


def _scaled(number: int, factor: float) -> int:
    """Returns ``number`` times a factor ≥ 1, rounded up to two digits.

    >>> _scaled(5000, 2.47), _scaled(7, 0.5), _scaled(10, 1.55)
    (13000, 7, 16)
    """
    wanted = number * max(factor, 1.0)
    if wanted == number:
        return number
    unit = 10 ** max(math.floor(math.log10(wanted)) - 1, 0)
    return int(math.ceil(wanted / unit) * unit)

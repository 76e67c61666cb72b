"""The settings of the exact solver. The command line takes defaults and help texts from them."""

from dataclasses import dataclass, fields

from mlgcn_pyg.checks import check_count, check_positive
from mlgcn_pyg.training.config import VIEWS
from mlgcn_pyg.training.settings import choice, documented, flag, fraction, label_weights, optional, positive, setting

SELECTIONS = ("folds", "val")
FEW_IMAGES = 5000


@documented
@dataclass(frozen=True)
class ExactConfig:
    """The settings of the exact solver of linear and sharing heads (:mod:`mlgcn_pyg.training.heads.exact`)."""

    l2: float | None = setting(
        None,
        optional(positive),
        "Strength λ of the L2 penalty on standardised features. None selects it on images that are left out; the best "
        "λ falls as 1/N.",
    )
    per_label: bool = setting(
        False, flag, "Select λ for each label of a linear head instead of one λ for all, which few images do not allow."
    )
    alpha: float | None = setting(
        None,
        optional(fraction),
        "Share α of the similarities in a sharing head whose graph has the weighting 'kernel'. None selects it "
        "together with λ. Other heads have no α.",
    )
    select: str = choice(
        "folds",
        SELECTIONS,
        "Images that λ and α are selected on: folds of the training images, or the validation images, which then do "
        "not measure the result.",
    )
    folds: int | None = setting(
        None,
        optional(check_positive),
        "Number of stratified folds of the training images. None is 5 for up to 5,000 images, which few images require "
        "for a stable selection, and 3 for more. With 1 fold nothing is selected: λ is D/(4N), and α is 0.",
    )
    pos_weight: float | tuple[float, ...] | None = setting(
        None,
        optional(label_weights),
        "Weight of present labels in the loss: a number, or one number per label. None is 1.",
    )
    tolerance: float = setting(
        1e-5,
        positive,
        "Norm of the gradient at which the solver ends, relative to that of a head that predicts no image.",
    )
    views: str = choice(
        "first",
        VIEWS,
        "Views that are scored if images have several: the first view, or the mean of all views. Training uses all "
        "views.",
    )
    seed: int = setting(0, check_count, "Seed for the folds.")

    def num_folds(self, num_images: int) -> int:
        """Returns the number of folds of so many training images.

        >>> ExactConfig().num_folds(300), ExactConfig().num_folds(20_000), ExactConfig(folds=4).num_folds(300)
        (5, 3, 4)
        """
        if self.folds is not None:
            return self.folds
        return 5 if num_images <= FEW_IMAGES else 3

    def __post_init__(self) -> None:
        for f in fields(self):
            value = f.metadata["check"](f.name, getattr(self, f.name))
            object.__setattr__(self, f.name, value)  # the class is frozen; values are converted, e.g. 1 to 1.0

r"""The values of settings that a :class:`~mlgcn_pyg.training.HeadConfig` does not give.

The recipe ``"auto"`` derives the learning rate from the curvature of the loss. SGD with momentum :math:`m` is stable
below

.. math:: \frac{2 (1 + m) \cdot 4 C}{\lambda_1(E[\tilde{x} \tilde{x}^\top]) \, \lambda_1(S S^\top)}

for the mean loss over C labels, where S maps the last weight of the head to its classifiers: the identity for a linear
head, and ÂH for ML-GCN. The recipe multiplies :math:`4 C / (\lambda_1 \lambda_1)` by a constant η below the limit.
"""

from dataclasses import dataclass
from typing import Any

from mlgcn_pyg.nn import MLGCNHead
from mlgcn_pyg.training.config import PAPER, HeadConfig, HeadSettings
from mlgcn_pyg.training.heads.spectra import Spectra
from mlgcn_pyg.typing import Head

ADAMW_LR = 1e-3  # the steps of AdamW do not depend on the scale of the gradient


@dataclass(frozen=True)
class AutoRecipe:
    """The values of the recipe ``"auto"`` for one kind of head.

    Attributes:
        eta: η, the learning rate of SGD as a multiple of 4C / (λ₁ λ₁).
        epochs: the number of epochs.
        weight_decay: the weight decay.
        batch_size: images per step.
        schedule: the schedule of the learning rate.
    """

    eta: float
    epochs: int
    weight_decay: float = 1e-4
    batch_size: int = 32
    schedule: str = "cosine"


def auto_recipe(kind: str, num_images: int) -> AutoRecipe:
    """Returns the values of the recipe ``"auto"``.

    Args:
        kind: ``"mlgcn"`` or ``"linear"``.
        num_images: the number of training images.
    """
    return AutoRecipe(eta=0.03, epochs=40)


def complete(config: HeadConfig, head: Head, num_images: int, spectra: Spectra) -> HeadSettings:
    """Returns the settings of a config, completed by its recipe.

    Args:
        config: the config.
        head: the head to train, with its statistics and initial weights.
        num_images: the number of training images.
        spectra: the spectra of the features and of the labels; used for the learning rate only.
    """
    return config.filled(PAPER if config.recipe == "paper" else _auto(config, head, num_images, spectra))


def num_epochs(config: HeadConfig, kind: str, num_images: int) -> int:
    """Returns the number of epochs of a config, which does not depend on the spectra.

    >>> num_epochs(HeadConfig(epochs=3), "linear", 100), num_epochs(HeadConfig(recipe="paper"), "linear", 100)
    (3, 100)
    """
    if config.epochs is not None:
        return config.epochs
    return HeadSettings().epochs if config.recipe == "paper" else auto_recipe(kind, num_images).epochs


def _auto(config: HeadConfig, head: Head, num_images: int, spectra: Spectra) -> dict[str, Any]:
    recipe = auto_recipe("mlgcn" if isinstance(head, MLGCNHead) else "linear", num_images)
    lr = ADAMW_LR if config.optimizer == "adamw" else stable_lr(recipe.eta, head.num_labels, spectra)
    return {
        "lr": lr,
        "weight_decay": recipe.weight_decay,
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "optimizer": "sgd",
        "schedule": recipe.schedule,
    }


def stable_lr(eta: float, num_labels: int, spectra: Spectra) -> float:
    """Returns η · 4C / (λ₁ λ₁), rounded to three digits, so that it does not depend on the machine.

    >>> stable_lr(0.03, 20, Spectra(features=83.0, labels=1.0))
    0.0289
    """
    curvature = spectra.features * spectra.labels
    # without curvature, which is the case for constant features, every rate leaves the weights as they are
    return float(f"{eta * 4 * num_labels / curvature:.2e}") if curvature > 0 else eta

"""Protocols: the interfaces between the parts of the package.

Letters in shapes: B batch, N images, V views, D features, C labels, H heads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import torch
from torch import Tensor


class LabeledDataset(Protocol):
    """A dataset of images with labels. Its items are ``(image, target (C,), index)``."""

    transform: Callable[..., Any] | None

    @property
    def targets(self) -> Tensor:
        """(N, C) int8 in {-1, 0, 1}: 1 present, 0 absent, −1 unknown."""

    @property
    def label_names(self) -> Sequence[str]:
        """The C unique names of the labels."""

    @property
    def ids(self) -> Sequence[str]:
        """The N unique names of the images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Any, Tensor, int]: ...


class SeededDataset(LabeledDataset, Protocol):
    """A labeled dataset with reproducible random transforms.

    If ``seed`` is not None, the transforms depend only on ``seed``, ``epoch`` and the index of the image.
    """

    seed: int | None
    epoch: int


class FeatureExtractor(Protocol):
    """A module that maps images (B, 3, height, width) to features (B, D)."""

    training: bool

    @property
    def num_features(self) -> int:
        """The width D of the features."""

    def __call__(self, images: Tensor) -> Tensor: ...

    def to(self, device: str | torch.device) -> Self: ...

    def train(self, mode: bool = True) -> Self: ...

    def eval(self) -> Self: ...

    def requires_grad_(self, requires_grad: bool = True) -> Self: ...

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...

    def modules(self) -> Iterator[torch.nn.Module]: ...

    def state_dict(self) -> Mapping[str, Any]: ...


class Head(Protocol):
    """A module that maps features (B, D) to logits (B, C) and folds into one linear layer."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C unique names of the labels."""

    @property
    def num_labels(self) -> int:
        """The number of labels C."""

    @property
    def num_features(self) -> int:
        """The width D of the features."""

    def __call__(self, features: Tensor) -> Tensor: ...

    def classifiers(self) -> Tensor:
        """Returns the classifiers W_cls (C, D), which apply to standardised features if the head has statistics."""

    def to_linear(self) -> torch.nn.Linear:
        """Returns the head, folded into one linear layer."""

    def to(self, device: str | torch.device) -> Self: ...

    def train(self, mode: bool = True) -> Self: ...

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]: ...

    def state_dict(self) -> Mapping[str, Any]: ...


class RowSource(Protocol):
    """Batches of features and targets on one device.

    The features are either resident on the device or streamed from a file. A *row* is an index into the table (N·V, D)
    of all views of all images.

    Attributes:
        targets: (N, C) int8.
        device: the device of the batches.
        num_images: N.
        num_views: V.
        num_features: D.
    """

    targets: Tensor
    device: torch.device
    num_images: int
    num_views: int
    num_features: int

    def row_batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Yields the rows (B,) of each batch of an epoch, starting with batch ``start``."""

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the features (B, D), as stored, and the targets (B, C) of ``rows``."""

    def batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features (B, D), as stored, and targets (B, C) of each batch, starting with batch ``start``."""

    def blocks(self, views: str = "first", size: int = 8192) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features (n, D) and targets (n, C) of n ≤ ``size`` images at a time, in the order of the images.

        Args:
            views: ``"first"`` for the features of view 0, ``"mean"`` for the mean over all views, ``"all"`` for
                features (n, V, D) of all views.
            size: the largest number of images in a block.
        """

    def sample(self, most_images: int) -> Tensor:
        """Returns features (n, V, D) of at most ``most_images`` evenly spaced images, on the CPU."""


class TrainingStep(Protocol):
    """Advances the training of H heads over the row batches of an epoch."""

    def advance(self, rows: Iterator[Tensor], lrs: Tensor) -> Tensor:
        """Takes the next n ≥ 1 steps, one per batch of rows, and returns their losses (n, H).

        The implementation chooses n, and takes exactly n batches from ``rows``.

        Args:
            rows: the batches of the rest of the epoch.
            lrs: the learning rates (steps, H) of the rest of the epoch.
        """

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""

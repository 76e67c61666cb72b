"""Protocols between the parts of the package.

Letters in shapes: B batch, N images, V views, D features, C labels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import torch
from torch import Tensor


class LabeledDataset(Protocol):
    """Images with labels. Items are ``(image, target (C,), index)``."""

    transform: Callable[..., Any] | None

    @property
    def targets(self) -> Tensor:
        """(N, C) int8 in {-1, 0, 1}: 1 present, 0 absent, −1 unknown."""

    @property
    def label_names(self) -> Sequence[str]:
        """C different strings."""

    @property
    def ids(self) -> Sequence[str]:
        """N different names of the images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Any, Tensor, int]: ...


class SeededDataset(LabeledDataset, Protocol):
    """Images with labels, whose random transforms depend on (seed, epoch, index) alone if ``seed`` is not None."""

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
        """C different strings."""

    @property
    def num_labels(self) -> int:
        """C."""

    @property
    def num_features(self) -> int:
        """D."""

    def __call__(self, features: Tensor) -> Tensor: ...

    def classifiers(self) -> Tensor:
        """W_cls (C, D)."""

    def to_linear(self) -> torch.nn.Linear:
        """The folded head."""

    def to(self, device: str | torch.device) -> Self: ...

    def train(self, mode: bool = True) -> Self: ...

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]: ...

    def state_dict(self) -> Mapping[str, Any]: ...


class RowSource(Protocol):
    """Features and targets in batches on one device, resident or streamed.

    A *row* is an index into the table (N·V, D) of all views of all images.

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
        """Yields the rows (B,) of each batch of an epoch, from batch ``start`` on."""

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features (B, D) as stored and targets (B, C)."""

    def batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features (B, D) as stored and targets (B, C) of each batch of an epoch, from batch ``start`` on."""

    def blocks(self, views: str = "first", size: int = 8192) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features (n, D) and targets (n, C) of ``size`` images at a time, in the order of the images."""

    def sample(self, most_images: int) -> Tensor:
        """Returns features (n, V, D) of at most ``most_images`` evenly spaced images, on the CPU."""


class TrainingStep(Protocol):
    """Advances the training of H heads over the row batches of an epoch."""

    def advance(self, rows: Iterator[Tensor]) -> Tensor:
        """Takes n ≥ 1 steps, one per batch of rows; returns their losses (n, H)."""

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""

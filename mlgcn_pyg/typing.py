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


class FeatureExtractor(Protocol):
    """A module that maps images (B, 3, height, width) to features (B, D)."""

    training: bool

    @property
    def num_features(self) -> int:
        """The width D of the features."""

    def __call__(self, images: Tensor) -> Tensor: ...

    def to(self, device: torch.device) -> Self: ...

    def train(self, mode: bool = True) -> Self: ...

    def eval(self) -> Self: ...

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

    def to(self, device: torch.device) -> Self: ...

    def train(self, mode: bool = True) -> Self: ...

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]: ...

    def state_dict(self) -> Mapping[str, Any]: ...


class RowSource(Protocol):
    """Features and targets in shuffled batches on one device, resident or streamed."""

    targets: Tensor
    device: torch.device

    @property
    def num_images(self) -> int:
        """N."""

    @property
    def num_views(self) -> int:
        """V."""

    @property
    def num_features(self) -> int:
        """D."""

    def row_batches(self, batch_size: int, seed: int, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Rows (B,) of each step of an epoch, from step ``start`` on."""

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and targets (B, C) of these rows."""

    def blocks(self, views: str = "first", rows: int = 8192) -> Iterator[tuple[Tensor, Tensor]]:
        """Features (n, D) and targets (n, C) in the order of the images."""

    def sample(self, most_rows: int) -> Tensor:
        """Features (n, V, D) of at most ``most_rows`` evenly spaced images, on the CPU."""


class TrainingStep(Protocol):
    """Advances the training of H heads over the row batches of an epoch."""

    def advance(self, rows: Iterator[Tensor]) -> Tensor:
        """Takes one or more row batches; returns the losses (n, H) of the n steps that it took."""

    def release(self) -> None:
        """Leaves the heads with storage of their own and no gradients."""

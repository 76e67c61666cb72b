"""A trained head with its backbone and its settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_image_size
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.standardized_head import StandardizedHead

if TYPE_CHECKING:  # torchvision is slow to import
    from mlgcn_pyg.nn import Backbone

COMPARED = ("backbone", "pool", "weights_sha256", "image_size")  # must agree in descriptions of features


@dataclass(frozen=True)
class Checkpoint:
    """A trained head, its backbone (optional), and the settings for prediction.

    Attributes:
        head: :class:`MLGCNHead`, :class:`SharingHead`, :class:`LinearHead`, or :class:`LabelGNNHead`.
        backbone: :class:`Backbone`, or None for a head that was trained on cached features.
        image_size: (height, width) in pixels that images are resized to, or None if unknown. An integer is the side of
            a square.
        thresholds: (C,) float64 logits above which labels are predicted. None means 0, a probability of 0.5.
        config: the training configuration. ``config["features"]``, if present, describes the features that the head
            was trained on: ``backbone``, ``weights_sha256``, ``pool``, ``image_size`` and ``transform``.

    Raises:
        InputError: if backbone and head differ in width, the thresholds are not one number per label, a side is not an
            integer ≥ 1, or ``config`` is not a dict.
    """

    head: StandardizedHead
    backbone: "Backbone | None" = None
    image_size: tuple[int, int] | None = None
    thresholds: Tensor | None = None
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.config, dict):
            raise InputError("config", "a dict", type(self.config).__name__)
        if self.backbone is not None:
            _check_width(self.backbone, self.head)
        if self.thresholds is not None:
            object.__setattr__(self, "thresholds", check_thresholds(self.thresholds, self.head.num_labels))
        if self.image_size is not None:
            object.__setattr__(self, "image_size", check_image_size(self.image_size))

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C label names."""
        return self.head.label_names

    @property
    def model(self) -> MLGCN:
        """The backbone and the head as one network.

        Raises:
            InputError: if there is no backbone.
        """
        if self.backbone is None:
            fix = "open it with mlgcn_pyg.prediction.open_model, or call with_backbone"
            raise InputError("backbone", "a whole model", "a head alone, trained on cached features", fix)
        return MLGCN(self.backbone, self.head)

    @property
    def provenance(self) -> dict[str, Any]:
        """Description of the features that the head receives; empty if unknown.

        The keys include ``backbone``, ``pool``, ``weights_sha256`` and ``image_size``. The values describe the backbone
        of the checkpoint if it has one, and are taken from ``config["features"]`` otherwise.
        """
        if self.backbone is not None:
            return _provenance_of(self.backbone) | {"image_size": self.image_size and list(self.image_size)}
        recorded = self.config.get("features")
        return dict(recorded) if isinstance(recorded, dict) else {}

    def check_provenance(self, argument: str, provenance: dict[str, Any]) -> None:
        """Checks that features were computed in the same way as the features that the head was trained on.

        Args:
            argument: the name of the argument, for the error message.
            provenance: a description of the features, such as the ``meta`` of a cache. Fields that it or
                :attr:`provenance` lacks are not compared.

        Raises:
            InputError: if the two descriptions differ.
        """
        trained_on = self.provenance
        for name in COMPARED:
            expected, found = _as_list(trained_on.get(name)), _as_list(provenance.get(name))
            if None not in (expected, found) and expected != found:
                fix = "use the same for both; a backbone that was trained end to end is stored in its checkpoint only"
                raise InputError(argument, f"features with {name} {expected}, as in training", found, fix)

    def with_backbone(self, backbone: "Backbone", image_size: int | Sequence[int] | None = None) -> "Checkpoint":
        """Returns a copy of this checkpoint with the backbone that computed the features of its head.

        Args:
            backbone: the backbone; its name, pooling and weights must match :attr:`provenance`.
            image_size: side or (height, width) in pixels; default: that of the features.

        Raises:
            InputError: if ``backbone`` or ``image_size`` differs, or the features have a different width.
        """
        size = None if image_size is None else check_image_size(image_size)
        _check_width(backbone, self.head)
        self.check_provenance("backbone", _provenance_of(backbone))
        self.check_provenance("image_size", {"image_size": size})
        size = size or self.image_size or self.provenance.get("image_size")
        return replace(self, backbone=backbone, image_size=size)


def _check_width(backbone: "Backbone", head: StandardizedHead) -> None:
    if backbone.num_features != head.num_features:
        expected = f"features of width {head.num_features}, as the head requires"
        raise InputError("backbone", expected, backbone.num_features)


def _provenance_of(backbone: "Backbone") -> dict[str, Any]:
    return {"backbone": backbone.name, "pool": backbone.pool, "weights_sha256": backbone.digest()}


def _as_list(value: object) -> object:
    """Converts a tuple to a list, as JSON does."""
    return list(value) if isinstance(value, tuple) else value


def check_thresholds(thresholds: Tensor, num_labels: int) -> Tensor:
    """Returns thresholds as (C,) float64 on the CPU.

    Raises:
        InputError: if the shape is not (C,), or a threshold is NaN.
    """
    thresholds = torch.as_tensor(thresholds).detach()
    if thresholds.shape != (num_labels,) or thresholds.is_complex() or thresholds.isnan().any():
        fits = thresholds.shape == (num_labels,) and not thresholds.is_complex()
        found = "NaN" if fits else f"shape {tuple(thresholds.shape)}, {thresholds.dtype}"
        raise InputError("thresholds", f"one logit per label, shape ({num_labels},)", found)
    return thresholds.to("cpu", torch.float64)

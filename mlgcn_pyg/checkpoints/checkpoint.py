"""A trained head, the backbone under it, and the settings with which the two are used."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_image_size
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.mlgcn_head import MLGCNHead

if TYPE_CHECKING:  # torchvision is slow to import
    from mlgcn_pyg.nn import Backbone

COMPARED = ("backbone", "pool", "weights_sha256", "image_size")  # what two descriptions of features must agree in


@dataclass(frozen=True)
class Checkpoint:
    """A trained head, its backbone if the checkpoint holds one, and the settings with which the two are used.

    Attributes:
        head: :class:`MLGCNHead` or :class:`LinearHead`.
        backbone: :class:`Backbone`, or None for a head that was trained on cached features.
        image_size: (height, width) in pixels that images are resized to, or None if unknown. A side is accepted.
        thresholds: (C,) float64 logits above which labels are predicted, or None for 0, a probability of 0.5.
        config: how the head was trained. ``config["features"]``, if present, describes the features that a head was
            trained on: ``backbone``, ``weights_sha256``, ``pool``, ``image_size`` and ``transform``.

    Raises:
        InputError: if backbone and head differ in width, the thresholds are not one number per label, a side is not an
            integer ≥ 1, or ``config`` is not a dict.
    """

    head: MLGCNHead | LinearHead
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
        """C different strings."""
        return self.head.label_names

    @property
    def model(self) -> MLGCN:
        """Backbone and head as one network.

        Raises:
            InputError: if there is no backbone.
        """
        if self.backbone is None:
            fix = "open it with mlgcn_pyg.prediction.open_model, or call with_backbone"
            raise InputError("backbone", "a whole model", "a head alone, trained on cached features", fix)
        return MLGCN(self.backbone, self.head)

    @property
    def provenance(self) -> dict[str, Any]:
        """What is known about the features that the head receives.

        Keys are ``backbone``, ``pool``, ``weights_sha256`` and ``image_size``, among others. They describe the
        checkpoint's backbone if it has one, and are those of ``config["features"]`` otherwise. Empty if nothing is
        known.
        """
        if self.backbone is not None:
            return _provenance_of(self.backbone) | {"image_size": self.image_size and list(self.image_size)}
        recorded = self.config.get("features")
        return dict(recorded) if isinstance(recorded, dict) else {}

    def check_provenance(self, argument: str, provenance: dict[str, Any]) -> None:
        """Checks that features came from the same backbone and images as those that the head was trained on.

        Args:
            argument: the argument that an error names.
            provenance: a description of the features, such as the ``meta`` of a cache. What it or :attr:`provenance`
                lacks is not compared.

        Raises:
            InputError: if the two differ.
        """
        trained_on = self.provenance
        for name in COMPARED:
            expected, found = _as_list(trained_on.get(name)), _as_list(provenance.get(name))
            if None not in (expected, found) and expected != found:
                fix = "use the same for both; the backbone of a network trained end to end is only in its checkpoint"
                raise InputError(argument, f"features of {name} {expected}, as the head was trained on", found, fix)

    def with_backbone(self, backbone: "Backbone", image_size: int | Sequence[int] | None = None) -> "Checkpoint":
        """Returns a checkpoint with the backbone that computed the features of this head.

        Args:
            backbone: its name, pooling and weights must be those in :attr:`provenance`.
            image_size: side or (height, width) in pixels; by default that of the features.

        Raises:
            InputError: if ``backbone`` or ``image_size`` differs, or the features have a different width.
        """
        size = None if image_size is None else check_image_size(image_size)
        _check_width(backbone, self.head)
        self.check_provenance("backbone", _provenance_of(backbone))
        self.check_provenance("image_size", {"image_size": size})
        size = size or self.image_size or self.provenance.get("image_size")
        return replace(self, backbone=backbone, image_size=size)


def _check_width(backbone: "Backbone", head: MLGCNHead | LinearHead) -> None:
    if backbone.num_features != head.num_features:
        expected = f"features of width {head.num_features}, as the head has"
        raise InputError("backbone", expected, backbone.num_features)


def _provenance_of(backbone: "Backbone") -> dict[str, Any]:
    return {"backbone": backbone.name, "pool": backbone.pool, "weights_sha256": backbone.digest()}


def _as_list(value: object) -> object:
    """Tuples as lists, which is how JSON stores them."""
    return list(value) if isinstance(value, tuple) else value


def check_thresholds(thresholds: Tensor, num_labels: int) -> Tensor:
    """Returns thresholds as (C,) float64 on the CPU.

    Raises:
        InputError: if their shape is not (C,), or one is NaN.
    """
    thresholds = torch.as_tensor(thresholds).detach().to("cpu", torch.float64)
    if thresholds.shape != (num_labels,) or thresholds.isnan().any():
        found = "NaN" if thresholds.shape == (num_labels,) else f"shape {tuple(thresholds.shape)}"
        raise InputError("thresholds", f"one logit per label, shape ({num_labels},)", found)
    return thresholds

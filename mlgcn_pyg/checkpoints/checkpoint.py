"""What training leaves behind: a head, perhaps its backbone, and how the two are to be used."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_image_size
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.mlgcn import MLGCN


@dataclass(frozen=True)
class Checkpoint:
    """A trained head, the backbone under it where that was saved too, and how the two are to be used.

    Attributes:
        head: :class:`MLGCNHead` or :class:`LinearHead`.
        backbone: :class:`Backbone`, or None: a head that was trained on cached features.
        image_size: (height, width) in pixels that photographs are resized to; None where nobody said.
        thresholds: (C,) float64, logits above which labels are predicted; None for 0, a probability of 0.5.
        config: how it was trained. ``config["features"]``, where there is one, says what a head's features came from:
            ``backbone``, ``weights_sha256``, ``pool``, ``image_size`` and ``transform``.

    Raises:
        InputError: thresholds that are not one number per label, sides below one pixel.
    """

    head: torch.nn.Module
    backbone: torch.nn.Module | None = None
    image_size: tuple[int, int] | None = None
    thresholds: Tensor | None = None
    config: dict = field(default_factory=dict)

    def __post_init__(self):
        if not isinstance(self.config, dict):
            raise InputError("config", "a dict", type(self.config).__name__)
        if self.thresholds is not None:
            object.__setattr__(self, "thresholds", check_thresholds(self.thresholds, self.head.num_labels))
        if self.image_size is not None:
            object.__setattr__(self, "image_size", check_image_size(self.image_size))

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.head.label_names

    @property
    def model(self) -> MLGCN:
        """Backbone and head as one network. Raises InputError for a head alone."""
        if self.backbone is None:
            fix = "give the backbone that its features came from (with_backbone; --backbone and --weights)"
            raise InputError("checkpoint", "a whole model", "a head alone, trained on cached features", fix)
        return MLGCN(self.backbone, self.head)

    @property
    def features(self) -> dict:
        """What is known of the features under the head: ``backbone``, ``pool``, ``weights_sha256``, ``image_size``, …

        Of its own backbone where there is one, else from ``config["features"]``; empty where nobody said.
        """
        if self.backbone is not None:
            return _described(self.backbone) | {"image_size": None if self.image_size is None else [*self.image_size]}
        made = self.config.get("features")
        return dict(made) if isinstance(made, dict) else {}

    def check_features(self, argument: str, found: dict) -> None:
        """InputError where features described by ``found`` (a cache's ``meta``) are others than those under the head.

        What either side leaves open is not compared.
        """
        made = self.features
        for name in ("backbone", "pool", "weights_sha256", "image_size"):
            ours, theirs = (list(v) if isinstance(v, tuple) else v for v in (made.get(name), found.get(name)))
            if None not in (ours, theirs) and ours != theirs:
                fix = "use the same for both; only its own checkpoint holds the backbone of a network trained whole"
                raise InputError(argument, f"features of {name} {ours}, as the head was trained on", f"{theirs}", fix)

    def with_backbone(self, backbone: torch.nn.Module, image_size: int | Sequence[int] | None = None) -> "Checkpoint":
        """A head trained on cached features, on the backbone that they came from.

        Backbone, pooling, weights and image size are checked against :attr:`features`; the image size is taken from
        there where ``image_size`` is None.

        Raises InputError for any that differs, and for features of another width.
        """
        size = None if image_size is None else check_image_size(image_size)
        if backbone.num_features != self.head.num_features:
            found = f"{backbone.num_features} from {backbone.name}"
            raise InputError("backbone", f"features of width {self.head.num_features}, as the head has", found)
        self.check_features("backbone", _described(backbone) | {"image_size": size})
        return replace(self, backbone=backbone, image_size=size or self.image_size or self.features.get("image_size"))


def _described(backbone: torch.nn.Module) -> dict:
    return {"backbone": backbone.name, "pool": backbone.pool, "weights_sha256": backbone.digest()}


def check_thresholds(thresholds: Tensor, num_labels: int) -> Tensor:
    """Thresholds as (C,) float64 on the CPU; InputError for another shape or NaN."""
    thresholds = torch.as_tensor(thresholds).detach().to("cpu", torch.float64)
    if thresholds.shape != (num_labels,) or thresholds.isnan().any():
        found = "NaN" if thresholds.shape == (num_labels,) else f"shape {tuple(thresholds.shape)}"
        raise InputError("thresholds", f"one logit per label, shape ({num_labels},)", found)
    return thresholds

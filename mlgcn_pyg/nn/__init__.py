"""Neural network modules: the re-weighted convolution, heads, losses and backbones."""

from typing import TYPE_CHECKING

from mlgcn_pyg.nn.conv import ReweightedConv
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.nn.losses import LOSSES, asymmetric, make_loss, multilabel_soft_margin
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.mlgcn_head import MLGCNHead

if TYPE_CHECKING:
    from mlgcn_pyg.nn.backbones import Backbone
    from mlgcn_pyg.typing import FeatureExtractor, Head

    # type checkers verify the protocols here
    _HEADS: tuple[type[Head], ...] = (LinearHead, MLGCNHead)
    _BACKBONES: tuple[type[FeatureExtractor], ...] = (Backbone,)

__all__ = [
    "LOSSES",
    "MLGCN",
    "Backbone",
    "LinearHead",
    "MLGCNHead",
    "ReweightedConv",
    "asymmetric",
    "make_loss",
    "multilabel_soft_margin",
]


def __getattr__(name: str) -> object:
    if name == "Backbone":  # torchvision is slow to import and not needed for cached features
        from mlgcn_pyg.nn.backbones import Backbone

        return Backbone
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

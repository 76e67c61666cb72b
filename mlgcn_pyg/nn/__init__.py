"""The network: the re-weighted convolution, the heads, and (loaded when asked for) the torchvision backbones."""

from mlgcn_pyg.nn.checkpoint import load_head, save_head
from mlgcn_pyg.nn.conv import ReweightedConv
from mlgcn_pyg.nn.head import MLGCNHead
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.nn.losses import LOSSES, asymmetric, make_loss, multilabel_soft_margin
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.released import load_released

__all__ = [
    "LOSSES",
    "MLGCN",
    "Backbone",
    "LinearHead",
    "MLGCNHead",
    "ReweightedConv",
    "asymmetric",
    "load_head",
    "load_released",
    "make_loss",
    "multilabel_soft_margin",
    "save_head",
]


def __getattr__(name: str):
    if name == "Backbone":  # torchvision is slow to import and not needed for cached features
        from mlgcn_pyg.nn.backbone import Backbone

        return Backbone
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

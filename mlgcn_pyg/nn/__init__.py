"""The network: the re-weighted convolution, the heads, and (loaded when asked for) the torchvision backbones."""

from mlgcn_pyg.nn.checkpoint import load_checkpoint, load_head, load_model, save_head, save_model, store_thresholds
from mlgcn_pyg.nn.conv import ReweightedConv
from mlgcn_pyg.nn.export import Exported, export_onnx, export_torch, fold_model
from mlgcn_pyg.nn.head import MLGCNHead
from mlgcn_pyg.nn.linear_file import load_linear, save_linear
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.nn.losses import LOSSES, asymmetric, make_loss, multilabel_soft_margin
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.released import load_released
from mlgcn_pyg.nn.trained import Checkpoint

__all__ = [
    "LOSSES",
    "MLGCN",
    "Backbone",
    "Checkpoint",
    "Exported",
    "LinearHead",
    "MLGCNHead",
    "ReweightedConv",
    "asymmetric",
    "export_onnx",
    "export_torch",
    "fold_model",
    "load_checkpoint",
    "load_head",
    "load_linear",
    "load_model",
    "load_released",
    "make_loss",
    "multilabel_soft_margin",
    "save_head",
    "save_linear",
    "save_model",
    "store_thresholds",
]


def __getattr__(name: str):
    if name == "Backbone":  # torchvision is slow to import and not needed for cached features
        from mlgcn_pyg.nn.backbone import Backbone

        return Backbone
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

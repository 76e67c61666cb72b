"""Neural network modules: the re-weighted convolution, heads, losses and backbones."""

from typing import TYPE_CHECKING

from mlgcn_pyg.lazy import lazy_names
from mlgcn_pyg.nn.contributions import Contributions
from mlgcn_pyg.nn.conv import ReweightedConv
from mlgcn_pyg.nn.label_gnn_head import LabelGNNHead
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.nn.losses import LOSSES, asymmetric, make_loss, multilabel_soft_margin
from mlgcn_pyg.nn.maps import explanation_maps
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.mlgcn_head import MLGCNHead
from mlgcn_pyg.nn.sharing_head import SharingHead
from mlgcn_pyg.nn.standardize import Standardize
from mlgcn_pyg.nn.standardized_head import StandardizedHead

if TYPE_CHECKING:
    from mlgcn_pyg.nn.backbones import Backbone
    from mlgcn_pyg.typing import FeatureExtractor, Head

    # type checkers verify the protocols here
    _HEADS: tuple[type[Head], ...] = (LinearHead, MLGCNHead, SharingHead, LabelGNNHead)
    _BACKBONES: tuple[type[FeatureExtractor], ...] = (Backbone,)

__all__ = [
    "LOSSES",
    "MLGCN",
    "Backbone",
    "Contributions",
    "LabelGNNHead",
    "LinearHead",
    "MLGCNHead",
    "ReweightedConv",
    "SharingHead",
    "Standardize",
    "StandardizedHead",
    "asymmetric",
    "explanation_maps",
    "make_loss",
    "multilabel_soft_margin",
]

# torchvision is slow to import and not needed for cached features
__getattr__, __dir__ = lazy_names(__name__, {"Backbone": "mlgcn_pyg.nn.backbones"})

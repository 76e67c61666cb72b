"""Multi-label image recognition with graph convolutional networks (ML-GCN), as a PyTorch Geometric package."""

from mlgcn_pyg._version import __version__
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn import MLGCN, MLGCNHead, ReweightedConv

__all__ = ["MLGCN", "LabelGraph", "MLGCNHead", "ReweightedConv", "__version__"]

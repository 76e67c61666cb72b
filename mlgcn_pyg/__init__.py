"""Multi-label image recognition with graph convolutional networks (ML-GCN), as a PyTorch Geometric package.

>>> import mlgcn_pyg
>>> graph = mlgcn_pyg.LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], label_names=["person", "tie", "dog"])
>>> head = mlgcn_pyg.MLGCNHead(graph, num_features=2048)

:func:`mlgcn_pyg.load` loads a trained network, which predicts the labels of images.
"""

from typing import TYPE_CHECKING

from mlgcn_pyg._version import __version__
from mlgcn_pyg.lazy import lazy_names

if TYPE_CHECKING:
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.nn import MLGCN, MLGCNHead, ReweightedConv
    from mlgcn_pyg.prediction import load

__all__ = ["MLGCN", "LabelGraph", "MLGCNHead", "ReweightedConv", "__version__", "load"]

# imported on first use, so that `mlgcn --help` does not load torch
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "LabelGraph": "mlgcn_pyg.graph",
        "MLGCN": "mlgcn_pyg.nn",
        "MLGCNHead": "mlgcn_pyg.nn",
        "ReweightedConv": "mlgcn_pyg.nn",
        "load": "mlgcn_pyg.prediction",
    },
)

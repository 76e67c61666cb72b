"""Multi-label image recognition with graph convolutional networks (ML-GCN), as a PyTorch Geometric package.

>>> import mlgcn_pyg
>>> graph = mlgcn_pyg.LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], label_names=["person", "tie", "dog"])
>>> head = mlgcn_pyg.MLGCNHead(graph, num_features=2048)
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mlgcn_pyg._version import __version__

if TYPE_CHECKING:
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.nn import MLGCN, MLGCNHead, ReweightedConv

__all__ = ["MLGCN", "LabelGraph", "MLGCNHead", "ReweightedConv", "__version__"]

_MODULES = {
    "LabelGraph": "mlgcn_pyg.graph",
    "MLGCN": "mlgcn_pyg.nn",
    "MLGCNHead": "mlgcn_pyg.nn",
    "ReweightedConv": "mlgcn_pyg.nn",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # imported on first use, so that `mlgcn --help` does not load torch
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Multi-label image recognition with graph convolutional networks (ML-GCN), as a PyTorch Geometric package."""

from typing import TYPE_CHECKING

from mlgcn_pyg._version import __version__

if TYPE_CHECKING:
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.nn import MLGCN, MLGCNHead, ReweightedConv

__all__ = ["MLGCN", "LabelGraph", "MLGCNHead", "ReweightedConv", "__version__"]


def __getattr__(name: str):
    # loaded when asked for: `mlgcn --help` needs no torch
    if name == "LabelGraph":
        from mlgcn_pyg.graph import LabelGraph as value
    elif name in ("MLGCN", "MLGCNHead", "ReweightedConv"):
        import mlgcn_pyg.nn

        value = getattr(mlgcn_pyg.nn, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

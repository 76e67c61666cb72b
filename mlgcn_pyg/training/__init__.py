"""Training: heads on cached features, or a whole network on images."""

from importlib import import_module
from typing import TYPE_CHECKING

from mlgcn_pyg.training.config import HeadConfig, ModelConfig
from mlgcn_pyg.training.history import History

if TYPE_CHECKING:
    from mlgcn_pyg.training.heads import fit_head, fit_heads, score
    from mlgcn_pyg.training.model import fit_model

__all__ = ["HeadConfig", "History", "ModelConfig", "fit_head", "fit_heads", "fit_model", "score"]

# imported lazily: the configs do not import torch, and training heads does not import Accelerate
_MODULES = {
    "fit_head": "mlgcn_pyg.training.heads",
    "fit_heads": "mlgcn_pyg.training.heads",
    "fit_model": "mlgcn_pyg.training.model",
    "score": "mlgcn_pyg.training.heads",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

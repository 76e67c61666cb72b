"""Fitting: a head on cached features, or a whole network on photographs."""

from typing import TYPE_CHECKING

from mlgcn_pyg.training.config import HeadConfig, ModelConfig
from mlgcn_pyg.training.heads import fit_head, fit_heads, head_logits, score
from mlgcn_pyg.training.history import History

if TYPE_CHECKING:
    from mlgcn_pyg.training.model import fit_model

__all__ = ["HeadConfig", "History", "ModelConfig", "fit_head", "fit_heads", "fit_model", "head_logits", "score"]


def __getattr__(name: str) -> object:
    if name == "fit_model":  # Accelerate is slow to import and not needed for cached features
        from mlgcn_pyg.training.model import fit_model

        return fit_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Fitting: a head on cached features, or a model end to end (loaded when asked for)."""

from mlgcn_pyg.training.config import HeadConfig, ModelConfig
from mlgcn_pyg.training.heads import fit_head, fit_heads
from mlgcn_pyg.training.history import History
from mlgcn_pyg.training.scoring import head_logits, score

__all__ = ["HeadConfig", "History", "ModelConfig", "fit_head", "fit_heads", "fit_model", "head_logits", "score"]


def __getattr__(name: str):
    if name == "fit_model":  # Accelerate is slow to import and not needed for cached features
        from mlgcn_pyg.training.end_to_end import fit_model

        return fit_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Training: heads on cached features, or a whole network on images."""

from typing import TYPE_CHECKING

from mlgcn_pyg.lazy import lazy_names
from mlgcn_pyg.training.config import HeadConfig, ModelConfig
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.history import History

if TYPE_CHECKING:
    from mlgcn_pyg.training.heads import fit_head, fit_heads, score
    from mlgcn_pyg.training.model import fit_model

__all__ = ["ExactConfig", "HeadConfig", "History", "ModelConfig", "fit_head", "fit_heads", "fit_model", "score"]

# The configurations do not import torch, and training heads does not import Accelerate.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "fit_head": "mlgcn_pyg.training.heads",
        "fit_heads": "mlgcn_pyg.training.heads",
        "fit_model": "mlgcn_pyg.training.model",
        "score": "mlgcn_pyg.training.heads",
    },
)

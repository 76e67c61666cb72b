"""Training heads on cached features."""

from mlgcn_pyg.training.heads.fit import fit_head, fit_heads
from mlgcn_pyg.training.heads.scoring import score

__all__ = ["fit_head", "fit_heads", "score"]

"""Training backbone and head end to end."""

from mlgcn_pyg.training.model.fit import fit_model

__all__ = ["fit_model"]

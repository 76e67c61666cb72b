"""The paper's studies."""

from mlgcn_pyg.experiments.compare_heads import HEADS, compare_heads

__all__ = ["HEADS", "compare_heads"]

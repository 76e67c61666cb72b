"""Experiments of the paper."""

from mlgcn_pyg.experiments.head_comparison import HEADS, compare_heads

__all__ = ["HEADS", "compare_heads"]

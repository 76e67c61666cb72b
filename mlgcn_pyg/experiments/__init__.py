"""Comparison of heads on the same features, and the recommendation of one."""

from mlgcn_pyg.experiments.head_comparison import FittedHead, HeadComparison, compare_heads
from mlgcn_pyg.experiments.kinds import HEADS
from mlgcn_pyg.experiments.recommendation import Recommendation

__all__ = ["HEADS", "FittedHead", "HeadComparison", "Recommendation", "compare_heads"]

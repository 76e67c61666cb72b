"""Comparison of heads on the same features, the recommendation of one, and the audit of labels."""

from mlgcn_pyg.experiments.head_comparison import FittedHead, HeadComparison, compare_heads
from mlgcn_pyg.experiments.kinds import HEADS
from mlgcn_pyg.experiments.label_audit import audit_labels, mined_graph
from mlgcn_pyg.experiments.recommendation import Recommendation

__all__ = ["HEADS", "FittedHead", "HeadComparison", "Recommendation", "audit_labels", "compare_heads", "mined_graph"]

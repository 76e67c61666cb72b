"""The paper's metrics, and thresholds per label."""

from mlgcn_pyg.evaluation.metrics import COUNT_METRICS, multilabel_metrics
from mlgcn_pyg.evaluation.table1 import mean_and_std, table1_row
from mlgcn_pyg.evaluation.thresholds import f1_per_label, fit_thresholds

__all__ = ["COUNT_METRICS", "f1_per_label", "fit_thresholds", "mean_and_std", "multilabel_metrics", "table1_row"]

"""The paper's metrics, and thresholds per label."""

from mlgcn_pyg.evaluation.metrics import multilabel_metrics
from mlgcn_pyg.evaluation.results import COUNT_METRICS
from mlgcn_pyg.evaluation.table1 import mean_and_std, table1_row
from mlgcn_pyg.evaluation.thresholds import cross_fitted_f1, f1_per_label, fit_thresholds

__all__ = [
    "COUNT_METRICS",
    "cross_fitted_f1",
    "f1_per_label",
    "fit_thresholds",
    "mean_and_std",
    "multilabel_metrics",
    "table1_row",
]

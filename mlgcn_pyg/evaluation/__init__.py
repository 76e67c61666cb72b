"""The paper's metrics, their intervals, and thresholds per label."""

from mlgcn_pyg.evaluation.average_precision import mean_average_precision
from mlgcn_pyg.evaluation.intervals import Difference, Interval, MetricDifferences, MetricIntervals
from mlgcn_pyg.evaluation.metrics import multilabel_metrics
from mlgcn_pyg.evaluation.neighbours import Agreement, cosines, neighbour_purity, rank_correlation
from mlgcn_pyg.evaluation.replicates import Replicates, bootstrap_metrics, bootstrap_replicates, paired_difference
from mlgcn_pyg.evaluation.results import COUNT_METRICS
from mlgcn_pyg.evaluation.retrieval import Retrieval, retrieve
from mlgcn_pyg.evaluation.table1 import mean_and_std, table1_row
from mlgcn_pyg.evaluation.thresholds import cross_fitted_f1, f1_per_label, fit_thresholds

__all__ = [
    "COUNT_METRICS",
    "Agreement",
    "Difference",
    "Interval",
    "MetricDifferences",
    "MetricIntervals",
    "Replicates",
    "Retrieval",
    "bootstrap_metrics",
    "bootstrap_replicates",
    "cosines",
    "cross_fitted_f1",
    "f1_per_label",
    "fit_thresholds",
    "mean_and_std",
    "mean_average_precision",
    "multilabel_metrics",
    "neighbour_purity",
    "paired_difference",
    "rank_correlation",
    "retrieve",
    "table1_row",
]

"""The paper's metrics, their intervals, thresholds per label, calibration, and suspicious labels."""

from mlgcn_pyg.evaluation.average_precision import mean_average_precision
from mlgcn_pyg.evaluation.calibration import Calibration, cross_fitted_calibration, fit_calibration, fit_temperature
from mlgcn_pyg.evaluation.intervals import Difference, Interval, MetricDifferences, MetricIntervals
from mlgcn_pyg.evaluation.metrics import multilabel_metrics
from mlgcn_pyg.evaluation.neighbours import Agreement, cosines, neighbour_purity, rank_correlation
from mlgcn_pyg.evaluation.precision_thresholds import (
    PrecisionRecall,
    cross_fitted_precision,
    fit_precision_thresholds,
    precision_recall,
)
from mlgcn_pyg.evaluation.reliability import Reliability, reliability
from mlgcn_pyg.evaluation.replicates import Replicates, bootstrap_metrics, bootstrap_replicates, paired_difference
from mlgcn_pyg.evaluation.results import COUNT_METRICS
from mlgcn_pyg.evaluation.retrieval import Retrieval, retrieve
from mlgcn_pyg.evaluation.suspicion import expected_labels, suspicion
from mlgcn_pyg.evaluation.table1 import mean_and_std, table1_row
from mlgcn_pyg.evaluation.thresholds import cross_fitted_f1, f1_per_label, fit_thresholds

__all__ = [
    "COUNT_METRICS",
    "Agreement",
    "Calibration",
    "Difference",
    "Interval",
    "MetricDifferences",
    "MetricIntervals",
    "PrecisionRecall",
    "Reliability",
    "Replicates",
    "Retrieval",
    "bootstrap_metrics",
    "bootstrap_replicates",
    "cosines",
    "cross_fitted_calibration",
    "cross_fitted_f1",
    "cross_fitted_precision",
    "expected_labels",
    "f1_per_label",
    "fit_calibration",
    "fit_precision_thresholds",
    "fit_temperature",
    "fit_thresholds",
    "mean_and_std",
    "mean_average_precision",
    "multilabel_metrics",
    "neighbour_purity",
    "paired_difference",
    "precision_recall",
    "rank_correlation",
    "reliability",
    "retrieve",
    "suspicion",
    "table1_row",
]

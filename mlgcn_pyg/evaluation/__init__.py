"""Numbers: the paper's metrics."""

from mlgcn_pyg.evaluation.metrics import COUNT_METRICS, multilabel_metrics

__all__ = ["COUNT_METRICS", "multilabel_metrics"]

"""Rows of the paper's Table 1: metrics over all predictions and over the top three, per seed and on average."""

import math
import statistics
from collections.abc import Sequence

from torch import Tensor

from mlgcn_pyg.evaluation.metrics import COUNT_METRICS, count_metrics, multilabel_metrics, predicted_labels

TOP = 3


def table1_row(logits: Tensor, targets: Tensor, label_names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """``{"all": {mAP, CP, …, OF1}, "top3": {CP, …, OF1}, "AP": {label: AP}}`` as fractions; None where undefined."""
    everything = multilabel_metrics(logits, targets)
    top = count_metrics(predicted_labels(logits, targets, TOP), targets)  # average precision knows no top three
    return {
        "all": {name: _number(everything[name]) for name in ("mAP", *COUNT_METRICS)},
        "top3": {name: _number(top[name]) for name in COUNT_METRICS},
        "AP": {name: _number(ap) for name, ap in zip(label_names, everything["AP"].tolist(), strict=True)},
    }


def mean_and_std(rows: Sequence[dict]) -> tuple[dict, dict]:
    """Mean and sample standard deviation (n − 1; None for a single row) of rows of :func:`table1_row`."""
    mean, std = {}, {}
    for part in rows[0]:
        mean[part], std[part] = {}, {}
        for name in rows[0][part]:
            values = [row[part][name] for row in rows]
            known = None not in values
            mean[part][name] = statistics.fmean(values) if known else None
            std[part][name] = statistics.stdev(values) if known and len(values) > 1 else None
    return mean, std


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)

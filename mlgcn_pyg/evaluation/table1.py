"""Rows of the paper's Table 1: metrics over all predictions and over the top three, per seed and on average."""

import math
import statistics
from collections.abc import Sequence

from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation.inputs import check_cuts, check_scores
from mlgcn_pyg.evaluation.metrics import count_metrics, multilabel_metrics, predicted_labels
from mlgcn_pyg.evaluation.results import COUNT_METRICS
from mlgcn_pyg.labels import check_label_names
from mlgcn_pyg.values import shown

TOP = 3
PARTS = {"all", "top3", "AP"}

Row = dict[str, dict[str, float | None]]


def table1_row(logits: Tensor, targets: Tensor, label_names: Sequence[str], *, thresholds: Tensor | None = None) -> Row:
    """Returns ``{"all": {mAP, CP, …, OF1}, "top3": {CP, …, OF1}, "AP": {label: AP}}``.

    Values are fractions; an undefined metric is None. Precision, recall and F1 are computed twice: over all predictions
    (logit > threshold), and over those that are also among the image's three highest logits.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}.
        label_names: C unique names.
        thresholds: (C,) logits; default: 0.

    Raises:
        InputError: as :func:`~mlgcn_pyg.evaluation.multilabel_metrics`, or if there are not C unique names.
    """
    logits, targets = check_scores(logits, targets)
    names = check_label_names(label_names, targets.size(1))
    cuts = None if thresholds is None else check_cuts(thresholds, targets.size(1)).to(logits.device)
    metrics = multilabel_metrics(logits, targets, thresholds=cuts)
    # average precision has no top-3 version
    top = count_metrics(predicted_labels(logits, targets, TOP, cuts), targets)
    return {
        "all": {"mAP": _defined(metrics["mAP"])} | {name: _defined(metrics[name]) for name in COUNT_METRICS},
        "top3": {name: _defined(top[name]) for name in COUNT_METRICS},
        "AP": {name: _defined(ap) for name, ap in zip(names, metrics["AP"].tolist(), strict=True)},
    }


def mean_and_std(rows: Sequence[Row]) -> tuple[Row, Row]:
    """Returns the mean and the sample standard deviation (n − 1) of rows of :func:`table1_row`.

    A mean is None if the value is None in any row. A standard deviation is also None for a single row.

    Raises:
        InputError: if there is no row, or rows differ in their metrics or labels.
    """
    if not isinstance(rows, Sequence) or not all(isinstance(row, dict) and row.keys() == PARTS for row in rows):
        raise InputError("rows", "a sequence of rows of table1_row", shown(rows))
    if not rows or any(row[part].keys() != rows[0][part].keys() for row in rows for part in PARTS):
        raise InputError("rows", "at least one row, all with the same labels", f"{len(rows)} rows")
    mean: Row = {}
    std: Row = {}
    for part in rows[0]:
        mean[part], std[part] = {}, {}
        for name in rows[0][part]:
            values = [value for row in rows if (value := row[part][name]) is not None]
            defined = len(values) == len(rows)
            mean[part][name] = statistics.fmean(values) if defined else None
            std[part][name] = statistics.stdev(values) if defined and len(values) > 1 else None
    return mean, std


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)

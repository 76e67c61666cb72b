"""The results of :func:`~mlgcn_pyg.evaluation.multilabel_metrics`."""

from typing import Literal, TypedDict

from torch import Tensor

CountName = Literal["CP", "CR", "CF1", "OP", "OR", "OF1"]
COUNT_METRICS: tuple[CountName, ...] = ("CP", "CR", "CF1", "OP", "OR", "OF1")


class CountMetrics(TypedDict):
    """Precision, recall and F1 per class (C-) and overall (O-), as fractions."""

    CP: float
    CR: float
    CF1: float
    OP: float
    OR: float
    OF1: float


class Metrics(CountMetrics):
    """The result of :func:`~mlgcn_pyg.evaluation.multilabel_metrics`."""

    mAP: float
    AP: Tensor

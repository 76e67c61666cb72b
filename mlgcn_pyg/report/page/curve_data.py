"""Precision-recall and reliability curves of heads and labels, thinned and packed for the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mlgcn_pyg.report.page.packing import as_units, packed

POINTS = 200  # of a precision-recall curve, at most
BUDGET = 400_000  # points of all curves of a page, at 4 bytes
CUT = 0.0  # the logit above which a label counts as predicted

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision at each recall where it rises, as integrated by AP: ``precision[k]`` holds up to ``recall[k]``.

    Attributes:
        recall: increasing; empty without positives.
        precision: the precision.
        at_cut: recall and precision of the images with P > 0.5; NaN where undefined.
    """

    recall: Numbers
    precision: Numbers
    at_cut: tuple[float, float]


def curve(logits: Any, targets: Any, points: int = POINTS) -> Curve:
    """Returns the precision-recall curve of one label, or of all entries of several labels.

    Args:
        logits: numbers of any shape.
        targets: as many targets in {-1, 0, 1}; entries with −1 are ignored.
        points: the largest number of points.

    >>> curve([3.0, 2.0, 1.0], [1, 0, 1]).precision.round(3).tolist()
    [1.0, 0.667]
    """
    scores, hits = np.asarray(logits, dtype=np.float64).ravel(), np.asarray(targets).ravel()
    scores, hits = scores[hits >= 0], hits[hits >= 0] == 1
    positives, predicted = int(hits.sum()), scores > CUT
    if not positives:
        return Curve(np.zeros(0), np.zeros(0), (np.nan, np.nan))
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # equal scores are one step
    found = np.cumsum(hits[order])[ends]
    rises = np.diff(found, prepend=0) > 0
    recall, precision = found[rises] / positives, (found / (ends + 1))[rises]
    kept = thinned(recall, precision, points)
    true = int((predicted & hits).sum())
    at_cut = (true / positives, true / int(predicted.sum()) if predicted.any() else np.nan)
    return Curve(recall[kept], precision[kept], at_cut)


def thinned(recall: Numbers, precision: Numbers, points: int) -> NDArray[np.int64]:
    """Returns the places of at most ``points`` points: the highest and the lowest of equal parts of the recall.

    Args:
        recall: increasing.
        precision: the precision.
        points: an even number, at least 4.
    """
    if len(recall) <= points:
        return np.arange(len(recall))
    parts = points // 2 - 1
    part = np.minimum((recall * parts).astype(np.int64), parts - 1)
    order = np.lexsort((precision, part))
    last = np.append(np.diff(part[order]) != 0, True)
    first = np.append(True, last[:-1])
    return np.unique(np.concatenate([[0, len(recall) - 1], order[first], order[last]]))


def curve_values(heads: Sequence[Tensor], targets: Tensor) -> dict[str, Any]:
    """Returns the curves of all heads: for each head, those of all labels together and then of each label.

    Args:
        heads: the logits (N, C) of each head.
        targets: (N, C) in {-1, 0, 1}.
    """
    labels = targets.size(1)
    points = max(20, min(POINTS, BUDGET // max(len(heads) * (labels + 1), 1))) // 2 * 2
    known = targets.cpu().numpy()
    curves = []
    for logits in heads:
        scores = logits.detach().cpu().double().numpy()
        curves.append(curve(scores, known, POINTS))
        curves += [curve(scores[:, c], known[:, c], points) for c in range(labels)]
    return {
        "start": packed(np.cumsum([0, *(len(found.recall) for found in curves)]), "u4"),
        "recall": packed(as_units(np.concatenate([found.recall for found in curves])), "u2"),
        "precision": packed(as_units(np.concatenate([found.precision for found in curves])), "u2"),
        "at_cut": packed(as_units(np.array([found.at_cut for found in curves])), "u2"),
    }

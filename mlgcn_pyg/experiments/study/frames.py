"""The runs of a study as data frames: one row per run, and one row per contender and condition."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from mlgcn_pyg.evaluation import COUNT_METRICS, table1_row
from mlgcn_pyg.evaluation.significance import mean_interval
from mlgcn_pyg.experiments.study.contenders import MLGCN, SWEEPS, WITH
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.records import Run

METRICS = ("mAP", *COUNT_METRICS, *(f"{name}3" for name in COUNT_METRICS))
COSTS = ("val_mAP", "seconds", "factor", "num_parameters")
CONDITION = ("num_images", "unknown")
MOST_LABELS = 100  # whose AP have a column each


def runs_frame(runs: Sequence[Run], data: StudyData) -> pd.DataFrame:
    """Returns one row per run.

    The columns are ``contender``, ``num_images`` (missing for all images), ``unknown``, ``split``, ``draw``,
    ``overlap`` (test images per training image if the splits divide one pool of images, else 0), the metrics of the
    test images as fractions (those of the top-3 labels end in 3), the costs of the run, ``parameter`` and ``value`` of
    the sweep that the contender belongs to, and ``AP <label>`` for each label, of at most 100. The metrics of a run
    that did not converge are undefined.
    """
    return pd.DataFrame([_row(run, data) for run in runs]).astype({"num_images": "Int64"})


def _row(run: Run, data: StudyData) -> dict[str, object]:
    key = run.key
    found = table1_row(torch.from_numpy(run.logits), data.targets[run.rows], data.label_names)
    top = {f"{name}3": value for name, value in found["top3"].items()}
    converged = not math.isnan(run.factor)  # otherwise, all logits are 0
    metrics = {
        name: value if converged and value is not None else math.nan for name, value in (found["all"] | top).items()
    }
    where = {"num_images": key.condition.num_images, "unknown": key.condition.unknown, "split": key.split}
    return (
        {"contender": key.contender, **where, "draw": key.draw, "overlap": data.overlap(key.condition), **metrics}
        | {name: getattr(run, name) for name in COSTS}
        | _place(key.contender)
        | {f"AP {name}": ap for name, ap in found["AP"].items() if len(data.label_names) <= MOST_LABELS}
    )


def _place(contender: str) -> dict[str, object]:
    """Returns the sweep of a contender and its value in it; empty texts if it is in none, or in several."""
    base, _, embeddings = contender.partition(WITH)
    if embeddings and base == MLGCN.name:
        return {"parameter": "embeddings", "value": embeddings}
    found = [(sweep, value) for sweep, names in SWEEPS.items() for value, name in names.items() if name == contender]
    sweep, value = found[0] if len(found) == 1 else ("", "")
    return {"parameter": sweep, "value": str(value)}


def contenders_frame(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per contender and condition: means over splits, and the 95 % t interval of mAP over splits.

    Splits in which mAP is undefined, since no label has a positive test image, are left out of both.

    Args:
        runs: the result of :func:`runs_frame`.
    """
    keys = ["contender", *CONDITION]
    rows = []
    for place, few in runs.groupby(keys, dropna=False, sort=False):
        by_split = few.groupby("split")[[*METRICS, *COSTS]].mean()
        defined = by_split["mAP"].dropna()
        limits = mean_interval(defined, overlap=few["overlap"].iloc[0]) if len(defined) > 1 else None
        low, high = (math.nan, math.nan) if limits is None else (limits.low, limits.high)
        spread = {"splits": len(by_split), "mAP_low": low, "mAP_high": high}
        rows.append(dict(zip(keys, place, strict=True)) | spread | by_split.mean().to_dict())
    frame = pd.DataFrame(rows)
    frame["num_parameters"] = np.round(frame["num_parameters"]).astype(int)
    return frame

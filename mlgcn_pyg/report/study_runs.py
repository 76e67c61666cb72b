"""What the tables and figures of a study read from its runs: means over splits with their intervals.

The runs are a data frame with one row per run, the ``runs.csv`` of ``mlgcn study``. Metrics are fractions.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import COUNT_METRICS, Interval
from mlgcn_pyg.evaluation.significance import mean_interval

KEYS = ["contender", "num_images", "unknown", "split"]
ALL_METRICS = ("mAP", *COUNT_METRICS)
TOP3_METRICS = tuple(f"{name}3" for name in COUNT_METRICS)
# the contenders that belong to a sweep, and their values in it
MEMBERS: dict[str, dict[str, float | str]] = {
    "tau": {"mlgcn": 0.4},
    "p": {"mlgcn": 0.2, "mlgcn p=0": 0.0},
    "layers": {"mlgcn": 2, "mlgcn 3 layers": 3, "mlgcn 4 layers": 4},
    "embeddings": {"mlgcn": "given", "mlgcn one-hot": "one-hot", "mlgcn random embeddings": "random"},
}


def check_runs(runs: pd.DataFrame, columns: Sequence[str]) -> None:
    """Checks that the runs have the columns that a table or figure reads, and at least one row.

    Raises:
        InputError: if they do not.
    """
    missing = [name for name in columns if name not in runs]
    if missing:
        expected = "a data frame of runs with the columns " + ", ".join(columns)
        raise InputError("runs", expected, f"no column {', '.join(missing)}", "pass the runs.csv of a study")
    if runs.empty:
        raise InputError("runs", "at least one run", "a data frame without rows")


def replicates(runs: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Returns the metrics of each contender, condition and split: means over the draws of its control graphs.

    A metric that is NaN in one of the draws is NaN.

    Args:
        runs: one row per run.
        metrics: names of columns.
    """
    check_runs(runs, [*KEYS, *metrics])
    values = runs[list(metrics)].astype(float)  # a metric that no run defines has the type object
    by_split = [runs[key] for key in KEYS]
    means = values.groupby(by_split, dropna=False, sort=False).mean()
    undefined = values.isna().groupby(by_split, dropna=False, sort=False).any()
    return means.mask(undefined).reset_index()


def split_interval(values: Sequence[float], overlap: float = 0.0) -> Interval:
    """Returns the mean over splits with its 95 % t interval (:func:`mlgcn_pyg.evaluation.significance.mean_interval`).

    The limits of a single value are NaN. If a value is NaN, all numbers are.

    Args:
        values: (R,) one metric per split, R ≥ 1.
        overlap: the ratio of test to training images if the splits divide one pool of images (Nadeau and Bengio 2003);
            0 if all splits share their test images.

    >>> interval = split_interval([0.60, 0.62, 0.64])
    >>> f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    '0.620 [0.570, 0.670]'
    """
    if len(values) > 1 and np.isfinite(values).all():
        return mean_interval(values, overlap=overlap)
    return Interval(float(np.mean(values)), math.nan, math.nan)


def overlap_of(runs: pd.DataFrame) -> float:
    """Returns the ratio of test to training images of runs under one condition; 0 if they have no such column."""
    return float(runs["overlap"].iloc[0]) if "overlap" in runs else 0.0


def intervals(runs: pd.DataFrame, metric: str, by: str) -> dict[object, Interval]:
    """Returns the interval of a metric for each value of a column, in the order of their first rows.

    Args:
        runs: runs in which each value of the column is one contender under one condition.
        metric: the name of the metric.
        by: the name of the column.
    """
    check_runs(runs, [*KEYS, by, metric])
    return {
        value: split_interval(replicates(rows, [metric])[metric].tolist(), overlap_of(rows))
        for value, rows in runs.groupby(by, sort=False)
    }


def family(runs: pd.DataFrame) -> "pd.Series[str]":
    """Returns the first word of each contender's name, which the points of a sweep share."""
    return runs["contender"].str.split(n=1).str[0]


def described_splits(runs: pd.DataFrame) -> str:
    """Returns what intervals over the splits of the runs are, for the text below a title.

    >>> described_splits(pd.DataFrame({"contender": ["a"] * 3, "num_images": 9, "unknown": 0, "split": [0, 1, 1]}))
    'mean and 95 % t interval over 2 splits'
    """
    check_runs(runs, KEYS)
    counts = runs.groupby(KEYS[:3], dropna=False)["split"].nunique()
    least, most = counts.min(), counts.max()
    if most == 1:
        return "one split, without intervals"
    return f"mean and 95 % t interval over {'' if least == most else f'{least} to '}{most} splits"


def main_condition(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs with the fewest unknown targets and, among these, the most training images.

    A missing number of training images means all of them.
    """
    check_runs(runs, ["num_images", "unknown"])
    known = runs[runs["unknown"] == runs["unknown"].min()]
    images = known["num_images"].astype(float).fillna(math.inf)
    return known[images == images.max()]


def sweep(runs: pd.DataFrame, parameter: str) -> pd.DataFrame:
    """Returns the runs of a sweep with their values in the column ``value``, ordered by it.

    The contenders of :data:`MEMBERS` are added where the sweep has no runs at their values: the plain ``"mlgcn"`` is
    the point τ = 0.4 of the sweep over τ, for example. The sweep over embeddings starts with the given ones.

    Args:
        runs: one row per run.
        parameter: ``"tau"``, ``"p"``, ``"layers"`` or ``"embeddings"``.

    Raises:
        InputError: if the runs have fewer than two values of the parameter, or no p except 0 and 0.2.
    """
    check_runs(runs, [*KEYS, "parameter", "value"])
    chosen = runs[runs["parameter"] == parameter]
    numeric = parameter != "embeddings"
    values = pd.to_numeric(chosen["value"]) if numeric else chosen["value"].astype(str)
    parts = []
    taken = set(zip(family(chosen), values, strict=True))
    for contender, value in MEMBERS[parameter].items():
        if ("mlgcn", value) not in taken and contender not in set(chosen["contender"]):
            parts.append(runs[runs["contender"] == contender].assign(value=value))
    parts.append(chosen.assign(value=values))
    found = main_condition(pd.concat([part for part in parts if len(part)] or parts))
    contenders = set(found["contender"])
    # p = 0 and 0.2 alone are the two contenders of most studies, and no sweep
    if found["value"].nunique() < 2 or (parameter == "p" and contenders <= set(MEMBERS["p"])):
        listed = ", ".join(sorted(contenders)) or "none of them"
        raise InputError("runs", f"runs of a sweep over {parameter}", listed)
    return found.sort_values("value", kind="stable") if numeric else found

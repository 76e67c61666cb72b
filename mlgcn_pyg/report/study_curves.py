"""Curves over the number of training images and the share of unknown labels. They require the extra ``plot``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.figures import INK, save_figure
from mlgcn_pyg.report.fonts import fonts_for
from mlgcn_pyg.report.study_axes import (
    NAME_SIZE,
    draw_curve,
    look,
    name_lines,
    study_axes,
    style_percents,
    title,
)  # fmt: skip
from mlgcn_pyg.report.study_runs import KEYS, check_runs, described_splits, intervals

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_learning_curve(
    runs: pd.DataFrame, path: str | Path | None = None, *, ax: "Axes | None" = None, all_images: int | None = None
) -> "Axes":
    """Draws mAP over the number of training images, on a logarithmic axis, with one line per contender.

    Args:
        runs: the runs of a study, one row per run; those with the fewest unknown labels are drawn, and of these the
            contenders with at least two numbers of images.
        path: a file (.png, .svg or .pdf) to which the figure is also written, atomically; default: no file.
        ax: axes to draw on; default: those of a new figure.
        all_images: the number of training images of the runs in which it is missing, which train on all of them;
            default: these runs are left out.

    Returns:
        The axes.

    Raises:
        InputError: if no contender has two numbers of images, matplotlib is not installed, or ``path`` has a
            different ending.
    """
    axes = study_axes(path, ax, width=7.2)
    check_runs(runs, [*KEYS, "mAP"])
    chosen = runs[runs["unknown"] == runs["unknown"].min()]
    images = pd.to_numeric(chosen["num_images"]).astype(float)
    chosen = chosen.assign(num_images=images if all_images is None else images.fillna(all_images))
    with fonts_for(chosen["contender"].unique()):
        axes.set_xscale("log")
        places = _draw_contenders(axes, chosen.dropna(subset="num_images"), "num_images")
        axes.set_xticks(places, [f"{place:,.0f}" for place in places])
        axes.minorticks_off()
        axes.set_xlabel("training images", color=INK, fontsize=NAME_SIZE + 1)
        title(axes, "Learning curves", described_splits(chosen))
        save_figure(axes, path)
    return axes


def plot_partial_labels(runs: pd.DataFrame, path: str | Path | None = None, *, ax: "Axes | None" = None) -> "Axes":
    """Draws mAP over the share of the training targets that are unknown, with one line per contender.

    The runs with the most training images are drawn, and of these the contenders with at least two shares. For the
    arguments, see :func:`plot_learning_curve`.
    """
    axes = study_axes(path, ax, width=7.2)
    check_runs(runs, [*KEYS, "mAP"])
    images = pd.to_numeric(runs["num_images"]).astype(float).fillna(np.inf)
    several = runs.groupby(images)["unknown"].nunique()
    chosen = runs[images == several[several > 1].index.max()] if (several > 1).any() else runs
    with fonts_for(chosen["contender"].unique()):
        places = _draw_contenders(axes, chosen, "unknown")
        axes.set_xticks(places, [f"{100 * place:g}" for place in places])
        axes.set_xlabel("share of unknown training labels (%)", color=INK, fontsize=NAME_SIZE + 1)
        title(axes, "Partially labelled training images", described_splits(chosen))
        save_figure(axes, path)
    return axes


def _draw_contenders(axes: "Axes", runs: pd.DataFrame, by: str) -> list[float]:
    """Draws a line for each contender that has several values of the column ``by``, and returns all values."""
    curves: dict[str, Mapping] = {
        str(contender): intervals(rows.sort_values(by), "mAP", by)
        for contender, rows in runs.groupby("contender", sort=False)
        if rows[by].nunique() > 1
    }
    if not curves:
        raise InputError("runs", f"a contender with at least two values of {by}", "none")
    places = sorted({float(place) for points in curves.values() for place in points})
    for k, points in enumerate(curves.values()):
        draw_curve(axes, points, k, shade=min(0.15, 0.6 / len(curves)))
    style_percents(axes)
    ends = {
        name: [(place, 100 * point.value) for place, point in points.items() if np.isfinite(point.value)][-1:]
        for name, points in curves.items()
    }
    named = {name: end[0] for name, end in ends.items() if end}
    name_lines(axes, named, [look(k)["color"] for k, name in enumerate(curves) if name in named])
    return places

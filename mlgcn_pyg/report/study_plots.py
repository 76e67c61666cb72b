"""Figures 4 to 6 of the paper and the effect of depth, drawn from the runs of a study. They require the extra ``plot``.

Each function draws on the given axes, or on a new figure, and writes a file on request. Lines and bars are means over
splits with 95 % t intervals (:func:`mlgcn_pyg.report.study_runs.split_interval`). On a new figure, the points that the
paper states are drawn beside them, on axes of their own with the same scale: its data and networks are different ones.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlgcn_pyg.errors import printable_line
from mlgcn_pyg.evaluation import Interval
from mlgcn_pyg.report.figures import INK, QUIET, check_libraries, new_figure, save_figure
from mlgcn_pyg.report.fonts import fonts_for
from mlgcn_pyg.report.published import DATASETS, as_published, published_table, published_without_graph
from mlgcn_pyg.report.study_axes import (
    GRID,
    NAME_SIZE,
    NOTE,
    draw_curve,
    look,
    name_lines,
    note,
    percents,
    study_axes,
    style_percents,
    title,
)  # fmt: skip
from mlgcn_pyg.report.study_runs import described_splits, family, intervals, sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {"coco2014": ("paper: COCO", "ResNet-101, 448 px"), "voc2007": ("paper: VOC", "ResNet-101, 448 px")}


def plot_embeddings(runs: pd.DataFrame, path: str | Path | None = None, *, ax: "Axes | None" = None) -> "Axes":
    """Draws mAP, CF1 and OF1 of ML-GCN with several label embeddings as grouped bars, as Fig. 4 of the paper.

    Args:
        runs: the runs of a study, one row per run; those of the sweep over embeddings are drawn.
        path: a file (.png, .svg or .pdf) to which the figure is also written, atomically; default: no file.
        ax: axes to draw on; default: those of a new figure.

    Returns:
        The axes.

    Raises:
        InputError: if no runs belong to the sweep, matplotlib is not installed, or ``path`` has a different ending.
    """
    axes = study_axes(path, ax)
    chosen = sweep(runs, "embeddings")
    metrics = ("mAP", "CF1", "OF1")
    points = {metric: intervals(chosen, metric, "value") for metric in metrics}
    embeddings = list(points["mAP"])
    width = 0.8 / len(embeddings)
    with fonts_for(map(str, embeddings)):
        for k, embedding in enumerate(embeddings):
            places = [group + (k - (len(embeddings) - 1) / 2) * width for group in range(len(metrics))]
            _draw_bars(axes, places, [points[metric][embedding] for metric in metrics], width, k)
        axes.set_xticks(range(len(metrics)), metrics, fontsize=NAME_SIZE + 1)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("per cent", color=INK)
        axes.tick_params(axis="x", length=0)
        handles = [axes.patches[k * len(metrics)] for k in range(len(embeddings))]
        names = [printable_line(name) for name in embeddings]
        style: dict[str, Any] = {"frameon": False, "fontsize": NAME_SIZE, "bbox_to_anchor": (0.5, -0.1)}
        axes.legend(handles, names, loc="upper center", ncols=min(len(embeddings), 4), **style)
        title(axes, "Embeddings of the labels", described_splits(chosen))
        save_figure(axes, path)
    return axes


def _draw_bars(axes: "Axes", places: list[float], points: list[Interval], width: float, k: int) -> None:
    """Draws the bars of an embedding, one per metric, with intervals and the values above them."""
    values = percents(point.value for point in points)
    axes.bar(places, values, 0.92 * width, color=look(k)["color"])
    for place, value, point in zip(places, values, points, strict=True):
        low, high = percents((point.low, point.high))
        axes.plot([place, place], [low, high], color=INK, linewidth=1.2)
        top = value if pd.isna(high) else high
        note(axes, f"{value:.1f}", (place, top), (0, 2), xycoords="data", ha="center", color=INK)


def plot_tau(runs: pd.DataFrame, path: str | Path | None = None, *, ax: "Axes | None" = None) -> "Axes":
    """Draws the mAP of ML-GCN over the threshold τ of the edges, as Fig. 5 of the paper.

    The paper has no point at τ = 0, the complete graph, where its network did not converge. Points whose mAP is NaN
    are marked as not converged. For the arguments, see :func:`plot_embeddings`.
    """
    axes = study_axes(path, ax)
    chosen = sweep(runs, "tau")
    _draw_sweep(axes, chosen, "threshold τ of the edges")
    _mark(axes, 0.0, "paper: did not converge", "left")
    _mark(axes, 0.4, "paper: τ = 0.4", "left")
    title(axes, "Threshold of the edges", described_splits(chosen), above=20)
    save_figure(axes, path)
    return axes


def plot_p(runs: pd.DataFrame, path: str | Path | None = None, *, ax: "Axes | None" = None) -> "Axes":
    """Draws the mAP of ML-GCN over p, the weight of the other labels, as Fig. 6 of the paper.

    The paper has no point at p = 1, where its network did not converge. Points whose mAP is NaN are marked as not
    converged. For the arguments, see :func:`plot_embeddings`.
    """
    axes, beside = _axes_beside(path, ax)
    chosen = sweep(runs, "p")
    _draw_sweep(axes, chosen, "p, the weight of the other labels")
    _mark(axes, 0.2, "paper: p = 0.2", "center")
    _mark(axes, 1.0, "paper: did not converge", "right")
    for dataset, panel in beside.items():
        without = published_without_graph(dataset)[0].percent["all", "mAP"]
        best = published_table(3, dataset)[0].percent["all", "mAP"]  # its two layers are the network of Tables 1 and 2
        _draw_published(panel, axes, {0.0: without, 0.2: best}, dataset)
        panel.set_xlabel("p", color=INK)
        title(panel, *TITLES[dataset], above=20)
    title(axes, "Weight of the other labels", described_splits(chosen), above=20)
    save_figure(axes, path)
    return axes


def plot_depth(runs: pd.DataFrame, path: str | Path | None = None, *, ax: "Axes | None" = None) -> "Axes":
    """Draws the mAP of ML-GCN over the number of its layers, as Table 3 of the paper.

    For the arguments, see :func:`plot_embeddings`.
    """
    axes, beside = _axes_beside(path, ax)
    chosen = sweep(runs, "layers")
    _draw_sweep(axes, chosen, "layers of the GCN")
    axes.set_xticks(sorted(set(chosen["value"])))
    for dataset, panel in beside.items():
        rows = published_table(3, dataset)
        points = {float(row.method.removeprefix("ML-GCN ")[0]): row.percent["all", "mAP"] for row in rows}
        _draw_published(panel, axes, points, dataset)
        panel.set_xlabel("layers", color=INK)
        title(panel, *TITLES[dataset])
    title(axes, "Depth of the GCN", described_splits(chosen))
    save_figure(axes, path)
    return axes


def _axes_beside(path: str | Path | None, ax: "Axes | None") -> "tuple[Axes, dict[str, Axes]]":
    """Returns axes for the measured points, and on a new figure the axes for the published ones of each data set."""
    if ax is not None:
        return study_axes(path, ax), {}
    check_libraries(path)
    axes, *others = new_figure(8.4, 4.0).subplots(1, 1 + len(DATASETS), width_ratios=(3.2, 1, 1))
    return study_axes(path, axes), {name: study_axes(None, panel) for name, panel in zip(DATASETS, others, strict=True)}


def _draw_sweep(axes: "Axes", chosen: pd.DataFrame, label: str) -> None:
    """Draws one line per family of contenders, such as ``mlgcn`` and ``sharing``, over the values of a sweep."""
    ends: dict[str, tuple[float, float]] = {}
    colours: list[str] = []
    for k, (name, rows) in enumerate(chosen.groupby(family(chosen), sort=False)):
        points: Mapping = intervals(rows, "mAP", "value")
        draw_curve(axes, points, k)
        for place in [place for place, point in points.items() if pd.isna(point.value)]:
            _mark_undefined(axes, place)
        defined = [(place, 100 * point.value) for place, point in points.items() if not pd.isna(point.value)]
        ends |= {str(name): defined[-1]} if defined else {}
        colours += [look(k)["color"]] if defined else []
    style_percents(axes)
    axes.set_xlabel(label, color=INK, fontsize=NAME_SIZE + 1)
    if len(ends) > 1:
        name_lines(axes, ends, colours)


def _mark_undefined(axes: "Axes", place: float) -> None:
    transform = axes.get_xaxis_transform()
    axes.plot([place], [0.03], "x", color=INK, markersize=7, transform=transform, clip_on=False)
    under = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # hides the line of the paper's value
    note(
        axes,
        "did not converge",
        (place, 0.03),
        (0, 8),
        xycoords=transform,
        rotation=90,
        ha="center",
        color=INK,
        bbox=under,
    )


def _mark(axes: "Axes", place: float, text: str, align: str) -> None:
    """Draws a vertical line at a value of the paper, with a note above the axes."""
    axes.axvline(place, color=QUIET, linewidth=1, linestyle=":", zorder=1)
    note(axes, text, (place, 1), (0, 3), xycoords=axes.get_xaxis_transform(), ha=align)


def _draw_published(panel: "Axes", axes: "Axes", points: Mapping[float, float], dataset: str) -> None:
    """Draws published points on their own axes, whose vertical axis spans as many per cent as that of ``axes``."""
    places, values = list(points), list(points.values())
    panel.plot(places, values, "D--", color=NOTE, markerfacecolor="white", markersize=6, linewidth=1)
    falls = values[-1] < values[0]
    for place, value in points.items():
        # away from the line: to its upper right if it falls; below its first point and above its last if it rises
        offset = (4, 4) if falls else (0, -15 if place == places[0] else 8)
        style = {"xycoords": "data", "ha": "left" if falls else "center", "color": INK}
        note(panel, as_published(value), (place, value), offset, **style)
    low, high = axes.get_ylim()
    span = max(high - low, 1.4 * (max(values) - min(values)))
    centre = (max(values) + min(values)) / 2
    axes.set_ylim((low + high - span) / 2, (low + high + span) / 2)
    panel.set_ylim(centre - span / 2, centre + span / 2)
    margin = (max(places) - min(places)) * 0.5
    panel.set_xlim(min(places) - margin, max(places) + margin)
    panel.set_xticks(places)
    panel.grid(axis="y", color=GRID)

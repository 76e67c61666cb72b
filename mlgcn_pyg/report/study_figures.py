"""Writes the figures of a study that its runs have data for."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.figures import check_libraries
from mlgcn_pyg.report.study_controls import plot_controls
from mlgcn_pyg.report.study_curves import plot_learning_curve, plot_partial_labels
from mlgcn_pyg.report.study_plots import plot_depth, plot_embeddings, plot_p, plot_tau
from mlgcn_pyg.report.study_runs import KEYS, check_runs

# name of the file → function
FIGURES: dict[str, Callable[..., Any]] = {
    "controls": plot_controls,
    "fig4": plot_embeddings,
    "fig5": plot_tau,
    "fig6": plot_p,
    "depth": plot_depth,
    "learning-curve": plot_learning_curve,
    "partial-labels": plot_partial_labels,
}
CAPTIONS = {
    "controls": "Controls against the graph that they replace",
    "fig4": "Embeddings of the labels (Fig. 4 of the paper)",
    "fig5": "Threshold τ of the edges (Fig. 5 of the paper)",
    "fig6": "Weight p of the other labels (Fig. 6 of the paper)",
    "depth": "Layers of the GCN (Table 3 of the paper)",
    "learning-curve": "Number of training images",
    "partial-labels": "Share of unknown training labels",
}


def write_figures(
    runs: pd.DataFrame,
    folder: str | Path,
    names: Iterable[str] = tuple(FIGURES),
    *,
    ending: str = "png",
    all_images: int | None = None,
) -> dict[str, Path]:
    """Writes figures of a study to ``<folder>/<name>.<ending>``, and skips those that the runs have no data for.

    Args:
        runs: the runs of a study, one row per run.
        folder: an existing folder. Figures of the same names are replaced.
        names: some of ``"controls"``, ``"fig4"``, ``"fig5"``, ``"fig6"``, ``"depth"``, ``"learning-curve"`` and
            ``"partial-labels"``; default: all.
        ending: ``"png"``, ``"svg"`` or ``"pdf"``.
        all_images: the number of training images of the runs in which it is missing, for the learning curve.

    Returns:
        Name → file, of the figures that were written.

    Raises:
        InputError: if a name is unknown, a column of the runs is missing, or matplotlib is not installed.
    """
    check_runs(runs, [*KEYS, "draw", "mAP", "CF1", "OF1", "parameter", "value"])
    written = {}
    for name in names:
        plot = FIGURES[check_choice("names", name, FIGURES)]
        path = Path(folder) / f"{name}.{ending}"
        check_libraries(path)
        options: dict[str, Any] = {"all_images": all_images} if plot is plot_learning_curve else {}
        try:
            plot(runs, path, **options)
        except InputError as error:
            if error.argument != "runs":
                raise
        else:
            written[name] = path
    return written

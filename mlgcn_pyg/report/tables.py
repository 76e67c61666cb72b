"""Tables for the terminal."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from mlgcn_pyg.evaluation import COUNT_METRICS
from mlgcn_pyg.graph import LabelGraph


def table1(summary: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """Returns the paper's Table 1 in per cent, with one row per head.

    Metrics over all predictions are on the left. The columns marked ³ use only the three highest labels of an image.
    The 14 columns fit into 80 characters.

    Args:
        summary: head → ``{"mean": row, "std": row}``, the mean and standard deviation over seeds of the rows of
            :func:`mlgcn_pyg.evaluation.table1_row`.
        title: the title above the table.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0, show_edge=False, title_justify="left")
    table.add_column("head", no_wrap=True)
    table.add_column("mAP", justify="right", no_wrap=True)
    for name in (*COUNT_METRICS, *(f"{name}³" for name in COUNT_METRICS)):
        table.add_column(name, justify="right", no_wrap=True)
    for name, values in summary.items():
        mean, std = values["mean"], values["std"]
        spread = std["all"]["mAP"]
        mean_ap = percent(mean["all"]["mAP"]) + ("" if spread is None else f" ±{100 * spread:.1f}")
        cells = [percent(mean[part][metric]) for part in ("all", "top3") for metric in COUNT_METRICS]
        table.add_row(name, mean_ap, *cells)
    table.caption = "in per cent; columns with ³ use only the top-3 labels of an image"
    if any(values["std"]["all"]["mAP"] is not None for values in summary.values()):
        table.caption += "; ± is the standard deviation over seeds"
    table.caption_justify = "left"
    return table


def percent(fraction: float | None) -> str:
    """Formats a fraction in per cent with one decimal, and None as a dash."""
    return "–" if fraction is None else f"{100 * fraction:.1f}"


def edge_table(graph: LabelGraph, true_probabilities: np.ndarray, rows: int = 10) -> Table:
    """Returns the strongest edges with their estimated and true probabilities.

    Args:
        graph: the graph with the estimated probabilities.
        true_probabilities: P(L_j|L_i) (C, C).
        rows: the number of edges.

    Returns:
        A table with P estimated, P true, the standard error of the estimate, and N_i.
    """
    table = Table(title="strongest edges, estimated against true", box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("i → j", "P estimated", "P true", "standard error", "N"):
        table.add_column(column, justify="left" if column == "i → j" else "right", no_wrap=True)
    row = {name: k for k, name in enumerate(graph.label_names)}
    for i, j, estimate, count in graph.summary(rows).strongest:
        truth = float(true_probabilities[row[i], row[j]])
        error = (truth * (1 - truth) / count) ** 0.5
        table.add_row(f"{i} → {j}", f"{estimate:.3f}", f"{truth:.3f}", f"{error:.3f}", str(count))
    return table

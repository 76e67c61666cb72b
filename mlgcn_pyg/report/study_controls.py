"""Controls of a study against the graph that they replace, as strips of runs. They require the extra ``plot``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlgcn_pyg.errors import InputError, printable_line
from mlgcn_pyg.report.figures import INK, save_figure
from mlgcn_pyg.report.study_axes import GRID, NAME_SIZE, look, note, percents, study_axes, title
from mlgcn_pyg.report.study_runs import (
    KEYS,
    check_runs,
    described_splits,
    main_condition,
    overlap_of,
    replicates,
    split_interval,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# the contenders with a graph, and what each is compared with
CONTROLS: dict[str, tuple[str, ...]] = {
    "mlgcn": ("mlgcn shuffled", "mlgcn random graph", "mlgcn permuted embeddings", "mlgcn p=0", "linear"),
    "sharing": ("sharing shuffled", "linear"),
}


def plot_controls(runs: pd.DataFrame, path: str | Path | None = None, *, ax: "Axes | None" = None) -> "Axes":
    """Draws how far each control lies from the graph that it replaces, in mAP on the same split.

    A dot is one run, such as one shuffled graph on one split, minus the contender with the true graph on that split.
    A diamond is the mean over the splits, with its 95 % t interval.

    Args:
        runs: the runs of a study, one row per run; those with the fewest unknown labels and the most images are drawn.
        path: a file (.png, .svg or .pdf) to which the figure is also written, atomically; default: no file.
        ax: axes to draw on; default: those of a new figure.

    Returns:
        The axes.

    Raises:
        InputError: if there is no control to compare, matplotlib is not installed, or ``path`` has a different ending.
    """
    check_runs(runs, [*KEYS, "mAP"])
    chosen = main_condition(runs)
    strips = list(_strips(chosen))[::-1]  # the first one is at the top
    if not strips:
        raise InputError("runs", "runs of mlgcn or sharing, and of a control of theirs", "none on the same split")
    axes = study_axes(path, ax, width=7.2, height=1.5 + 0.42 * len(strips))
    axes.axvline(0, color=INK, linewidth=1.2)
    for height, strip in enumerate(strips):
        _draw_strip(axes, strip, height)
    axes.set_yticks(range(len(strips)), [strip.name for strip in strips], fontsize=NAME_SIZE)
    axes.set_ylim(-0.6, len(strips) - 0.4)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID)
    axes.set_xlabel("difference in mAP on the same split (points)", color=INK)
    note(axes, "◂ the graph is better", (0, 1), (0, 3))
    note(axes, "the graph is worse ▸", (1, 1), (0, 3), ha="right")
    title(axes, "Controls against the graph", f"dots: runs; diamonds: {described_splits(chosen)}", above=20)
    save_figure(axes, path)
    return axes


@dataclass(frozen=True)
class _Strip:
    """Differences in mAP between a control and the contender with the graph: of each run, and means of the splits."""

    base: str
    control: str
    of_runs: np.ndarray
    of_splits: list[float]
    overlap: float

    @property
    def name(self) -> str:
        return printable_line(f"{self.control} − {self.base}")


def _strips(runs: pd.DataFrame) -> Iterator[_Strip]:
    means = replicates(runs, ["mAP"]).set_index(["contender", "split"])["mAP"]
    present = set(runs["contender"])
    for base, controls in CONTROLS.items():
        for control in controls if base in present else ():
            if control in present:
                own = runs[runs["contender"] == control]
                of_runs = own["mAP"].to_numpy() - means[base].reindex(own["split"]).to_numpy()
                of_splits = (means[control] - means[base]).dropna()
                if len(of_splits):
                    yield _Strip(base, control, of_runs, of_splits.tolist(), overlap_of(runs))


def _draw_strip(axes: "Axes", strip: _Strip, height: int) -> None:
    colour = look(list(CONTROLS).index(strip.base))["color"]
    jitter = np.random.default_rng(height).uniform(-0.22, 0.22, len(strip.of_runs))
    axes.scatter(percents(strip.of_runs), height + jitter, s=16, color=colour, alpha=0.45, linewidths=0, zorder=3)
    mean = split_interval(strip.of_splits, strip.overlap)
    low, value, high = percents((mean.low, mean.value, mean.high))
    axes.plot([low, high], [height, height], color=INK, linewidth=2, zorder=4)
    axes.plot([value], [height], "D", color=INK, markersize=6, markeredgecolor="white", zorder=5)

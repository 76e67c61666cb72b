"""Pictures of explanations: the photograph, the parts of it that raise or lower a logit, and the terms of the logit.

Requires the optional extra ``plot``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from mlgcn_pyg.errors import InputError, printable_line, shortened
from mlgcn_pyg.report.figures import INK, QUIET, check_libraries, new_figure, save_figure
from mlgcn_pyg.report.fonts import fonts_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

RAISES, LOWERS = "#d55e00", "#0072b2"  # can be told apart by people with colour-blindness
COLUMNS = 3  # labels beside each other
SIDE = 480  # pixels of the longer side of a photograph
LONGEST = 24  # characters of a name
STRONGEST = 5  # neighbours with a bar of their own


class ExplainedLabel(Protocol):
    """The terms of one logit, such as a :class:`mlgcn_pyg.prediction.LabelExplanation`."""

    @property
    def label(self) -> str:
        """The name of the label."""

    @property
    def logit(self) -> float:
        """The logit, which is the sum of the terms."""

    @property
    def probability(self) -> float:
        """The sigmoid of the logit."""

    @property
    def cells(self) -> "Tensor | None":
        """(h, w), the contribution of each cell of the feature map, or None."""

    def terms(self, count: int) -> list[tuple[str, float]]:
        """Returns pairs (name, contribution), with at most ``count`` neighbours."""


class ExplainedImage(Protocol):
    """An image with explained labels, such as an :class:`mlgcn_pyg.prediction.Explanation`."""

    @property
    def image(self) -> Any:
        """The file, or the image."""

    @property
    def labels(self) -> Sequence[ExplainedLabel]:
        """The explained labels."""

    def picture(self) -> Image.Image:
        """Returns the image as RGB."""


def plot_explanation(
    explanations: ExplainedImage | Sequence[ExplainedImage], path: str | Path | None = None
) -> "Figure":
    """Draws the photograph, and for each explained label a map over the photograph and the terms of its logit.

    Orange parts of the photograph and orange bars raise the logit, blue ones lower it. The maps are smoothed, and each
    has its own scale. All bars of a photograph have the same scale.

    Args:
        explanations: one result of :meth:`mlgcn_pyg.prediction.Predictor.explain`, or several.
        path: a file (.png, .svg or .pdf) to which the figure is also written, atomically; default: no file.

    Returns:
        The figure.

    Raises:
        InputError: if matplotlib is not installed, ``path`` has a different ending, or no label is explained.
        ImageError: if a photograph cannot be read.
    """
    check_libraries(path)
    images = list(explanations) if isinstance(explanations, Sequence) else [explanations]
    images = [one for one in images if one.labels]
    if not images:
        raise InputError("explanations", "at least one explained label", "none")
    names = [name for one in images for label in one.labels for name in (label.label, *dict(label.terms(STRONGEST)))]
    bands = [(one, start) for one in images for start in range(0, len(one.labels), COLUMNS)]
    columns = 1 + min(COLUMNS, max(len(one.labels) for one in images))
    with fonts_for([*names, *(_title(one) for one in images)]):
        figure = new_figure(3.1 * columns, 4.4 * len(bands))
        ratios = {"height_ratios": (3, 2) * len(bands)}
        grid = figure.subplots(2 * len(bands), columns, squeeze=False, gridspec_kw=ratios)
        for number, (one, start) in enumerate(bands):
            _draw_band(grid[2 * number : 2 * number + 2], one, start)
        save_figure(grid[0, 0], path)
    return figure


def _draw_band(grid: np.ndarray, one: ExplainedImage, start: int) -> None:
    """Draws the photograph in the first column, and the labels from number ``start`` in the others."""
    picture = one.picture()
    picture.thumbnail((SIDE, SIDE))
    pixels = np.asarray(picture)
    limit = max(abs(value) for label in one.labels for _, value in label.terms(STRONGEST))
    for axes in grid.flat:
        axes.set_axis_off()
    if start == 0:
        grid[0, 0].imshow(pixels)
        grid[0, 0].set_title(_title(one), fontsize=9, color=INK, parse_math=False)
        _draw_key(grid[1, 0])
    for column, label in enumerate(one.labels[start : start + grid.shape[1] - 1], start=1):
        grid[0, column].imshow(pixels if label.cells is None else overlay(pixels, label.cells))
        title = f"{_short(label.label)}  {100 * label.probability:.0f} %"
        grid[0, column].set_title(title, fontsize=10, color=INK, weight="bold", parse_math=False)
        _draw_terms(grid[1, column], label, limit)


def overlay(pixels: np.ndarray, cells: Any) -> np.ndarray:
    """Returns a pale, grey photograph with orange where cells raise the logit, and blue where they lower it.

    Args:
        pixels: (H, W, 3) uint8.
        cells: (h, w), a tensor or an array.

    Returns:
        (H, W, 3) in [0, 1].
    """
    from matplotlib.colors import to_rgb

    height, width = pixels.shape[:2]
    values = Image.fromarray(np.asarray(cells, dtype=np.float32))
    smooth = np.asarray(values.resize((width, height), Image.Resampling.BICUBIC))
    strength = np.abs(smooth) / max(np.quantile(np.abs(smooth), 0.995), np.finfo(np.float32).tiny)
    alpha = (0.8 * np.clip(strength, 0, 1))[..., None]
    grey = 0.3 + 0.7 * (pixels @ np.array([0.299, 0.587, 0.114]))[..., None] / 255
    colour = np.where(smooth[..., None] > 0, to_rgb(RAISES), to_rgb(LOWERS))
    return (1 - alpha) * grey + alpha * colour


def _draw_terms(axes: "Axes", label: ExplainedLabel, limit: float) -> None:
    """Draws the terms of a logit as bars, from top to bottom."""
    names, values = zip(*label.terms(STRONGEST), strict=True)
    axes.set_axis_on()
    axes.barh(range(len(values)), values, color=[RAISES if value > 0 else LOWERS for value in values], height=0.7)
    for row, value in enumerate(values):
        side = 1 if value > 0 else -1
        axes.annotate(
            f"{value:+.2f}".replace("-", "−"), (value, row), (3 * side, 0), textcoords="offset points", fontsize=7,
            color=INK, ha="left" if side > 0 else "right", va="center",
        )  # fmt: skip
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_yticks(range(len(names)), [_short(name) for name in names], fontsize=8, color=INK, parse_math=False)
    axes.set(
        xlim=(-1.35 * limit, 1.35 * limit) if limit else (-1, 1), ylim=(max(len(values), 4) - 0.4, -0.6), xticks=[]
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel(f"logit {label.logit:+.2f}".replace("-", "−"), fontsize=8, color=INK)


def _draw_key(axes: "Axes") -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=RAISES, label="raises the logit"), Patch(color=LOWERS, label="lowers the logit")]
    axes.legend(handles=handles, loc="upper left", frameon=False, fontsize=8, labelcolor=INK)
    axes.text(0.02, 0.55, "The bars are all terms of the\nlogit: their sum is the logit.", fontsize=8, color=INK,
              va="top", transform=axes.transAxes)  # fmt: skip


def _title(one: ExplainedImage) -> str:
    return "" if isinstance(one.image, Image.Image) else shortened(printable_line(Path(one.image).name), LONGEST)


def _short(name: str) -> str:
    return shortened(printable_line(name), LONGEST)

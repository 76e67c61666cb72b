"""Pictures of explanations: the photograph, the parts of it that raise or lower a logit, and the terms of the logit.

Requires the optional extra ``plot``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

RAISES, LOWERS, BIAS = "#d55e00", "#0072b2", "#b8c0c7"  # can be told apart by people with colour-blindness
WIDTH = 2.5  # inches of a column
COLUMNS = 3  # labels beside each other
SIDE = 480  # pixels of the longer side of a photograph
LONGEST = 22  # characters of a name
FAINT = 0.08  # share of the strongest contribution that is not drawn
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

    Orange parts of the photograph and orange bars raise the logit, blue ones lower it. The bias is grey, since it does
    not depend on the photograph. The maps are smoothed. All maps of a photograph have the same scale, and so have all
    its bars.

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
    bands = [band for one in images for band in _bands(one)]
    heights = [height for band in bands for height in band.heights]
    columns = 1 + max(len(band.labels) for band in bands)
    with fonts_for([*names, *(band.title for band in bands)]):
        figure = new_figure(WIDTH * columns, sum(heights))
        grid = figure.subplots(len(heights), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
        for number, band in enumerate(bands):
            _draw_band(grid[2 * number : 2 * number + 2], band, has_key=number == 0)
        save_figure(grid[0, 0], path)
    return figure


@dataclass(frozen=True)
class _Band:
    """A photograph and up to three of its labels beside each other.

    Attributes:
        pixels: (H, W, 3) uint8, the photograph.
        title: the name of the file; empty if there is none.
        is_first: whether the photograph is drawn, and not in the band above.
        labels: the labels.
        strongest: the largest contribution of a cell, and the largest term, of all labels of the photograph.
    """

    pixels: np.ndarray
    title: str
    is_first: bool
    labels: Sequence[ExplainedLabel]
    strongest: tuple[float, float]

    @property
    def heights(self) -> tuple[float, float]:
        """The height of the photograph and of the bars, in inches."""
        height, width = self.pixels.shape[:2]
        return 0.35 + WIDTH * min(max(height / width, 0.3), 1.4), 0.3 + 0.17 * self.rows

    @property
    def rows(self) -> int:
        """The largest number of terms and sums of a label."""
        return 1 + max(4, *(len(label.terms(STRONGEST)) for label in self.labels))


def _bands(one: ExplainedImage) -> Iterator[_Band]:
    picture = one.picture()
    picture.thumbnail((SIDE, SIDE))
    maps = [smooth(label.cells, picture.size) for label in one.labels if label.cells is not None]
    cell = max((float(np.quantile(np.abs(values), 0.998)) for values in maps), default=0)
    term = max(abs(value) for label in one.labels for _, value in label.terms(STRONGEST))
    title = "" if isinstance(one.image, Image.Image) else _short(Path(one.image).name)
    for start in range(0, len(one.labels), COLUMNS):
        yield _Band(np.asarray(picture), title, start == 0, one.labels[start : start + COLUMNS], (cell, term))


def _draw_band(grid: np.ndarray, band: _Band, has_key: bool) -> None:
    for axes in grid.flat:
        axes.set_axis_off()
        axes.set_anchor("S")  # beside its bars
    if band.is_first:
        grid[0, 0].imshow(band.pixels)
        grid[0, 0].set_title(band.title, fontsize=8, color=INK, parse_math=False)
    if has_key:
        _draw_key(grid[1, 0])
    for (image, bars), label in zip(grid.T[1:], band.labels, strict=False):
        image.imshow(band.pixels if label.cells is None else overlay(band.pixels, label.cells, band.strongest[0]))
        title = f"{_short(label.label)}  {100 * label.probability:.0f} %"
        image.set_title(title, fontsize=9, color=INK, weight="bold", parse_math=False)
        _draw_terms(bars, label, band.strongest[1])
        bars.set_ylim(band.rows - 0.4, -0.6)


def smooth(cells: Any, size: tuple[int, int]) -> np.ndarray:
    """Returns the contributions of cells (h, w), interpolated to a picture of ``size`` (width, height)."""
    values = Image.fromarray(np.asarray(cells, dtype=np.float32))
    return np.asarray(values.resize(size, Image.Resampling.BICUBIC))


def overlay(pixels: np.ndarray, cells: Any, strongest: float) -> np.ndarray:
    """Returns a pale, grey photograph with orange where cells raise the logit, and blue where they lower it.

    Args:
        pixels: (H, W, 3) uint8.
        cells: (h, w), a tensor or an array.
        strongest: the contribution that has the full colour.

    Returns:
        (H, W, 3) in [0, 1].
    """
    from matplotlib.colors import to_rgb

    values = smooth(cells, pixels.shape[1::-1])
    strength = np.abs(values) / max(strongest, np.finfo(np.float32).tiny)
    alpha = 0.9 * np.clip((strength - FAINT) / (1 - FAINT), 0, 1)[..., None]
    grey = 0.35 + 0.65 * (pixels @ np.array([0.299, 0.587, 0.114]))[..., None] / 255
    colour = np.where(values[..., None] > 0, to_rgb(RAISES), to_rgb(LOWERS))
    return np.clip((1 - alpha) * grey + alpha * colour, 0, 1)


def _draw_terms(axes: "Axes", label: ExplainedLabel, limit: float) -> None:
    """Draws the terms of a logit as bars, from top to bottom, with their names on the left."""
    terms = label.terms(STRONGEST)
    colours = [BIAS if name == "bias" else RAISES if value > 0 else LOWERS for name, value in terms]
    axes.barh(range(len(terms)), [value for _, value in terms], color=colours, height=0.7)
    axes.axvline(0, color=QUIET, linewidth=0.8)
    for row, (name, value) in enumerate([*terms, ("logit", label.logit)]):
        is_sum, side = row == len(terms), 1 if value > 0 or row == len(terms) else -1
        style: dict[str, Any] = {"fontsize": 7, "color": INK, "va": "center", "weight": "bold" if is_sum else "normal"}
        axes.text(0, row, _short(name), transform=axes.get_yaxis_transform(), parse_math=False, **style)
        number = axes.annotate(_signed(value), (0 if is_sum else value, row), (3 * side, 0),
                               textcoords="offset points", ha="left" if side > 0 else "right", **style)  # fmt: skip
        number.set_in_layout(False)  # columns keep their width
    reach = 1.9 * (limit or 1)  # the numbers beside the bars need room
    axes.set_xlim(-2.1 * reach, reach)


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")


def _draw_key(axes: "Axes") -> None:
    from matplotlib.patches import Patch

    colours = {"raises the logit": RAISES, "lowers the logit": LOWERS, "the same for all images": BIAS}
    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    axes.legend(handles=handles, loc="upper left", borderpad=0, frameon=False, fontsize=7, labelcolor=INK)
    text = "The logit is the sum of the bars.\nThe map sums to the logit without bias."
    axes.annotate(text, (0, 1), (2, -44), xycoords="axes fraction", textcoords="offset points", va="top", fontsize=7,
                  color=INK)  # fmt: skip


def _short(name: str) -> str:
    return shortened(printable_line(name), LONGEST)

"""Creates and saves figures without pyplot: no backend is selected, and no figure is shown."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
INK, QUIET, ACCENT = "#22303c", "#9aa7b1", "#2a7fb8"


def check_libraries(path: str | Path | None = None) -> None:
    """Checks that the libraries for plots are installed, and that a plot can have the name ``path``.

    Raises:
        InputError: if matplotlib or networkx is missing, or the name does not have the ending of a plot.
    """
    if path is not None:
        figure_format(path)
    try:
        import matplotlib  # noqa: F401
        import networkx  # noqa: F401
    except ImportError as error:
        fix = 'pip install "mlgcn_pyg[plot]"'
        raise InputError("plot", "matplotlib and networkx (extra 'plot')", f"no {error.name}", fix) from error


def new_figure(width: float, height: float) -> "Figure":
    """Returns an empty figure of the given size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def figure_format(path: str | Path) -> str:
    """Returns the format of a figure, by the ending of its file.

    Raises:
        InputError: if the ending is not .png, .svg or .pdf.

    >>> figure_format("graph.SVG")
    'svg'
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise InputError("path", "a name that ends in .png, .svg or .pdf", path)
    return ending


def save_figure(axes: "Axes", path: str | Path | None) -> None:
    """Writes the figure of ``axes`` to a file, atomically: the file is complete or absent.

    Args:
        axes: the axes.
        path: the file, whose ending determines the format: .png, .svg or .pdf; None writes no file.

    Raises:
        InputError: if the file has a different ending.
    """
    if path is None:
        return
    format = figure_format(path)
    figure = axes.figure
    with atomic_path(path) as partial:
        # the tight bounding box includes names that are longer than the axes
        figure.savefig(partial, dpi=140, format=format, bbox_inches="tight")  # type: ignore[union-attr]  # no SubFigure

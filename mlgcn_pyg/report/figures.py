"""Creates and saves figures without pyplot: no backend is selected, and no figure is shown."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, ACCENT = "#22303c", "#9aa7b1", "#2a7fb8"


def check_libraries() -> None:
    """Checks that the libraries for plots are installed.

    Raises:
        InputError: if matplotlib or networkx is missing.
    """
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


def save_figure(axes: "Axes", path: str | Path | None) -> None:
    """Writes the figure of ``axes`` to a PNG file, atomically: the file is complete or absent.

    Args:
        axes: the axes.
        path: the file; None writes no file.
    """
    if path is None:
        return
    figure = axes.figure
    with atomic_path(path) as partial:
        # the tight bounding box includes names that are longer than the axes
        figure.savefig(partial, dpi=140, format="png", bbox_inches="tight")  # type: ignore[union-attr]  # no SubFigure

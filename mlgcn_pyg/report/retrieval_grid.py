"""Pictures of queries and of the images that were retrieved for them, as Fig. 7 of the paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlgcn_pyg.checks import check_positive, check_targets
from mlgcn_pyg.errors import InputError, first_line, printable_line
from mlgcn_pyg.evaluation import Retrieval
from mlgcn_pyg.report.figures import INK, check_libraries, new_figure, save_figure
from mlgcn_pyg.report.fonts import fonts_for
from mlgcn_pyg.report.study_axes import NOTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

SHARED, OTHER = "#009e73", "#d55e00"  # frames of images that share a label with the query, and of others
SIDE = 240  # pixels of a picture
WIDTH = 22  # characters below a picture


def plot_retrieval(
    found: Mapping[str, Retrieval],
    paths: Sequence[str | Path],
    targets: Any,
    label_names: Sequence[str],
    path: str | Path | None = None,
    *,
    queries: Sequence[int] | None = None,
    shown: int = 5,
) -> "Figure":
    """Draws queries and their nearest images, one row for each query and network.

    Images that share a label with the query have a green frame, others an orange, dashed one. Below an image are its
    labels, those of the query with a tick.

    Args:
        found: network → result of :func:`~mlgcn_pyg.evaluation.retrieve`, of the same images.
        paths: N image files.
        targets: (N, C) in {-1, 0, 1}, as given to ``retrieve``.
        label_names: C names.
        path: a file (.png, .svg or .pdf) to which the figure is also written, atomically; default: no file.
        queries: row numbers of the queries; default: the first four that all networks have.
        shown: the number of neighbours to draw; reduced to k.

    Returns:
        The figure.

    Raises:
        InputError: if matplotlib is not installed, an image cannot be read, there is no query, or the shapes do not fit
            together.
    """
    check_libraries(path)
    targets = check_targets("targets", targets, len(label_names))
    if len(paths) != len(targets):
        raise InputError("paths", f"{len(targets)} files, one per row of targets", len(paths))
    rows = _queries(found, queries)
    shown = min(check_positive("shown", shown), *(one.neighbours.shape[1] for one in found.values()))
    with fonts_for([*label_names, *found]):
        figure = new_figure(1.6 * (shown + 1), 2.05 * len(rows) * len(found) + 0.4)
        grid = iter(figure.subplots(len(rows) * len(found), shown + 1, squeeze=False))
        for row in rows:
            for name, one in found.items():
                axes = next(grid)
                place = int(np.flatnonzero(one.rows == row)[0])
                _draw(axes[0], paths[row], INK, "-", _labels(targets[row], targets[row] * 0, label_names))
                axes[0].set_ylabel(_caption(name, one, place), fontsize=8, color=INK, parse_math=False)
                for cell, other in zip(axes[1:], one.neighbours[place, :shown].tolist(), strict=True):
                    is_match = bool(((targets[row] == 1) & (targets[other] == 1)).any())
                    frame = (SHARED, "-") if is_match else (OTHER, "--")
                    _draw(cell, paths[other], *frame, _labels(targets[other], targets[row], label_names))
        lines = [f"{printable_line(name)}: {summary(one)}" for name, one in found.items()]
        figure.suptitle("\n".join(lines), fontsize=9, color=NOTE, parse_math=False)
        save_figure(axes[0], path)
    return figure


def summary(found: Retrieval) -> str:
    """Returns the metrics of a retrieval in one line.

    >>> from mlgcn_pyg.evaluation import retrieve
    >>> summary(retrieve([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], [[1], [1], [0]], k=1))
    'mAP@1 100.0 %, precision@1 100.0 %, nDCG@1 100.0 % of 2 queries (1 without labels, 0 without a match left out)'
    """
    k, left_out = found.neighbours.shape[1], f"{found.without_labels} without labels, {found.without_match} without"
    values = {"mAP": found.mAP, "precision": found.precision, "nDCG": found.nDCG}
    listed = ", ".join(f"{name}@{k} {100 * value:.1f} %" for name, value in values.items())
    return f"{listed} of {len(found.rows)} queries ({left_out} a match left out)"


def _queries(found: Mapping[str, Retrieval], queries: Sequence[int] | None) -> list[int]:
    """Returns the rows to draw, which all networks have as queries."""
    if not found:
        raise InputError("found", "at least one network", "none")
    first, *others = (one.rows.tolist() for one in found.values())
    common = [row for row in first if all(row in rows for rows in map(set, others))]
    rows = common[:4] if queries is None else [int(row) for row in queries]
    if not rows:
        raise InputError("queries", "at least one query", "none")
    if missing := sorted(set(rows) - set(common)):
        raise InputError("queries", "queries that have a label and a match", f"row {missing[0]}")
    return rows


def _caption(name: str, found: Retrieval, place: int) -> str:
    k = found.neighbours.shape[1]
    return f"{printable_line(name)}\nAP@{k} {found.AP[place]:.2f}, nDCG {found.gains[place]:.2f}"


def _labels(of_image: "Tensor", of_query: "Tensor", label_names: Sequence[str]) -> list[str]:
    """Returns the labels of an image, those of the query first and with a tick."""
    own = [
        (printable_line(label_names[k]), bool(of_query[k] == 1)) for k in (of_image == 1).nonzero().flatten().tolist()
    ]
    return [f"✓ {name}" for name, is_shared in own if is_shared] + [name for name, is_shared in own if not is_shared]


def _draw(axes: "Axes", path: str | Path, colour: str, line: str, labels: list[str]) -> None:
    """Draws an image in a frame, with up to four lines of labels below."""
    axes.imshow(_picture(path))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=colour, linewidth=2.5, linestyle=line)
    lines = [name if len(name) <= WIDTH else f"{name[: WIDTH - 1]}…" for name in labels]
    lines = lines if len(lines) <= 4 else [*lines[:3], f"and {len(lines) - 3} more"]
    axes.set_xlabel("\n".join(lines), fontsize=7, color=INK, parse_math=False)


def _picture(path: str | Path) -> np.ndarray:
    """Returns a square cut out of the middle of an image file (H, W, 3)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))  # decodes a large JPEG at a lower resolution
            upright = ImageOps.exif_transpose(image).convert("RGB")
            return np.asarray(ImageOps.fit(upright, (SIDE, SIDE)))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError("paths", "image files", f"{path} ({first_line(error)})") from error

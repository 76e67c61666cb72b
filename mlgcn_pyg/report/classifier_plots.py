"""Pictures of the classifiers of heads, as Fig. 8 of the paper, with the purity of their neighbourhoods.

t-SNE places similar classifiers next to each other, but the places depend on its perplexity and on the seed. The purity
below each picture (:func:`~mlgcn_pyg.evaluation.neighbour_purity`) is computed from the classifiers themselves.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.checks import check_choice, check_count, check_tensor
from mlgcn_pyg.errors import InputError, printable_line
from mlgcn_pyg.evaluation import neighbour_purity
from mlgcn_pyg.evaluation.neighbours import PERMUTATIONS
from mlgcn_pyg.report.figures import INK, QUIET, check_libraries, new_figure, save_figure
from mlgcn_pyg.report.fonts import fonts_for
from mlgcn_pyg.report.study_axes import COLOURS, MARKERS, NOTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 120  # labels whose names are written into the picture
METHODS = ("t-SNE", "PCA")


def plot_classifiers(
    classifiers: Mapping[str, Any],
    label_names: Sequence[str],
    groups: Sequence[str | None] | None = None,
    path: str | Path | None = None,
    *,
    k: int = 5,
    methods: Sequence[str] = METHODS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> "Figure":
    """Draws the classifiers of heads side by side, by t-SNE above and by PCA below.

    Classifiers are scaled to length 1 first, so that distances are those of cosines.

    Args:
        classifiers: head → (C, D), such as ``head.classifiers()``.
        label_names: C names.
        groups: C super-categories, which are drawn in different colours; None for a label without one. Default: none,
            and no purity.
        path: a file (.png, .svg or .pdf) to which the figure is also written, atomically; default: no file.
        k: the number of neighbours of the purity; reduced to the number of other labels.
        methods: ``"t-SNE"``, ``"PCA"`` or both, from top to bottom.
        permutations: the number of permutations for the p value of the purity.
        seed: the seed of t-SNE and of the permutations of the purity.

    Returns:
        The figure.

    Raises:
        InputError: if scikit-learn or matplotlib is not installed, there is no head, there are fewer than three labels,
            a method is unknown, or the shapes do not fit together.
    """
    check_libraries(path)
    _check_sklearn()
    if not methods:
        raise InputError("methods", f"some of {', '.join(METHODS)}", "none")
    for method in methods:
        check_choice("methods", method, METHODS)
    vectors = {name: _unit(values, len(label_names)) for name, values in classifiers.items()}
    if not vectors:
        raise InputError("classifiers", "at least one head", "none")
    if groups is not None and len(groups) != len(label_names):
        raise InputError("groups", f"{len(label_names)} super-categories, one per label", len(groups))
    with fonts_for([*label_names, *vectors]):
        figure = new_figure(5.2 * len(vectors), 5.2 * len(methods))
        grid = figure.subplots(len(methods), len(vectors), squeeze=False)
        for column, (name, rows) in zip(grid.T, vectors.items(), strict=True):
            for axes, method in zip(column, methods, strict=True):
                _draw(axes, project(rows, method, check_count("seed", seed)), label_names, groups)
                axes.set_ylabel(method if axes in grid[:, 0] else "", color=INK)
            column[0].set_title(printable_line(name), fontsize=11, color=INK, parse_math=False)
            column[0].set_xlabel(purity_text(rows, groups, k, seed, permutations), fontsize=9, color=NOTE)
        handles, names = grid[0, 0].get_legend_handles_labels()
        if groups is not None:
            figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
        save_figure(grid[0, 0], path)
    return figure


def project(vectors: NDArray[np.float64], method: str, seed: int = 0) -> NDArray[np.float64]:
    """Returns places (C, 2) of vectors (C, D).

    Args:
        vectors: the vectors.
        method: ``"t-SNE"``, with a perplexity of 30 or a third of the other labels, or ``"PCA"``.
        seed: the seed of t-SNE.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if vectors.shape[1] == 1:
        vectors = np.concatenate([vectors, np.zeros_like(vectors)], axis=1)
    perplexity = min(30, (len(vectors) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="random", random_state=seed)
    with np.errstate(invalid="ignore", divide="ignore"):  # equal vectors have no variance to explain
        return (PCA(2, svd_solver="full") if method == "PCA" else tsne).fit_transform(vectors)


def purity_text(
    vectors: Any, groups: Sequence[str | None] | None, k: int, seed: int = 0, permutations: int = PERMUTATIONS
) -> str:
    """Returns two lines on the purity of neighbourhoods; an empty text without groups of two labels.

    Args:
        vectors: (C, D).
        groups: C super-categories or None.
        k: the number of neighbours.
        seed: the seed of the permutations.
        permutations: their number.

    >>> print(purity_text([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], ["a", "a", "b"], 1))
    1 nearest classifier of the same super-category:
    100 % (by chance 49 %; p = 0.33)
    """
    known = 0 if groups is None else len(groups) - list(groups).count(None)
    if groups is None or known < 3:
        return ""
    k = min(k, known - 1)
    purity = neighbour_purity(vectors, groups, k=k, permutations=permutations, seed=seed)
    if not purity.num_labels:
        return ""
    nearest = "1 nearest classifier" if k == 1 else f"{k} nearest classifiers"
    shares = f"{100 * purity.value:.0f} % (by chance {100 * purity.expected:.0f} %; p = {purity.p:.2g})"
    return f"{nearest} of the same super-category:\n{shares}"


def _draw(
    axes: "Axes", places: NDArray[np.float64], label_names: Sequence[str], groups: Sequence[str | None] | None
) -> None:
    """Draws the labels at their places, the groups in colours."""
    kinds = ["" for _ in label_names] if groups is None else [group or "" for group in groups]
    for number, kind in enumerate(sorted(set(kinds))):
        rows = [row for row, name in enumerate(kinds) if name == kind]
        known = bool(kind) or groups is None
        marker = MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)] if known else QUIET, "marker": marker}
        axes.scatter(places[rows, 0], places[rows, 1], s=30, label=printable_line(kind) or "none", zorder=2, **style)
    if len(label_names) <= MOST_NAMES:
        beside: dict[str, Any] = {"xytext": (4, 2), "textcoords": "offset points"}
        for name, place in zip(label_names, places, strict=True):
            axes.annotate(printable_line(name), tuple(place), **beside, fontsize=7, color=INK, parse_math=False)
    axes.set(xticks=[], yticks=[])
    axes.margins(x=0.14)
    axes.spines[:].set_color("#d5dbe0")


def _unit(values: Any, num_labels: int) -> NDArray[np.float64]:
    """Returns classifiers (C, D) with length 1."""
    rows = check_tensor("classifiers", values, "classifiers (C, D)").detach().cpu().double().numpy()
    if rows.ndim != 2 or len(rows) != num_labels or not rows.shape[1]:
        raise InputError("classifiers", f"shape ({num_labels}, D), one row per label", f"shape {rows.shape}")
    if num_labels < 3:
        raise InputError("label_names", "at least three labels", num_labels)
    if not np.isfinite(rows).all():
        raise InputError("classifiers", "finite numbers", "NaN or Inf")
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(float).tiny)


def _check_sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        fix = 'pip install "mlgcn_pyg[plot]"'
        raise InputError("plot", "scikit-learn (extra 'plot')", f"no {error.name}", fix) from error

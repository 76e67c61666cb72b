"""Plots with awkward label names, checked by their pixels."""

import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.cli.main import app  # noqa: F401, it silences what the libraries warn of
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.figures import INK, QUIET
from mlgcn_pyg.report.graph_plot import arranged
from mlgcn_pyg.report.plots import plot_label_graph, plot_per_class_ap

PAIR = torch.tensor([[1, 1], [1, 1], [0, 0]])
LONG = "a label whose name is a whole sentence, as those of large data sets are"


def ink(path) -> np.ndarray:
    """Returns 1 for each pixel that is drawn on."""
    with Image.open(path) as picture:
        return (np.asarray(picture.convert("L")) < 250).astype(int)


def drawn(tmp_path, names, targets=PAIR) -> np.ndarray:
    plot_label_graph(LabelGraph.from_targets(targets, label_names=names), tmp_path / "g.png")
    return ink(tmp_path / "g.png")


def test_a_dense_kernel_graph_is_drawn_with_the_edges_of_the_threshold_only(tmp_path):
    targets = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]])
    options = {"tau": 0.6, "label_names": list("abcd"), "x": torch.randn(4, 3)}
    graph = LabelGraph.from_targets(targets, weighting="kernel", **options)
    plot_label_graph(graph, tmp_path / "kernel.png")
    plot_label_graph(LabelGraph.from_targets(targets, **options), tmp_path / "paper.png")
    assert graph.edge_index.size(1) == 12 and (ink(tmp_path / "kernel.png") == ink(tmp_path / "paper.png")).all()


@pytest.mark.parametrize("name", [r"$\frac$", "$", "cost $x_1$ and $\\foo$", "two\nlines"])
def test_names_are_not_drawn_as_formulas(tmp_path, name):
    assert drawn(tmp_path, [name, "b"]).any()
    assert drawn(tmp_path, [name, "b"], torch.eye(2, dtype=torch.int8)).any()
    plot_per_class_ap({"mlgcn": {name: 0.5, "b": None}, "linear": {name: 0.4, "b": None}}, tmp_path / "ap.png")
    assert ink(tmp_path / "ap.png").any()


def test_a_dollar_is_a_dollar(tmp_path):
    literal, formula = drawn(tmp_path, ["a" * 16, "b"]), drawn(tmp_path, [f"${'a' * 16}$", "b"])
    assert formula.sum() > literal.sum() + 30


def ink_of_text(tmp_path, text, color, darker_than) -> int:
    figure = Figure(figsize=(9, 3))
    figure.text(0.02, 0.5, text, fontsize=8, color=color)
    figure.savefig(tmp_path / "text.png", dpi=140)
    return dark(tmp_path / "text.png", darker_than)


def dark(path, darker_than) -> int:
    with Image.open(path) as picture:
        return int((np.asarray(picture.convert("L")) < darker_than).sum())


@pytest.mark.parametrize("targets, text, color, darker_than", [
    (PAIR, textwrap.fill(LONG, 24), INK, 90),  # at a node; circles and arrows are lighter
    (torch.eye(2, dtype=torch.int8), LONG, QUIET, 250),  # in the list of labels without edges
])  # fmt: skip
def test_a_long_name_is_not_cut(tmp_path, targets, text, color, darker_than):
    pixels = []
    for name in (LONG, "."):
        drawn(tmp_path, [name, "b"], targets)
        pixels.append(dark(tmp_path / "g.png", darker_than))
    assert pixels[0] - pixels[1] == pytest.approx(ink_of_text(tmp_path, text, color, darker_than), rel=0.3)


@pytest.mark.parametrize("name", ["", "refrigerators", LONG])
def test_names_do_not_hide_arrows(tmp_path, name):
    """All dark blue pixels of the arrow are visible, however long the name of its target is."""
    graph = torch.tensor([[1, 1], [1, 1], [0, 1], [0, 1], [0, 1], [0, 1]]).repeat(100, 1)  # a → b alone
    axes = plot_label_graph(LabelGraph.from_targets(graph, label_names=["a", name]))
    seen = []
    for visible in (True, False):
        for text in axes.texts:
            text.set_visible(visible)
        axes.figure.savefig(tmp_path / "g.png", dpi=140)
        with Image.open(tmp_path / "g.png") as picture:
            red, _, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(int), 2, 0)
        seen.append(int(((red < 20) & (blue > 90)).sum()))
    assert seen[0] == pytest.approx(seen[1], rel=0.01) and seen[1] > 100


def test_one_image_does_not_make_the_darkest_arrow(tmp_path):
    shades = []
    for images in (1, 10, 1000):
        targets = torch.tensor([[1, 1]] * images + [[0, 1]] * 3 * images)  # a → b alone, P = 1
        axes = plot_label_graph(LabelGraph.from_targets(targets))
        (arrow,) = [patch for patch in axes.patches if hasattr(patch, "get_arrowstyle")]
        shades.append((sum(arrow.get_edgecolor()[:3]), -arrow.get_linewidth()))
    assert shades == sorted(shades, reverse=True) and len(set(shades)) == 3
    assert shades[0][0] > 1.5  # nearer to white than to black


def test_a_graph_without_edges_is_a_small_image(tmp_path):
    assert len(drawn(tmp_path, ["a", "b"], torch.eye(2, dtype=torch.int8))) < 250


def test_the_legend_lies_beside_the_marks(tmp_path):
    below = []
    for head in ("x", "wwwwwwww"):
        plot_per_class_ap({head: dict.fromkeys("abcdefgh", 0.9)}, tmp_path / "ap.png")
        picture = ink(tmp_path / "ap.png")
        below.append(picture[len(picture) // 6 :])
    assert (below[0] == below[1]).all()


AP = {"mlgcn": {"a": 0.5, "b": None}, "linear": {"a": 0.4, "b": 0.2}}


def plots():
    graph = LabelGraph.from_targets(torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 1]]), label_names=["a", "b", "alone"])
    return [lambda **options: plot_label_graph(graph, **options), lambda **options: plot_per_class_ap(AP, **options)]


@pytest.mark.parametrize("plot", plots())
def test_plots_return_axes_that_can_be_shown_and_saved(plot, tmp_path):
    axes = plot()
    assert isinstance(axes, Axes)
    axes.figure.savefig(tmp_path / "later.png")
    assert ink(tmp_path / "later.png").any() and list(tmp_path.iterdir()) == [tmp_path / "later.png"]


@pytest.mark.parametrize("plot", plots())
def test_plots_draw_on_given_axes(plot, tmp_path):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot(ax=right, path=tmp_path / "both.png") is right
    assert len(right.texts) + len(right.collections) > 0 and not left.texts and not left.collections
    assert figure.axes == [left, right] and ink(tmp_path / "both.png").any()


def test_labels_without_edges_are_listed_on_given_axes_too():
    axes = Figure().subplots()
    plots()[0](ax=axes)
    assert any("1 labels without edges:\nalone" in text.get_text() for text in axes.texts)


def test_every_head_gets_a_mark():
    axes = plot_per_class_ap({f"head {k}": {"a": k / 10} for k in range(6)})
    assert len(axes.collections) == 6


def test_no_head_at_all():
    with pytest.raises(InputError, match="average_precision: expected at least one head"):
        plot_per_class_ap({})


def test_backend_and_figures_of_the_caller_are_left_alone(tmp_path):
    """In a separate process, because the backend is a global setting."""
    script = f"""
import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt
mine = plt.figure()
settings = dict(matplotlib.rcParams)
from mlgcn_pyg import LabelGraph
from mlgcn_pyg.report.plots import plot_label_graph, plot_per_class_ap
plot_label_graph(LabelGraph.from_targets([[1, 1], [1, 0]]), {str(tmp_path / "g.png")!r})
plot_per_class_ap({AP!r}, {str(tmp_path / "ap.png")!r})
assert matplotlib.get_backend() == "svg" and dict(matplotlib.rcParams) == settings
assert plt.get_fignums() == [1] and plt.gcf() is mine and not mine.axes
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert ink(tmp_path / "g.png").any() and ink(tmp_path / "ap.png").any()


@pytest.mark.parametrize("library", ["matplotlib", "networkx"])
@pytest.mark.parametrize("plot", plots())
def test_a_missing_library_is_named(plot, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        InputError, match=rf"plot: expected matplotlib and networkx .*, found no {library}; pip install"
    ):
        plot()


@pytest.mark.parametrize("ending, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")])
def test_the_ending_decides_the_format(tmp_path, ending, start):
    plot_label_graph(LabelGraph.from_targets([[1, 1], [1, 0]]), tmp_path / f"g.{ending}")
    assert (tmp_path / f"g.{ending}").read_bytes().startswith(start)
    with pytest.raises(InputError, match="path: expected a name that ends in .png, .svg or .pdf, found .*g.eps"):
        plot_per_class_ap({"a": {"b": 0.5}}, tmp_path / "g.eps")
    assert len(list(tmp_path.iterdir())) == 1


def star(leaves, more=()):
    """Edges of all leaves to label 0, and others."""
    edges = [(k, 0, 0.9) for k in range(1, leaves + 1)] + list(more)
    return LabelGraph.from_edges(edges, label_names=[f"label {k}" for k in range(leaves + 3)])


def texts(axes):
    return [text.get_text() for text in axes.texts]


def arrows(axes):
    return [patch for patch in axes.patches if hasattr(patch, "get_arrowstyle")]


def test_edges_of_a_hub_are_dots_and_others_are_arrows():
    axes = plot_label_graph(star(40, [(0, 41, 0.9), (1, 2, 0.9), (3, 2, 0.9)]))
    assert len(arrows(axes)) == 2 and texts(axes).count("●") == 40 and texts(axes).count("○") == 1
    assert "● → label 0: 40 edges,  label 0 → ○: 1 edge" in texts(axes)
    assert "43 edges i → j" in axes.get_title(loc="left") and texts(axes).count("label 0") == 1
    below = axes.figure.axes[1]
    assert any("1 labels without edges:\nlabel 42" in text for text in texts(below))


def test_labels_of_few_edges_are_no_hubs():
    axes = plot_label_graph(star(11))
    assert len(arrows(axes)) == 11 and "●" not in texts(axes)


def test_a_graph_in_which_all_labels_have_many_edges_has_no_hub():
    everything = [(i, j) for i in range(20) for j in range(20) if i != j]
    axes = plot_label_graph(LabelGraph.from_edges(everything))
    assert len(arrows(axes)) == 380 and "●" not in texts(axes)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """The axes of a graph of 1,000 labels with two hubs, the seconds that it took, and the size of the picture."""
    random = np.random.default_rng(0)
    pairs = {tuple(pair) for pair in random.integers(1000, size=(1600, 2)).tolist()}
    pairs |= {(k, hub) for hub, number in ((3, 250), (77, 120)) for k in random.choice(1000, number, replace=False)}
    edges = [(int(i), int(j), 0.5) for i, j in sorted(pairs) if i != j]
    graph = LabelGraph.from_edges(edges, label_names=[f"label {k}" for k in range(1000)])
    path, start = tmp_path_factory.mktemp("thousand") / "g.png", time.process_time()
    axes = plot_label_graph(graph, path)
    with Image.open(path) as picture:
        return axes, time.process_time() - start, picture.size


def test_a_thousand_labels_take_seconds(thousand):
    axes, seconds, size = thousand
    assert seconds < 60 and max(size) < 5000  # about 5 seconds without other load
    assert texts(axes).count("●") > 300 and not arrows(axes)


@pytest.mark.parametrize("labels", ["1000", "43"])
def test_names_do_not_overlap(labels, request):
    """The boxes of all names at nodes, as matplotlib measures them."""
    few = star(40, [(k, k + 1, 0.9) for k in range(1, 30, 3)])
    axes = plot_label_graph(few) if labels == "43" else request.getfixturevalue("thousand")[0]
    axes.figure.draw_without_rendering()
    boxes = np.array([t.get_window_extent().extents for t in axes.texts if t.get_text().startswith("label")])
    low, high = np.maximum(boxes[:, None, :2], boxes[:, :2]), np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    overlap = ((high - low) > 1).all(axis=2)
    np.fill_diagonal(overlap, False)
    assert len(boxes) > 40 and not overlap.any()


def test_of_very_many_edges_the_most_certain_are_drawn():
    everything = [(i, j, 0.9 if j == 0 else 0.5) for i in range(80) for j in range(80) if i != j]
    graph = LabelGraph.from_edges(everything)
    assert arranged(graph).num_hidden == 6320 - 4000
    assert "the 4,000 most certain of 6,320 edges" in plot_label_graph(graph).get_title(loc="left")


def test_a_small_axes_has_smaller_names():
    small, large = (Figure(figsize=(side, side)).subplots() for side in (3, 12))
    for axes in (small, large):
        plot_label_graph(star(11), ax=axes)
    assert small.texts[0].get_fontsize() < large.texts[0].get_fontsize() == 8

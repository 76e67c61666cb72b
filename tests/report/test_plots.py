"""Plots with awkward label names, checked by their pixels."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.cli.main import app  # noqa: F401, it silences what the libraries warn of
from mlgcn_pyg.errors import InputError
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


def test_a_long_name_is_not_cut(tmp_path):
    """Its text has as many pixels at a node as in the list of labels without edges."""
    at_node, below = (
        drawn(tmp_path, [LONG, "b"], targets).sum() - drawn(tmp_path, [".", "b"], targets).sum()
        for targets in (PAIR, torch.eye(2, dtype=torch.int8))
    )
    assert at_node == pytest.approx(below, rel=0.15)


def test_names_do_not_hide_arrows(tmp_path):
    """The dark blue arrow head is visible, however long the name of its target is."""
    graph = torch.tensor([[1, 1], [1, 1], [0, 1], [0, 1], [0, 1], [0, 1]]).repeat(100, 1)  # a → b alone
    heads = []
    for names in (["a", ""], ["a", "refrigerators"]):
        plot_label_graph(LabelGraph.from_targets(graph, label_names=names), tmp_path / "g.png")
        with Image.open(tmp_path / "g.png") as picture:
            red, _, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(int), 2, 0)
        heads.append(int(((red < 20) & (blue > 90)).sum()))
    assert heads[0] == pytest.approx(heads[1], rel=0.01) and heads[0] > 100


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

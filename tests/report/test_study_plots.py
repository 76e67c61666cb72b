"""Figures of a study: what is drawn is what the runs say."""

import math
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.study_axes import look, spread
from mlgcn_pyg.report.study_controls import plot_controls
from mlgcn_pyg.report.study_curves import plot_learning_curve, plot_partial_labels
from mlgcn_pyg.report.study_plots import plot_depth, plot_embeddings, plot_p, plot_tau
from tests.report.study_frames import joined, runs_of

SWEEP = joined(
    runs_of("mlgcn", [0.50, 0.52, 0.54]),
    runs_of("mlgcn p=0", [0.48, 0.50, 0.52], parameter="p", value=0.0),
    runs_of("mlgcn p=1", [0.3, math.nan, 0.3], parameter="p", value=1.0),
    runs_of("mlgcn tau=0", [0.40, 0.42, 0.44], parameter="tau", value=0.0),
    runs_of("mlgcn tau=0.9", [0.46, 0.48, 0.50], parameter="tau", value=0.9),
    runs_of("mlgcn 3 layers", [0.46, 0.48, 0.50], parameter="layers", value=3),
    runs_of("mlgcn one-hot", [0.45, 0.47, 0.49], parameter="embeddings", value="one-hot"),
    runs_of("mlgcn shuffled", [0.49, 0.50, 0.51]),
    runs_of("mlgcn shuffled", [0.51, 0.52, 0.53], draw=1),
    runs_of("linear", [0.53, 0.54, 0.58]),
)
CURVES = joined(*(runs_of(f"head {k}", [0.3 + 0.1 * size] * 2, images=10**size) for k in "ab" for size in (2, 3)))
PARTIAL = joined(*(runs_of("標 head", [0.5 - 0.2 * share, 0.5], unknown=share) for share in (0.0, 0.5, 0.9)))
PLOTS = [
    (plot_embeddings, SWEEP), (plot_tau, SWEEP), (plot_p, SWEEP), (plot_depth, SWEEP), (plot_controls, SWEEP),
    (plot_learning_curve, CURVES), (plot_partial_labels, PARTIAL),
]  # fmt: skip


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.filterwarnings("ignore:no installed font has the characters")
@pytest.mark.parametrize(("plot", "runs"), PLOTS, ids=lambda case: getattr(case, "__name__", ""))
def test_figures_are_written_and_drawn_on_given_axes(plot, runs, tmp_path):
    plot(runs, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture.convert("L")).min() < 80 and picture.width > 700
    given = Figure().subplots()
    assert plot(runs, tmp_path / "a.svg", ax=given) is given and (tmp_path / "a.svg").stat().st_size > 1000
    with pytest.raises(InputError, match="path: expected a name that ends in"):
        plot(runs, tmp_path / "a.jpg")


@pytest.mark.parametrize(("plot", "runs"), PLOTS[:5], ids=lambda case: getattr(case, "__name__", ""))
def test_figures_without_their_runs_are_refused(plot, runs):
    with pytest.raises(InputError, match="runs: expected"):
        plot(runs_of("mlgcn", [0.5, 0.6]))


def test_lines_are_means_and_bands_are_t_intervals():
    axes = plot_tau(SWEEP)
    assert axes.lines[0].get_xydata().tolist() == pytest.approx(np.array([[0, 42], [0.4, 52], [0.9, 48]]))
    (band,) = axes.collections
    low, high = stats.t.interval(0.95, 2, loc=42, scale=stats.sem([40, 42, 44]))
    heights = [y for x, y in band.get_paths()[0].vertices if x == 0]
    assert (min(heights), max(heights)) == pytest.approx((low, high))


def test_what_did_not_converge_is_marked_and_not_drawn():
    axes = plot_p(SWEEP)
    assert axes.lines[0].get_xdata().tolist() == [0.0, 0.2]
    assert "did not converge" in texts(axes) and axes.lines[1].get_xdata() == [1.0]
    assert "did not converge" not in texts(plot_tau(SWEEP))


def test_published_points_lie_beside_on_the_same_scale():
    axes = plot_p(SWEEP)
    coco, voc = axes.figure.axes[1:]
    assert coco.lines[0].get_xydata().tolist() == [[0.0, 81.67], [0.2, 83.0]]
    assert voc.lines[0].get_xydata().tolist() == [[0.0, 93.15], [0.2, 94.0]]
    spans = [np.diff(panel.get_ylim())[0] for panel in axes.figure.axes]
    assert spans == pytest.approx([spans[0]] * 3, rel=0.05)
    depth = plot_depth(SWEEP).figure.axes[1]
    assert depth.lines[0].get_xydata().tolist() == [[2, 83.0], [3, 82.1], [4, 81.1]]


def test_bars_start_at_zero():
    axes = plot_embeddings(SWEEP)
    assert [bar.get_y() for bar in axes.patches] == [0] * 6 and axes.get_ylim()[0] == 0
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([52, 55, 58, 47, 50, 53])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["given", "one-hot"]


def test_controls_are_paired_on_the_same_split():
    axes = plot_controls(SWEEP)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "linear − mlgcn", "mlgcn p=0 − mlgcn", "mlgcn shuffled − mlgcn",
    ]  # fmt: skip
    strips = [sorted(strip.get_offsets()[:, 0]) for strip in axes.collections]
    assert strips[2] == pytest.approx([-3, -2, -1, -1, 0, 1]) and strips[0] == pytest.approx([2, 3, 4])
    means = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert means == pytest.approx([3, -2, -1])


def test_a_split_without_the_graph_is_not_compared():
    runs = joined(runs_of("mlgcn", [0.5]), runs_of("mlgcn shuffled", [0.4, 0.9]))
    (strip,) = plot_controls(runs).collections
    assert [x for x in strip.get_offsets()[:, 0] if np.isfinite(x)] == pytest.approx([-10])


def test_runs_on_all_images_have_a_place_where_their_number_is_given():
    runs = joined(CURVES, runs_of("head a", [0.7, 0.7]))
    assert plot_learning_curve(runs).lines[0].get_xdata().tolist() == [100, 1000]
    axes = plot_learning_curve(runs, all_images=82081)
    assert axes.lines[0].get_xdata().tolist() == [100, 1000, 82081]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["100", "1,000", "82,081"]
    with pytest.raises(InputError, match="at least two values of num_images"):
        plot_learning_curve(runs_of("a", [0.5], images=100))


def test_names_of_equal_lines_do_not_overlap():
    figure = plot_learning_curve(CURVES).figure
    figure.draw_without_rendering()
    first, second = (text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("head"))
    assert first.y1 <= second.y0 or second.y1 <= first.y0


def test_names_in_other_scripts_are_drawn_or_warned_about():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert "標 head" in texts(plot_partial_labels(PARTIAL))
    assert all("no installed font" in str(warning.message) for warning in told)


def test_one_split_is_drawn_without_a_band():
    (band,) = plot_tau(SWEEP[SWEEP["split"] == 0]).collections
    assert not len(band.get_paths()) or np.isnan(band.get_paths()[0].vertices).all()


def test_lines_look_different():
    looks = [tuple(look(k).values()) for k in range(28)]
    assert len(set(looks)) == 28


def test_spread_moves_as_little_as_possible():
    assert spread([0, 0.2, 0.4, 10], 1) == pytest.approx([-0.8, 0.2, 1.2, 10])
    assert spread([], 1) == [] and spread([3.0], 1) == [3.0]

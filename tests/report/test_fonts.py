"""Names of labels in scripts that matplotlib's default font lacks."""

import warnings

import matplotlib
import pytest

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputWarning
from mlgcn_pyg.report.fonts import fonts_for
from mlgcn_pyg.report.plots import plot_label_graph, plot_per_class_ap


def test_another_installed_font_draws_what_the_default_lacks(tmp_path):
    """matplotlib comes with Computer Modern, which has no Cyrillic letters, and with DejaVu, which has them."""
    names = ["Жук", "dog"]
    with matplotlib.rc_context({"font.family": ["cmss10"]}), warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = plot_label_graph(LabelGraph.from_targets([[1, 1], [1, 0]], label_names=names), tmp_path / "g.png")
        family = axes.texts[-1].get_fontfamily()
        assert family[0] == "cmss10" and len(family) == 2
        assert matplotlib.rcParams["font.family"] == ["cmss10"]


def test_characters_that_no_font_has_are_named_once(tmp_path):
    missing = "\U000f0000\U000f0001"  # private use
    with pytest.warns(Warning) as told:
        graph = LabelGraph.from_targets([[1, 1], [1, 0]], label_names=["a\U0001b170", "b\U0001b171"])
        plot_label_graph(graph, tmp_path / "g.png")
    assert [warning.category for warning in told] == [InputWarning]
    assert "no installed font has the characters \U0001b170 \U0001b171 of" in str(told[0].message)
    with warnings.catch_warnings():  # unprintable characters are shown as escapes
        warnings.simplefilter("error")
        plot_per_class_ap({"head": {missing: 0.5, "b\n\x1b": None}}, tmp_path / "ap.png")


def test_fonts_are_not_searched_where_the_default_has_all(monkeypatch):
    monkeypatch.setattr("mlgcn_pyg.report.fonts._installed_fonts", None)
    with fonts_for(["dog", "é → ω"]):
        assert matplotlib.rcParams["font.family"] == ["sans-serif"]

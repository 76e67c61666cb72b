"""The page of a study: its tables have the numbers of the study, and what is undefined is a dash."""

import json
import math

import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.study_page import study_page
from mlgcn_pyg.report.text_tables import Block, Column, TextTable


def interval(low, value, high):
    return {"value": value, "low": low, "high": high}


EFFECT = {"value": 0.0144, "images": {"low": 0.01, "high": 0.02}, "splits": {"low": -0.001, "high": 0.03}, "p": 0.02}
PRIMARY = {
    "a": "sharing", "b": "linear", "primary": True, "effect": EFFECT, "adjusted_p": 0.00002, "finding": "higher",
    "groups": {"rare labels": EFFECT | {"value": 0.02}}, "gained": ["hot dog", "a|b"], "lost": [],
}  # fmt: skip
OTHER = {
    "a": "mlgcn", "b": "mlp", "primary": False, "effect": EFFECT | {"splits": None}, "adjusted_p": math.nan,
    "finding": "descriptive",
}  # fmt: skip
STUDY = {
    "verdict": ["The label graph helps.", "Two\nlines."],
    "contenders": [
        {"contender": "linear", "condition": "300 images", "mAP": interval(0.49, 0.5, 0.51), "seconds": 0.123},
        {"contender": "mlgcn", "condition": "300 images", "mAP": interval(None, 0.48, None), "num_parameters": 2400000},
    ],
    "comparisons": [PRIMARY, OTHER],
    "setup": {"preset": "quick", "splits": 10, "graph": None, "features": ["a", "b"]},
}


def rows(text, heading):
    """Returns the cells of the table below a heading, without its header."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines[2:]]


def test_tables_have_the_numbers_of_the_study(tmp_path):
    text = study_page(STUDY, tmp_path / "study.md", title="My data")
    assert (tmp_path / "study.md").read_text(encoding="utf-8") == text
    assert text.startswith("# My data\n\nThe label graph helps.\n\nTwo lines.\n\n## Contenders")
    assert rows(text, "Contenders") == [
        ["linear", "300 images", "50.0", "[49.0, 51.0]", "0.1", "–"],
        ["mlgcn", "300 images", "48.0", "–", "–", "2,400,000"],
    ]
    assert rows(text, "Primary comparisons") == [
        ["sharing − linear", "+1.44", "[+1.00, +2.00]", "[−0.10, +3.00]", "< 0.001", "higher"]
    ]
    assert rows(text, "Exploratory comparisons") == [["mlgcn − mlp", "+1.44", "[+1.00, +2.00]", "–", "descriptive"]]
    assert rows(text, "Groups of labels and images") == [
        ["sharing − linear", "rare labels", "+2.00", "[+1.00, +2.00]", "[−0.10, +3.00]"]
    ]
    assert rows(text, "Settings") == [["preset", "quick"], ["splits", "10"], ["graph", "–"], ["features", '["a", "b"]']]
    assert "* AP in sharing − linear: higher for hot dog, a|b" in text


def test_a_study_that_went_through_json_gives_the_same_page(tmp_path):
    stored = json.loads(json.dumps(STUDY).replace("NaN", "null"))
    assert study_page(stored, tmp_path / "a.md", title="x") == study_page(STUDY, tmp_path / "b.md", title="x")


def test_comparisons_under_several_conditions_name_them(tmp_path):
    found = [PRIMARY | {"condition": "300 images"}, PRIMARY | {"condition": "all images"}]
    text = study_page(STUDY | {"comparisons": found}, tmp_path / "a.md", title="x")
    names = [row[0] for row in rows(text, "Primary comparisons")]
    assert names == ["sharing − linear (300 images)", "sharing − linear (all images)"]
    assert rows(text, "Groups of labels and images")[1][0] == names[1]


def test_figures_are_referred_to_relative_to_the_page(tmp_path):
    figures = {"A [figure]": tmp_path / "figures" / "a b.png"}
    text = study_page(STUDY, tmp_path / "study.md", title="x", figures=figures, commands=["mlgcn study a.h5"])
    assert r"![A \[figure\]](figures/a%20b.png)" in text
    assert "## Commands\n\n```\nmlgcn study a.h5\n```" in text


def test_sections_without_content_are_left_out(tmp_path):
    text = study_page(STUDY | {"comparisons": []}, tmp_path / "a.md", title="x")
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# x", "## Contenders", "## Settings"]


def test_tables_of_the_paper_are_included(tmp_path):
    table = TextTable("Table 9", [Column("method", is_number=False)], [Block("ours", [["mlgcn"]])])
    text = study_page(STUDY, tmp_path / "a.md", title="x", tables=[table])
    assert rows(text, "The paper beside it") == [["**ours**"], ["mlgcn"]]


def test_a_study_without_a_part_is_refused(tmp_path):
    with pytest.raises(InputError, match="study: expected the parts setup, .*, found no comparisons, verdict"):
        study_page({"setup": {}, "contenders": []}, tmp_path / "a.md", title="x")
    assert not list(tmp_path.iterdir())

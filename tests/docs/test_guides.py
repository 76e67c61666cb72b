"""The guides of the documentation run, and what they say about their output is true."""

import runpy
import tempfile
from pathlib import Path

import pytest
import torch

GUIDES = Path(__file__).parents[2] / ".ci" / "docs" / "guides"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs a guide, with its files in a temporary folder, and returns its variables."""

    def run(name):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        return runpy.run_path(str(GUIDES / f"{name}.py"))

    return run


def test_there_is_a_test_for_each_guide():
    names = {path.stem for path in GUIDES.glob("*.py")}
    assert names == {
        "1_your_own_table", "2_any_gnn", "3_label_texts", "4_trackers_and_the_hub", "5_serving",
    }  # fmt: skip


def test_1_your_own_table(run, capsys):
    found = run("1_your_own_table")
    chance = float((found["val_set"].targets == 1).double().mean())
    assert all(interval.mAP.value > 2 * chance for interval in found["comparison"].intervals.values())
    assert torch.equal(found["head"].classifiers(), found["best"].head.classifiers())
    assert "300 training images and 150 validation images" in capsys.readouterr().out


def test_2_any_gnn(run):
    found = run("2_any_gnn")
    chance = float((found["val"][1] == 1).double().mean())
    assert len(found["results"]) == 6 and all(value > 1.5 * chance for value in found["results"].values())
    assert found["difference"] < 1e-4
    head, image = found["head"].eval(), found["val"][0][:1]
    assert torch.allclose(found["terms"].logits(), head(image), atol=1e-4)


def test_3_label_texts(run):
    found = run("3_label_texts")
    (boat, kite), rows = found["rows"]["chance"], found["rows"]
    assert rows.keys() == {"glove.txt", "sentence encoder", "chance"}
    for source in ("glove.txt", "sentence encoder"):
        assert rows[source][0] > 2 * boat and rows[source][1] < 2 * kite


def test_4_trackers_and_the_hub(run, capsys):
    found = run("4_trackers_and_the_hub")
    assert torch.equal(found["whole"].classifiers(), found["resumed"].classifiers())
    assert torch.equal(found["whole"].classifiers(), found["loaded"].classifiers())
    assert 1 < len(found["history"].epochs) < 40
    said = capsys.readouterr().out
    assert said.count("  8  loss ") == 1 and said.count("  3  loss ") == 2
    assert "pruned after 3 epochs" in said


def test_5_serving(run, capsys):
    found = run("5_serving")
    assert found["status"] == 200 and found["server"].returncode is not None
    logits = dict(zip(found["scenes"].label_names, found["prediction"].tolist(), strict=True))
    assert found["served"] == pytest.approx(logits, abs=1e-4)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("415 {'detail'") for line in lines) and any(line.startswith("400 ") for line in lines)

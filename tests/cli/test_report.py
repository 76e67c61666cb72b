"""``mlgcn report``, ``train-head --report`` and the page of the demo; wrong and hostile input leaves no file."""

import json
import os
import signal

import pytest

from mlgcn_pyg.cli.main import app
from mlgcn_pyg.run_report.cases import Cases
from tests.cli.test_errors import command
from tests.run_report.runs import make_caches, make_run, other_cache, run

pytest.importorskip("plotly", reason="the page needs plotly (extra 'report')")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_caches(folder)
    make_run(folder)
    return folder


def pages(folder):
    return sorted(path.name for path in folder.rglob("*") if "report" in path.name or ".partial" in path.name)


def refused(*words):
    line = run("report", *words, code=2)
    assert line.count("mlgcn: error: ") == 1 and "Traceback" not in line
    return line


def test_a_page_in_the_folder_of_the_run(made):
    told = run("report", made / "run", "--root", made / "photos")
    page = made / "run/report.html"
    assert f"Wrote {page}" in told and pages(made) == ["report.html"]
    text = page.read_text(encoding="utf-8")
    assert "Recommended: the " in text and "<script>alert(1)" not in text and "data:image/jpeg;base64," in text
    page.unlink()


def test_a_page_elsewhere(made, tmp_path):
    told = run("report", made / "run", "--out", tmp_path / "new/page.html")
    assert f"Wrote {tmp_path / 'new/page.html'}" in told and pages(made) == []
    assert f"With thumbnails of the photographs: mlgcn report {made / 'run'} --root PHOTOS" in told
    assert "data:image/jpeg" not in (tmp_path / "new/page.html").read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_page(made, tmp_path):
    for name in ("a.html", "b.html"):
        run("report", made / "run", "--root", made / "photos", "--out", tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_train_head_names_the_command_or_writes_the_page(tmp_path):
    make_caches(tmp_path)
    caches = ("--train", tmp_path / "train.h5", "--val", tmp_path / "val.h5")
    words = ("train-head", *caches, "--head", "linear", "--l2", 0.1, "--replicates", 10, "--out", tmp_path / "run")
    assert f"mlgcn report {tmp_path / 'run'} --root PHOTOS" in run(*words) and pages(tmp_path) == []
    told = run(*words, "--report")
    assert f"Wrote {tmp_path / 'run/report.html'}" in told and pages(tmp_path) == ["report.html"]


def test_without_plotly_train_head_says_so_first(made, tmp_path, monkeypatch):
    monkeypatch.setattr("mlgcn_pyg.cli.report.find_spec", lambda name: None)
    words = ("train-head", "--train", made / "train.h5", "--val", made / "val.h5", "--out", tmp_path / "run")
    assert "--report: expected plotly (extra 'report'), found no plotly; pip install \"mlgcn_pyg[report]\"" in run(
        *words, "--report", code=2
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words, told",
    [
        (("absent",), "RUN: expected a folder that exists, found no folder absent"),
        (("run/metrics.json",), "RUN: expected a folder that exists, found the file run/metrics.json"),
        (("photos",), "RUN: expected a folder of mlgcn train-head, train or study, found neither metrics.json"),
        (("run", "--cache", "absent.h5"), "--cache: expected a file that exists"),
        (("run", "--cache", "photos/test 0.jpg"), "--cache: expected"),
        (("run", "--cache", "train.h5"), "--cache: expected the test images of the run, test.h5"),
        (("run", "--train", "test.h5"), "--train: expected the training images of the run, train.h5"),
        (("run", "--study", "photos"), "--study: expected a file that exists, found no file photos/study.json"),
        (("run", "--root", "run"), "--root: expected the folder of the photographs"),
        (("run", "--root", "train.h5"), "--root: expected a folder that exists, found the file train.h5"),
        (("run", "--out", "page.pdf"), "--out: expected a name that ends in .html"),
        (("run", "--out", "photos"), "--out: expected a file name, found the folder photos"),
        (("run", "--device", "gpu"), "--device: expected"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(made, monkeypatch, words, told):
    monkeypatch.chdir(made)
    assert told in refused(*words) and pages(made) == []


def test_a_moved_cache_is_named_with_its_digest(tmp_path):
    make_caches(tmp_path)
    folder = make_run(tmp_path, "--head", "linear")
    digest = json.loads((folder / "metrics.json").read_text())["setup"]["test"]["sha256"][:12]
    (tmp_path / "test.h5").rename(tmp_path / "moved.h5")
    line = refused(folder)
    assert f"--cache: expected the test images of the run, test.h5 (48 images, SHA-256 {digest}…)" in line
    assert "give the path of this file as --cache" in line
    refused(folder, "--cache", other_cache(tmp_path))
    run("report", folder, "--cache", tmp_path / "moved.h5")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"setup": {}}', '{"heads": {"a": 1}, "setup": 3}', "\0"])
def test_damaged_metrics_are_one_line(made, tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    assert "RUN: expected a metrics.json of mlgcn train-head" in refused(tmp_path) and pages(tmp_path) == []


def test_a_pipe_in_place_of_a_file_does_not_wait(made, tmp_path):
    os.mkfifo(tmp_path / "study.json")
    assert "no file" in refused(tmp_path) or "neither" in refused(tmp_path)


def test_ctrl_c_leaves_nothing(made, monkeypatch):
    monkeypatch.setattr(Cases, "mistakes", lambda self: signal.raise_signal(signal.SIGINT))
    told = run("report", made / "run", code=130)
    assert "Traceback" not in told and pages(made) == []


def test_the_page_of_a_study(tmp_path):
    study = {"verdict": ["The label graph helps."], "contenders": [], "comparisons": []}
    (tmp_path / "study.json").write_text(json.dumps(study))
    run("report", tmp_path)
    assert "The label graph helps." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_options_are_those_of_the_library():
    from inspect import signature

    from mlgcn_pyg.run_report import write_run_report

    options = {parameter.name for parameter in command("report").params if parameter.name != "help"}
    assert options - {"out"} == signature(write_run_report).parameters.keys() - {"path", "commands", "progress"}
    assert app is not None

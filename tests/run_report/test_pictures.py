"""The results and figures of studies: sizes, unknown names, damaged files."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.run_report.pictures import read_study, smaller, study_content

LINEAR = {"contender": "linear", "mAP": {"value": 0.7, "low": 0.6, "high": 0.8}}
STUDY = {"verdict": ["The graph helps."], "contenders": [LINEAR], "comparisons": [], "setup": {}}


def test_a_study_and_its_figures(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps(STUDY))
    for name in ("controls.png", "classifiers.png", "other.png"):
        Image.new("RGB", (20, 10)).save(tmp_path / name)
    found = study_content(read_study(tmp_path), [tmp_path])
    assert found.verdict == ["The graph helps."] and found.contenders == STUDY["contenders"]
    assert list(found.figures) == [
        "Controls against the graph that they replace", "Classifiers of the labels (Fig. 8 of the paper)",
    ]  # fmt: skip


def test_pictures_without_a_study(tmp_path):
    assert study_content(None, [tmp_path]) is None
    Image.new("RGB", (20, 10)).save(tmp_path / "retrieval.png")
    assert len(study_content(None, [tmp_path]).figures) == 1


def test_large_pictures_shrink(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (900, 3000, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    content = smaller(tmp_path / "a.png")
    assert Image.open(io.BytesIO(content)).size == (1400, 420)
    assert len(content) < (tmp_path / "a.png").stat().st_size / 10


def test_transparent_parts_become_white(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert Image.open(io.BytesIO(smaller(tmp_path / "a.png"))).convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_damaged_files_are_one_line(tmp_path):
    for name, content in (("a.png", b"text"), ("b.png", b"\x89PNG\r\n\x1a\n" + b"0" * 50), ("c.png", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"run: expected a PNG file of a plot, found .*{name}"):
            smaller(tmp_path / name)
    Image.new("RGB", (4, 4)).save(tmp_path / "d.jpg")
    with pytest.raises(InputError):
        smaller(tmp_path / "d.jpg")  # only PNG is read
    for changed in ({"verdict": "text"}, {"verdict": [1]}, {"contenders": {}}, {"comparisons": [[]]}):
        (tmp_path / "study.json").write_text(json.dumps(STUDY | changed))
        with pytest.raises(InputError, match="run: expected a study.json of mlgcn study, found .* without"):
            read_study(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"contenders": [{"contender": "linear"}]},
        {"contenders": [LINEAR | {"mAP": {"value": "text"}}]},
        {"contenders": [LINEAR | {"mAP": {"value": float("inf")}}]},
        {"contenders": [LINEAR | {"seconds": "text"}]},
        {"comparisons": [{"a": "sharing", "b": "linear"}]},
        {"commands": 5},
    ],
)
def test_damaged_rows_of_a_study_are_one_line(tmp_path, changed):
    (tmp_path / "study.json").write_text(json.dumps(STUDY | changed))
    with pytest.raises(InputError, match="run: expected a study.json of mlgcn study, found .*study.json"):
        read_study(tmp_path)

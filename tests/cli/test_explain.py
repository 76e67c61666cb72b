"""``mlgcn explain``: the numbers of the predictor, a picture, and refusals in one line."""

import json

import pytest
from typer.testing import CliRunner

import mlgcn_pyg
from mlgcn_pyg.cli.main import app
from tests.cli.test_cli import refused, run
from tests.prediction.example import make_backbone, make_models


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_models(tmp_path_factory.mktemp("explain"), make_backbone())


def test_text_and_json_are_the_explanations_of_the_predictor(made):
    photos = [made / "photos" / "a.JPG", made / "photos" / "one pixel.png"]
    expected = mlgcn_pyg.load(made / "model.pt").explain(photos, top_k=2)
    words = ["explain", *photos, "--checkpoint", made / "model.pt", "--top-k", 2]
    printed = CliRunner().invoke(app, [*map(str, words)])
    assert printed.exit_code == 0 and "add --out explain.png" in printed.stderr
    lines = printed.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [str(path) for path in photos]
    assert "\n".join(f"  {line}" for line in str(expected[0]).splitlines()) in printed.stdout
    found = json.loads(CliRunner().invoke(app, [*map(str, words), "--json"]).stdout)
    for one, row in zip(expected, found, strict=True):
        assert row["image"] == str(one.image)
        for label, content in zip(one.labels, row["labels"], strict=True):
            assert content["label"] == label.label and content["logit"] == pytest.approx(label.logit)
            total = content["own"] + sum(near["contribution"] for near in content["neighbours"]) + content["bias"]
            assert total == pytest.approx(content["logit"])


def test_chosen_labels_are_drawn_for_a_head_on_its_backbone(made, tmp_path):
    words = ("explain", made / "photos" / "a.JPG", "--checkpoint", made / "head.pt", "--weights", made / "weights.pth")
    told = run(*words, "--label", "sea", "--label", "é,x", "--out", tmp_path / "new" / "e.png")
    assert f"Wrote {tmp_path / 'new' / 'e.png'}" in told and (tmp_path / "new" / "e.png").stat().st_size > 10_000
    assert told.index("sea: probability") < told.index("é,x: probability") and "add --out" not in told


def test_broken_images_are_reported_and_the_others_are_explained(made, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    words = ("explain", tmp_path / "bad.jpg", "--checkpoint", made / "model.pt", "--out", tmp_path / "e.png")
    told = run(*words, made / "photos" / "a.JPG", code=1)
    assert "1 of 2 images could not be read" in told and "can be decoded" in told and (tmp_path / "e.png").exists()
    (tmp_path / "e.png").unlink()
    assert "1 of 1 images could not be read" in run(*words, code=1) and not (tmp_path / "e.png").exists()


@pytest.mark.filterwarnings("ignore:left out")
def test_refusals_are_one_line_each(made, tmp_path):
    photo, whole = made / "photos" / "a.JPG", ("--checkpoint", made / "model.pt")
    for words, message in [
        ((tmp_path / "no.jpg", *whole), "files and folders that exist, found nothing at"),
        ((photo, *whole, "--label", "bota"), "--label: expected the name of a label, found 'bota'"),
        ((photo, *whole, "--label", "dog, cat"), "such as 'dog; cat'"),
        ((photo, *whole, "--top-k", 0), "--top-k: expected an integer ≥ 1"),
        ((photo, *whole, "--out", tmp_path / "e.jpg"), "--out: expected a name that ends in .png"),
        ((photo, "--checkpoint", made / "head.pt"), "--weights: expected the weights that computed the features"),
        ((photo, "--checkpoint", made / "bare.pt"), "pass the --backbone and --weights that computed them"),
        ((photo, "--checkpoint", tmp_path), "--checkpoint: expected one checkpoint, found none in the folder"),
    ]:
        assert message in refused("explain", *words), words
    for k in range(21):
        (tmp_path / f"{k}.jpg").symlink_to(photo)
    assert "at most 20 images in a picture, found 21" in refused(
        "explain", tmp_path, *whole, "--out", tmp_path / "e.png"
    )


def test_predictions_in_a_file_name_the_command_that_explains_them(made, tmp_path):
    photo, weights = made / "photos" / "a.JPG", made / "weights.pth"
    words = ("predict", photo, "--checkpoint", made / "head.pt", "--weights", weights, "--out", tmp_path / "p.csv")
    told = run(*words)
    named = f"mlgcn explain IMAGE --checkpoint {made / 'head.pt'} --weights {weights} --out explain.png"
    assert named in told

"""``mlgcn predict`` as a person runs it: against the network called by hand, on files of every kind."""

import csv
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from mlgcn_pyg import MLGCN
from mlgcn_pyg.checkpoints import load_checkpoint, save_model
from mlgcn_pyg.cli.main import app
from mlgcn_pyg.prediction import find_images
from tests.cli.test_cli import refused, run
from tests.prediction.example import NAMES, SIZE, by_hand, make_backbone, make_models

# the folder of photographs has a text in it; test_photographs.py tests what is said of it
pytestmark = pytest.mark.filterwarnings("ignore:left out")


@pytest.fixture(scope="module")
def backbone():
    return make_backbone()


@pytest.fixture(scope="module")
def made(backbone, tmp_path_factory):
    return make_models(tmp_path_factory.mktemp("predict"), backbone)


def rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def predict(made, *words, code=0):
    return run("predict", made / "photos", "--checkpoint", made / "model.pt", *words, code=code)


def test_every_kind_of_photograph_equals_the_network_called_by_hand(made):
    found = rows(predict(made, "--format", "jsonl", "--top-k", 4, "--batch-size", 2, "--device", "cpu"))
    names = [Path(row["image"]).name for row in found]
    assert names == ["a.JPG", "cmyk.tiff", "palette.gif", "sixteen bits.png", "one pixel.png"]
    for row in found:
        expected = by_hand(made, row["image"])
        assert [NAMES.index(entry["label"]) for entry in row["labels"]] == expected.argsort(descending=True).tolist()
        for entry in row["labels"]:
            assert entry["probability"] == pytest.approx(float(expected[NAMES.index(entry["label"])]), abs=1e-4)


def test_thresholds_given_stored_and_by_default(made, tmp_path):
    expected = {str(path): by_hand(made, path) for path in find_images([made / "photos"])}

    def labels(*words, checkpoint="model.pt"):
        words = (made / "photos", "--checkpoint", made / checkpoint, "--format", "jsonl", "--device", "cpu", *words)
        return {row["image"]: {entry["label"] for entry in row["labels"]} for row in rows(run("predict", *words))}

    def above(cuts):
        return {path: {n for n, p, t in zip(NAMES, ps, cuts, strict=True) if p > t} for path, ps in expected.items()}

    assert labels() == above([0.5] * 4) and any(labels().values()) and not all(len(x) == 4 for x in labels().values())
    assert labels("--threshold", 0.8) == above([0.8] * 4)
    assert labels("--threshold", 0) == above([-1] * 4) and labels("--threshold", 1) == above([2] * 4)
    assert all(len(found) == 1 for found in labels("--top-k", 1).values())
    both = labels("--top-k", 1, "--threshold", 0.8)
    assert {path: len(found) for path, found in both.items()} == {
        path: min(1, len(found)) for path, found in above([0.8] * 4).items()
    }
    model, cuts = load_checkpoint(made / "model.pt"), [0.9, 0.1, 0.5, 0.3]
    own = made / "own.pt"
    save_model(own, model.model, image_size=SIZE, thresholds=torch.tensor(cuts, dtype=torch.float64).logit())
    assert labels(checkpoint="own.pt") == above(cuts) != above([0.5] * 4)
    told, words = f"Using the thresholds in {own}", ("predict", made / "photos")
    assert told in run(*words, "--checkpoint", own) and told not in run(*words, "--checkpoint", own, "--top-k", 1)
    assert labels("--threshold", 0.5, checkpoint="own.pt") == above([0.5] * 4)


@pytest.mark.parametrize("head", ["head.pt", "head.safetensors", "bare.pt"])
def test_a_head_with_its_backbone_predicts_as_the_whole_model(made, head):
    words = ("predict", made / "photos", "--format", "csv", "--top-k", 4)
    given = ("--backbone", "squeezenet1_1", "--image-size", SIZE) if head == "bare.pt" else ()
    whole = run(*words, "--checkpoint", made / "model.pt")
    assert run(*words, "--checkpoint", made / head, "--weights", made / "weights.pth", *given) == whole


def test_csv_and_table_say_the_same_as_json(made):
    found = rows(predict(made, "--format", "jsonl"))
    output = predict(made, "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(output[output.index("image,label") :])))
    for row in found:
        mine = [line for line in lines if line["image"] == row["image"]]
        told = [(entry["label"], str(entry["probability"])) for entry in row["labels"]] or [("", "")]
        assert [(line["label"], line["probability"]) for line in mine] == told
    table = predict(made)
    for row in found:
        line = next(line for line in table.splitlines() if line.startswith(row["image"]))
        assert all(f"{entry['label']} {entry['probability']:.3f}" in line for entry in row["labels"])


def test_columns_are_straight_where_letters_are_wide(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "犬と猫.jpg", "é.jpg"):
        os.link(made / "photos" / "a.JPG", tmp_path / name)
    output = run("predict", ".", "--checkpoint", made / "model.pt", "--threshold", 1)
    lines = [line for line in output.splitlines() if line.endswith("–")]
    wide = {"犬": 2, "と": 2, "猫": 2}
    assert len({sum(wide.get(letter, 1) for letter in line[: line.index("–")]) for line in lines}) == 1
    assert len(lines) == 3


def test_broken_images_are_reported_and_the_others_are_predicted(made, tmp_path):
    good, bad = made / "photos" / "a.JPG", tmp_path / "bad.jpg"
    bad.write_bytes(good.read_bytes()[:200])
    words = ("predict", bad, good, tmp_path, "--checkpoint", made / "model.pt")
    output = run(*words, "--format", "jsonl", code=1)
    first, second = rows(output)
    assert first["image"] == str(bad) and "an image that can be decoded" in first["error"] and "labels" not in first
    assert second["image"] == str(good) and "error" not in second
    assert "1 of 2 images could not be read" in output
    run(*words, "--format", "csv", "--out", tmp_path / "p.csv", code=1)
    lines = list(csv.DictReader((tmp_path / "p.csv").open(encoding="utf-8")))
    assert "can be decoded" in lines[0]["error"] and lines[0]["label"] == "" and lines[1]["error"] == ""
    assert f"{bad}  error: image: expected" in " ".join(run(*words, code=1).split("\n")).replace("   ", "  ")
    run("predict", bad, bad, "--checkpoint", made / "model.pt", "--batch-size", 1, code=1)


def test_a_file_is_whole_or_keeps_its_old_content(made, tmp_path, monkeypatch):
    out = tmp_path / "new" / "p.jsonl"
    told = predict(made, "--format", "jsonl", "--out", out, "--batch-size", 1)
    before = out.read_text(encoding="utf-8")
    assert f"Wrote {out}: 5 images" in told and len(rows(before)) == 5 and [*out.parent.iterdir()] == [out]
    from mlgcn_pyg.prediction import photographs

    real, calls = photographs.read_image, []

    def interrupted(path):
        calls.append(path)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(photographs, "read_image", interrupted)
    told = predict(made, "--format", "jsonl", "--out", out, "--batch-size", 1, code=130)
    (kept,) = out.parent.glob(".p.jsonl.*.partial")
    assert f"Interrupted after 3 of 5 images. Their predictions are in {kept} until the next run." in told
    assert out.read_text(encoding="utf-8") == before
    assert kept.read_text(encoding="utf-8") == "".join(before.splitlines(keepends=True)[:3])
    monkeypatch.undo()
    predict(made, "--format", "jsonl", "--out", out, "--batch-size", 1)
    assert out.read_text(encoding="utf-8") == before and [*out.parent.iterdir()] == [out]


def test_refusals_of_predict_are_one_line_each(made, tmp_path):
    photo, head, weights = made / "photos" / "a.JPG", made / "head.pt", made / "weights.pth"
    (tmp_path / "empty").mkdir()
    whole = ("--checkpoint", made / "model.pt")
    for words, message in [
        ((tmp_path / "no.jpg", *whole), "files and folders that exist, found nothing at"),
        ((tmp_path / "empty", *whole), "a folder that contains images"),
        ((photo, *whole, "--format", "xml"), "one of table, jsonl, csv"),
        ((photo, *whole, "--threshold", 1.5), "--threshold: expected a number in [0, 1]"),
        ((photo, *whole, "--top-k", 0), "--top-k: expected an integer ≥ 1"),
        ((photo, *whole, "--batch-size", 0), "--batch-size: expected"),
        ((photo, *whole, "--num-workers", -1), "--num-workers: expected"),
        ((photo, *whole, "--out", tmp_path), "--out: expected a file name"),
        ((photo, *whole, "--out", tmp_path / "p.json"), "--out: expected a name that ends in .txt, .jsonl or .csv"),
        ((photo, *whole, "--out", tmp_path / "p.csv", "--format", "jsonl"), "change the name, or give --format csv"),
        ((photo, *whole, "--backbone", "resnet18"), "the checkpoint contains its backbone"),
        ((photo, *whole, "--image-size", 32), "as in training, found [32, 32]; use the same for both"),
        ((photo, *whole, "--device", "tpu"), "--device: expected"),
        ((photo, "--checkpoint", photo), "plain tensors"),
        ((photo, "--checkpoint", made / "bare.pt"), "pass the --backbone and --weights that computed them"),
        ((photo, "--checkpoint", head), "--weights: expected the weights that computed the features of the head"),
        ((photo, "--checkpoint", head, "--weights", weights, "--image-size", 64), "image_size [48, 48]"),
        ((photo, "--checkpoint", head, "--weights", weights, "--pool", "avg"), "features with pool max"),
        ((photo, "--checkpoint", head, "--weights", weights, "--backbone", "resnet18"), "a state dict of torchvision"),
    ]:
        assert message in refused("predict", *words), words


def test_worker_processes_change_nothing(made):
    words = ("--format", "csv", "--top-k", 4, "--batch-size", 2)
    assert predict(made, *words, "--num-workers", 1) == predict(made, *words)


def test_the_program_writes_results_to_stdout_and_all_else_to_stderr(made, tmp_path):
    (tmp_path / "bad\n.jpg").write_bytes(b"no")
    words = [sys.executable, "-m", "mlgcn_pyg", "predict", made / "photos", tmp_path, "--checkpoint", made / "model.pt"]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 6 and "Traceback" not in done.stderr
    assert "1 of 6 images could not be read" in done.stderr and r"bad\n.jpg'" in done.stdout


def test_a_download_is_reported_on_stderr(made, monkeypatch, tmp_path):
    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    words = ["predict", made / "photos", "--checkpoint", made / "head.pt", "--weights", "DEFAULT", "--format", "jsonl"]
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 2 and "Downloading" in result.stderr and result.stdout == ""


def test_a_closed_pipe_gives_no_traceback(made, tmp_path):
    for k in range(200):
        os.link(made / "photos" / "a.JPG", tmp_path / f"{k}.jpg")
    words = [sys.executable, "-m", "mlgcn_pyg", "predict", tmp_path, "--checkpoint", made / "model.pt"]
    words += ["--format", "jsonl", "--batch-size", 1]
    program = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert json.loads(program.stdout.readline())["image"].endswith(".jpg")
    program.stdout.close()
    told = program.stderr.read()
    assert program.wait() == 1 and "Traceback" not in told and "Broken" not in told


def test_line_breaks_commas_and_quotes_in_names_keep_rows_whole(made, tmp_path):
    names = ["a\rb.png", "a\nb.png", 'a, "b".png', os.fsdecode(b"a\xffb.png")]
    for name in names:
        Image.new("RGB", (8, 8)).save(tmp_path / "photos.png")
        (tmp_path / "photos.png").rename(tmp_path / name)
    out = tmp_path / "p.csv"
    run("predict", tmp_path, "--checkpoint", made / "model.pt", "--format", "csv", "--top-k", 1, "--out", out)
    with out.open(encoding="utf-8", newline="") as file:
        found = [row["image"] for row in csv.DictReader(file)]
    expected = [str(tmp_path / name).encode("utf-8", "backslashreplace").decode() for name in sorted(names)]
    assert found == expected


def test_predictions_never_replace_what_is_no_file(made, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    line = refused("predict", made / "photos", "--checkpoint", made / "model.pt", "--out", tmp_path / "pipe")
    assert "--out: expected a file name" in line and "not a regular file" in line
    assert (tmp_path / "pipe").is_fifo() and len([*tmp_path.iterdir()]) == 1


def test_a_size_that_is_not_square_is_given_as_to_extract(made, tmp_path, backbone):
    head = load_checkpoint(made / "model.pt").head
    save_model(tmp_path / "wide.pt", MLGCN(backbone, head), image_size=(32, 64))
    words = ("predict", made / "photos", "--format", "csv", "--top-k", 4, "--image-size", "32x64", "--checkpoint")
    own = ("--backbone", backbone.name, "--weights", made / "weights.pth")
    assert run(*words, tmp_path / "wide.pt") == run(*words, made / "bare.pt", *own)
    assert "--image-size: expected a side such as 448" in refused(
        *words[:-2], "0x3", "--checkpoint", tmp_path / "wide.pt"
    )


@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="workers that do not inherit the patch")
def test_a_worker_that_is_killed_is_one_line(made, monkeypatch):
    monkeypatch.setattr(
        "mlgcn_pyg.prediction.photographs.read_image", lambda path: os.kill(os.getpid(), signal.SIGKILL)
    )
    words = ("predict", made / "photos", "--checkpoint", made / "model.pt", "--num-workers", 1)
    assert "reduce --num-workers" in refused(*words)

"""``mlgcn export`` and ``mlgcn thresholds`` as a person runs them."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score

from mlgcn_pyg import MLGCN
from mlgcn_pyg.checkpoints import load_checkpoint, save_head, save_model
from mlgcn_pyg.cli import thresholds as cli_thresholds
from mlgcn_pyg.evaluation import cross_fitted_f1, table1_row
from mlgcn_pyg.evaluation import thresholds as library_thresholds
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.nn import Backbone, LinearHead
from mlgcn_pyg.training import score
from tests.cli.test_cli import refused, run

NAMES = ["sea", "boat [small]", "dog"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    torch.manual_seed(5)
    root, backbone = tmp_path_factory.mktemp("export"), Backbone("squeezenet1_1")
    head = LinearHead(3, 512, NAMES)
    head.linear.weight.data *= 20
    save_model(root / "model.pt", MLGCN(backbone, head), image_size=64)
    features = {"backbone": backbone.name, "pool": "max", "weights_sha256": backbone.digest(), "image_size": [64, 64]}
    save_head(root / "head.pt", head, config={"features": features, "lr": 0.1})
    pixels = (torch.rand(50, 70, 3) * 255).byte().numpy()
    turned = Image.Exif()
    turned[0x0112] = 6  # as a telephone writes it that was held upright
    Image.fromarray(pixels).save(root / "photo.png", exif=turned)
    x = torch.randn(60, 512)
    logits = head(x).detach()
    targets = torch.where(torch.rand(60, 3) < 0.2, -1, (logits + torch.randn(60, 3) > 5).int())
    targets[:, 2] = targets[:, 2].clamp(max=0)
    FeatureCache.from_arrays(root / "val.h5", x, targets, NAMES, dtype="float32", meta=features)
    return root


@pytest.mark.parametrize("kind", ["head.pt", "model.pt"])
def test_thresholds_are_fitted_stored_and_used(made, tmp_path, kind):
    path = tmp_path / kind
    path.write_bytes((made / kind).read_bytes())
    output = run("thresholds", "--checkpoint", path, "--cache", made / "val.h5")
    loaded, cache = load_checkpoint(path), FeatureCache(made / "val.h5")
    logits = loaded.head(cache.load()[0][:, 0]).detach().double()
    for c in range(2):
        known = cache.targets[:, c] >= 0
        truth, decided = cache.targets[known, c], logits[known, c]
        best = max(f1_score(truth, decided > cut) for cut in [-99, *decided.tolist()])
        assert f1_score(truth, decided > loaded.thresholds[c]) == pytest.approx(best)
        assert best > f1_score(truth, decided > 0) + 1e-3
        assert f"{best:.3f}" in output
    assert loaded.thresholds[2] == 0 and "boat [small]" in output
    rows = [line.rstrip() for line in output.splitlines() if line.strip().startswith(("label ", *NAMES))]
    assert len({len(row) for row in rows}) == 1 and len(rows) == 4  # numbers end below each other
    before = load_checkpoint(made / kind)
    assert torch.equal(before.head.classifiers(), loaded.head.classifiers()) and before.config == loaded.config


@pytest.mark.parametrize("kind", ["head.pt", "model.pt"])
def test_thresholds_are_written_to_a_copy(made, tmp_path, kind):
    before, copy = (made / kind).read_bytes(), tmp_path / "copy.pt"
    words = ("thresholds", "--checkpoint", made / kind, "--cache", made / "val.h5", "--out")
    assert f"--checkpoint {copy}" in run(*words, copy).replace("\n", "")
    assert (made / kind).read_bytes() == before
    (tmp_path / kind).write_bytes(before)
    run("thresholds", "--checkpoint", tmp_path / kind, "--cache", made / "val.h5")
    stored, copied = load_checkpoint(tmp_path / kind), load_checkpoint(copy)
    assert torch.equal(copied.thresholds, stored.thresholds) and copied.config == stored.config
    assert torch.equal(copied.head.classifiers(), stored.head.classifiers())
    assert "--out: expected a different file than the input files" in refused(*words, made / kind)
    assert "--out: expected a name that ends in .pt" in refused(*words, tmp_path / "copy.txt")


def test_thresholds_refuse_what_does_not_belong_together(made, tmp_path):
    words, cache = ("thresholds", "--checkpoint", made / "head.pt"), FeatureCache(made / "val.h5")
    before = (made / "head.pt").read_bytes()
    x, targets = cache.load()[0], cache.targets
    FeatureCache.from_arrays(tmp_path / "names.h5", x, targets, ["sea", "ship", "dog"])
    assert "found 'ship' instead of 'boat [small]' as label 1" in refused(*words, "--cache", tmp_path / "names.h5")
    meta = cache.meta | {"image_size": [32, 32]}
    FeatureCache.from_arrays(tmp_path / "size.h5", x, targets, NAMES, meta=meta)
    assert "image_size [64, 64]" in refused(*words, "--cache", tmp_path / "size.h5")
    run("export", "--checkpoint", made / "head.pt", "--format", "linear", "--out", tmp_path / "l.safetensors")
    line = refused("thresholds", "--checkpoint", tmp_path / "l.safetensors", "--cache", made / "val.h5")
    assert "fit the thresholds of the original checkpoint and export it again" in line
    assert (made / "head.pt").read_bytes() == before


def test_a_linear_export_evaluates_and_says_where_it_is_from(made, tmp_path):
    for kind in ("head", "model"):
        out = tmp_path / f"{kind}.safetensors"
        assert "weight (3, 512)" in run(
            "export", "--checkpoint", made / f"{kind}.pt", "--format", "linear", "--out", out
        )
        told = load_checkpoint(out)
        assert told.provenance == load_checkpoint(made / f"{kind}.pt").provenance
        run("evaluate", "--checkpoint", out, "--cache", made / "val.h5", "--out", tmp_path / f"{kind}.json")
    run("evaluate", "--checkpoint", made / "head.pt", "--cache", made / "val.h5", "--out", tmp_path / "whole.json")
    rows = [next(iter(json.loads((tmp_path / f"{name}.json").read_text())["checkpoints"].values()))
            for name in ("head", "model", "whole")]  # fmt: skip
    assert rows[0] == rows[1] == rows[2]


def test_a_head_becomes_a_whole_model(made, tmp_path):
    from torchvision.models import get_model

    model, whole = load_checkpoint(made / "model.pt"), get_model("squeezenet1_1", weights=None)
    whole.features.load_state_dict(model.backbone.features.state_dict())
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    words = ("export", "--checkpoint", made / "head.pt", "--format", "model", "--out", tmp_path / "m.pt")
    assert "pass the --backbone and --weights that computed them" in refused(*words)
    run(*words, "--weights", tmp_path / "w.pth")
    made_of_head, images = load_checkpoint(tmp_path / "m.pt"), torch.randn(1, 3, 64, 64)
    assert torch.equal(made_of_head.model.eval()(images), model.model.eval()(images))
    assert made_of_head.image_size == (64, 64) and made_of_head.config["lr"] == 0.1


def test_the_onnx_file_is_served_with_onnxruntime_numpy_and_pillow(made, tmp_path):
    pytest.importorskip("onnxruntime")
    soft = load_checkpoint(made / "model.pt").model
    soft.head.linear.weight.data /= 40  # or every probability is 0 or 1, whatever the picture
    save_model(tmp_path / "soft.pt", soft, image_size=64)
    words = ("export", "--checkpoint", tmp_path / "soft.pt", "--out", tmp_path / "m.onnx", "--server")
    output = run(*words)
    assert "images (batch, 3, height, width)" in output
    assert f"Serve it: python {tmp_path / 'onnx_server.py'} {tmp_path / 'm.onnx'}   # pip install fastapi" in output
    program = [sys.executable, str(tmp_path / "onnx_network.py"), str(tmp_path / "m.onnx"), str(made / "photo.png")]
    served = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
    asked = ["predict", made / "photo.png", "--checkpoint", tmp_path / "soft.pt", "--top-k", 3, "--format", "csv"]
    csv = run(*asked, "--device", "cpu")
    predicted = [line.split(",")[1:3] for line in csv.splitlines() if line.startswith(str(made))]
    assert [line.rsplit(": ", 1)[0] for line in served] == [name for name, _ in predicted] and len(served) == 3
    for line, (_, probability) in zip(served, predicted, strict=True):
        assert float(line.rsplit(": ", 1)[1]) == pytest.approx(float(probability), abs=2e-3)
    (tmp_path / "onnx_page.html").write_text("<p>My page")
    other = f"--server: expected no other file of the name onnx_page.html, found {tmp_path / 'onnx_page.html'}; move it"
    assert other in refused(*words) and (tmp_path / "onnx_page.html").read_text() == "<p>My page"


def test_a_server_is_for_onnx_files_and_written_on_request(made, tmp_path):
    words = ("export", "--checkpoint", made / "model.pt", "--out")
    assert "--server: expected an ONNX file, found" in refused(*words, tmp_path / "m.pt2", "--server")
    output = run(*words, tmp_path / "m.onnx")
    assert "A web server for this file: the same command with --server" in output
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_torch_program_from_the_command_line(made, tmp_path):
    words = ("export", "--checkpoint", made / "model.pt", "--format", "torch", "--out", tmp_path / "m.pt2")
    shown = run(*words)
    least = re.search(r"images \(batch, 3, height, width\) of at least (\d+) pixels a side → logits", shown)
    assert least is not None or torch.__version__.startswith("2.11.")  # its programs have fixed sides
    program = torch.export.load(tmp_path / "m.pt2").module()
    for side in (int(least[1]) if least else 64, 64):  # the smallest side depends on the version of torch
        images = torch.randn(3, 3, side, side)
        assert torch.allclose(program(images), load_checkpoint(made / "model.pt").model.eval()(images), atol=1e-4)


def test_refusals_of_export(made, tmp_path):
    whole = ("export", "--checkpoint", made / "model.pt")
    assert "one of linear, onnx, torch, model" in refused(*whole, "--format", "tflite", "--out", tmp_path / "x.pt")
    assert "a file name, found the folder" in refused(*whole, "--format", "linear", "--out", tmp_path)
    below_a_file = tmp_path.parent / "file"
    below_a_file.write_text("")
    for name in ("m.onnx", "m.pt2", "m.pt", "m.safetensors"):
        found = f"--out: expected a folder that can be written, found {below_a_file} ("
        assert found in refused(*whole, "--out", below_a_file / name)
    assert "contains its backbone" in refused(*whole, "--format", "torch", "--out", tmp_path / "x.pt2", "--pool", "avg")
    assert not list(tmp_path.iterdir())


def test_an_export_is_known_by_its_name_and_never_replaces_what_was_trained(made, tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes((made / "model.pt").read_bytes())
    (tmp_path / "link.safetensors").symlink_to("m.pt")
    words = ("export", "--checkpoint", path, "--out")
    replaced = f"a different file than the input files, found {path}; choose a different name, since --checkpoint"
    assert replaced in refused(*words, path, "--format", "model")
    assert "since --checkpoint reads" in refused(*words, tmp_path / "link.safetensors", "--format", "linear")
    assert "ends in .safetensors for --format linear" in refused(*words, tmp_path / "l.pt", "--format", "linear")
    assert "change the name, or give --format linear" in refused(*words, tmp_path / "l.safetensors", "--format", "onnx")
    assert "ends in .safetensors, .onnx, .pt2 or .pt, found" in refused(*words, tmp_path / "l")
    assert path.read_bytes() == (made / "model.pt").read_bytes() and len([*tmp_path.iterdir()]) == 2


def test_labels_with_few_positives_are_named_and_keep_a_half(made, tmp_path):
    path = tmp_path / "h.pt"
    path.write_bytes((made / "head.pt").read_bytes())
    words = ("thresholds", "--checkpoint", path, "--cache", made / "val.h5")
    assert "Warning: fewer than 3 images of val.h5 have dog (0); their threshold is 0.5\n" in run(*words)
    positives = (FeatureCache(made / "val.h5").targets == 1).sum(dim=0).tolist()
    assert positives[1] > positives[0] >= 3
    output = run(*words, "--min-positives", positives[1])
    few = f"sea ({positives[0]}), dog (0)"
    assert f"Warning: fewer than {positives[1]} images of val.h5 have {few}; their threshold is 0.5\n" in output
    fitted = load_checkpoint(path).thresholds
    assert fitted[1] != 0 and fitted[0] == 0 and fitted[2] == 0
    assert "Warning: no image of val.h5 has dog (0)" in run(*words, "--min-positives", 1)
    assert "--min-positives: expected an integer ≥ 1, found 0" in refused(*words, "--min-positives", 0)
    assert cli_thresholds.MIN_POSITIVES == library_thresholds.MIN_POSITIVES


def test_the_cross_fitted_f1_is_beside_that_of_the_fitted_images(made, tmp_path):
    path, cache = tmp_path / "h.pt", FeatureCache(made / "val.h5")
    path.write_bytes((made / "head.pt").read_bytes())
    output = run("thresholds", "--checkpoint", path, "--cache", made / "val.h5")
    expected = cross_fitted_f1(*score(load_checkpoint(path).head, cache))
    for name, value in zip(NAMES[:2], expected, strict=False):
        row = next(line for line in output.splitlines() if line.strip().startswith(name))
        assert row.split()[-1] == f"{value:.3f}" and float(row.split()[-2]) >= float(row.split()[-1])
    row = next(line for line in output.splitlines() if line.strip().startswith("dog"))
    assert row.split()[-3:] == ["–", "–", "–"] and expected[2].isnan()
    assert f"{expected[:2].mean():.3f} cross-fitted" in output


def test_evaluate_decides_by_the_thresholds_of_the_checkpoint(made, tmp_path):
    path, cache = tmp_path / "h.pt", made / "val.h5"
    path.write_bytes((made / "head.pt").read_bytes())
    words = ("evaluate", "--checkpoint", path, "--cache", cache)
    assert f"--thresholds: expected checkpoints with thresholds, found none in {path}" in refused(
        *words, "--thresholds"
    )
    run("thresholds", "--checkpoint", path, "--cache", cache)
    plain, fitted = (json.loads(run(*words, *more, "--json")) for more in ((), ("--thresholds",)))
    assert plain["thresholds"] is False and fitted["thresholds"] is True
    loaded = load_checkpoint(path)
    logits, targets = score(loaded.head, FeatureCache(cache))
    for content, cuts in ((plain, None), (fitted, loaded.thresholds)):
        (row,) = content["checkpoints"].values()
        assert row == table1_row(logits, targets, NAMES, thresholds=cuts)
    assert plain["checkpoints"][str(path)]["all"]["CF1"] != fitted["checkpoints"][str(path)]["all"]["CF1"]
    assert plain["checkpoints"][str(path)]["AP"] == fitted["checkpoints"][str(path)]["AP"]
    assert "fitted thresholds" in run(*words, "--thresholds")


def test_a_terminal_of_few_letters_gets_the_numbers_all_the_same(made):
    words = [
        sys.executable,
        "-m",
        "mlgcn_pyg",
        "evaluate",
        "--checkpoint",
        made / "head.pt",
        "--cache",
        made / "val.h5",
    ]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "mAP" in done.stdout and r"CP\xb3" in done.stdout, done.stderr

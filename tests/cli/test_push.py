"""``mlgcn push``, and folders of models as checkpoints of the other commands."""

import json
import os
import subprocess
import sys

import pytest
import torch

from mlgcn_pyg.checkpoints import load_checkpoint, save_checkpoint
from mlgcn_pyg.files.runs import checkpoint_file
from mlgcn_pyg.hub import HubModel
from tests.cli.test_cli import refused, run
from tests.hub.hub_server import TOKEN, serving
from tests.hub.runs import make_caches, make_run, network, photo

CARD = ("--license", "mit", "--dataset-name", "photos")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("push")
    make_caches(folder)
    make_run(folder)
    run(
        "push",
        "--checkpoint",
        folder / "run",
        "--out",
        folder / "saved",
        "--license",
        "mit",
        "--dataset-name",
        "photos",
    )
    save_checkpoint(folder / "net.pt", network())
    run("push", "--checkpoint", folder / "net.pt", "--out", folder / "net")
    photo(folder / "photo.jpg")
    return folder


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_card_is_that_of_the_run(made):
    card = (made / "saved" / "README.md").read_text()
    assert "license: mit" in card and "photos" in card and "# saved" in card
    head = load_checkpoint(checkpoint_file(made / "run")).head
    x = torch.randn(3, head.num_features)
    assert torch.equal(load_checkpoint(made / "saved").head(x), head(x))


def test_every_command_with_a_checkpoint_takes_the_folder(made, tmp_path):
    saved, net, test = made / "saved", made / "net", made / "test.h5"
    metrics = json.loads(
        run("evaluate", "--checkpoint", saved, "--checkpoint", made / "run", "--cache", test, "--json")
    )
    one, other = metrics["checkpoints"].values()
    assert one == other and str(saved) in metrics["checkpoints"]
    run("retrieve", "--cache", test, "--checkpoint", saved)
    run("classifiers", "--checkpoint", saved, "--permutations", 9)
    run("calibrate", "--checkpoint", saved, "--cache", made / "val.h5", "--out", tmp_path / "c.pt")
    run("export", "--checkpoint", saved, "--out", tmp_path / "h.safetensors")
    run("export", "--checkpoint", net, "--out", tmp_path / "n.pt", "--format", "model")
    assert "photo.jpg" in run("predict", made / "photo.jpg", "--checkpoint", net)
    assert "photo.jpg" in run("explain", made / "photo.jpg", "--checkpoint", net)
    run(
        "push",
        "--checkpoint",
        saved,
        "--out",
        tmp_path / "again" / "saved",
        "--license",
        "mit",
        "--dataset-name",
        "photos",
    )
    assert contents(tmp_path / "again" / "saved") == contents(saved)


def test_thresholds_are_written_into_the_folder(made, tmp_path):
    run("push", "--checkpoint", made / "run", "--out", tmp_path / "m")
    run("thresholds", "--checkpoint", tmp_path / "m", "--cache", made / "val.h5")
    cuts = load_checkpoint(tmp_path / "m").thresholds
    assert cuts is not None
    run("evaluate", "--checkpoint", tmp_path / "m", "--cache", made / "test.h5", "--thresholds", "--replicates", 0)
    run("push", "--checkpoint", tmp_path / "m", "--out", tmp_path / "n")
    assert torch.equal(load_checkpoint(tmp_path / "n").thresholds, cuts)
    assert "threshold" in (tmp_path / "n" / "README.md").read_text()


def test_an_existing_folder(made, tmp_path):
    out = tmp_path / "m"
    out.mkdir()
    run("push", "--checkpoint", made / "net.pt", "--out", out)
    before = contents(out)
    error = refused("push", "--checkpoint", made / "run", "--out", out)
    assert "--out: expected a new or empty folder" in error and "--overwrite" in error and contents(out) == before
    run("push", "--checkpoint", made / "run", "--out", out, "--overwrite")
    assert "metrics.json" in contents(out)
    (out / "holiday.jpg").touch()
    assert "holiday.jpg" in refused("push", "--checkpoint", made / "net.pt", "--out", out, "--overwrite")
    assert "different file than the input" in refused(
        "push", "--checkpoint", made / "net", "--out", made / "net", "--overwrite"
    )
    out = made / "net" / "model.safetensors"
    error = refused("export", "--checkpoint", made / "net", "--format", "linear", "--out", out)
    assert "different file than the input" in error and sorted(contents(made / "net")) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip


def test_arguments(made, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    checkpoint = ("push", "--checkpoint", made / "net.pt")
    assert "--repo: expected one of the two results, found none" in refused(*checkpoint)
    assert "found both" in refused(*checkpoint, "--repo", "me/x", "--out", tmp_path / "m")
    assert "--private: expected no value with --out" in refused(*checkpoint, "--out", tmp_path / "m", "--private")
    assert "--repo: expected a repository" in refused(*checkpoint, "--repo", "a/b/c")
    for command in ("push --out m", "evaluate --cache a.h5", "predict photo.jpg", "thresholds --cache a.h5"):
        name, *words = command.replace("a.h5", str(made / "val.h5")).replace("photo", str(made / "photo")).split()
        words = [str(tmp_path / "m") if word == "m" else word for word in words]
        error = refused(name, *words, "--checkpoint", "hub:mlgcn-pyg-tests/absent")
        assert error.startswith("mlgcn: error: --checkpoint: expected ") and error.count("\n") <= 1
    assert not (tmp_path / "m").exists()
    (made / "run" / "metrics.json").rename(tmp_path / "kept")
    (made / "run" / "metrics.json").write_text("{}")
    assert "--checkpoint: expected a metrics.json" in refused(
        "push", "--checkpoint", made / "run", "--out", tmp_path / "m"
    )
    (tmp_path / "kept").rename(made / "run" / "metrics.json")


def test_upload_and_use_over_loopback(made, tmp_path):
    with serving() as hub:
        settings = os.environ | {
            "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0",
        }  # fmt: skip

        def mlgcn(*words, **more):
            arguments = [sys.executable, "-m", "mlgcn_pyg", *map(str, words)]
            return subprocess.run(
                arguments, env=settings | more, capture_output=True, text=True, timeout=300, check=False
            )

        done = mlgcn("push", "--checkpoint", made / "saved", "--repo", "me/x", "--private")
        assert done.returncode == 0, done.stderr
        assert "mlgcn predict PHOTOS --checkpoint hub:me/x" in done.stdout and hub.private == {"me/x": True}
        done = mlgcn("evaluate", "--checkpoint", "hub:me/x", "--cache", made / "test.h5", "--json", "--replicates", 0)
        assert done.returncode == 0, done.stderr
        local = json.loads(run("evaluate", "--checkpoint", made / "run", "--cache", made / "test.h5", "--json"))
        assert json.loads(done.stdout)["checkpoints"]["hub:me/x"] == next(iter(local["checkpoints"].values()))
    # the server is gone: the cache still has the model
    done = mlgcn("push", "--checkpoint", "hub:me/x", "--out", tmp_path / "pulled", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "pulled")["model.safetensors"] == contents(made / "saved")["model.safetensors"]
    assert HubModel.from_pretrained(tmp_path / "pulled").results is not None

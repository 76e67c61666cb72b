"""``mlgcn push``, and folders of models as checkpoints of the other commands."""

import json

import pytest
import torch
from huggingface_hub import ModelCard

from mlgcn_pyg.checkpoints import load_checkpoint, save_checkpoint
from mlgcn_pyg.files.runs import checkpoint_file
from mlgcn_pyg.hub import HubModel
from tests.cli.test_cli import refused, run
from tests.hub.hub_server import connect, disconnect, serving
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


def test_an_edited_card_is_uploaded(made, tmp_path, monkeypatch):
    out = tmp_path / "m"
    output = run("push", "--checkpoint", made / "run", "--out", out, *CARD)
    command = f"mlgcn predict PHOTOS --checkpoint {out} --backbone BACKBONE --weights WEIGHTS"
    assert command in output  # the features record no backbone
    kept = (out / "README.md").read_text()
    (out / "README.md").write_text(kept + "\nTaken in 2020.\n")
    assert "--license: expected no value" in refused("push", "--checkpoint", out, "--repo", "me/x", "--license", "gpl")
    error = refused("push", "--checkpoint", out, "--out", tmp_path / "n", "--dataset-name", "other")
    assert "--dataset-name: expected no value" in error and not (tmp_path / "n").exists()
    with serving() as hub:
        connect(monkeypatch, hub, tmp_path / "cache")
        run("push", "--checkpoint", out, "--repo", "me/x")
        uploaded = hub.commits["me/x"][-1][1]["README.md"].decode()
        assert "Taken in 2020." in uploaded and "license: mit" in uploaded and "photos" in uploaded
        assert ModelCard(uploaded).data.model_name == "x"
        (out / "README.md").write_text(kept)  # unedited: made anew, with what the first command was given
        run("push", "--checkpoint", out, "--repo", "me/y")
        uploaded = hub.commits["me/y"][-1][1]["README.md"].decode()
        assert "license: mit" in uploaded and "photos" in uploaded and "hub:me/y" in uploaded
        run("push", "--checkpoint", "hub:me/x", "--out", tmp_path / "pulled")
    assert "Taken in 2020." in (tmp_path / "pulled" / "README.md").read_text()
    run("push", "--checkpoint", tmp_path / "pulled", "--out", tmp_path / "a: [b")
    assert ModelCard((tmp_path / "a: [b" / "README.md").read_text()).data.model_name == "a: [b"


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
    disconnect(monkeypatch)
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


def test_upload_and_use_over_loopback(made, tmp_path, monkeypatch):
    scored = ("--cache", made / "test.h5", "--json", "--replicates", 0)
    with serving() as hub:
        connect(monkeypatch, hub, tmp_path / "cache")
        output = run("push", "--checkpoint", made / "saved", "--repo", "me/x", "--private")
        assert "mlgcn predict PHOTOS --checkpoint hub:me/x" in output and hub.private == {"me/x": True}
        local = json.loads(run("evaluate", "--checkpoint", made / "run", *scored))
        pulled = json.loads(run("evaluate", "--checkpoint", "hub:me/x", *scored))
        assert pulled["checkpoints"] == {"hub:me/x": next(iter(local["checkpoints"].values()))}
        monkeypatch.setenv("HF_TOKEN", "wrong")
        error = refused("push", "--checkpoint", made / "saved", "--repo", "me/x")
        assert error.splitlines()[-1].startswith("mlgcn: error: --repo: expected a repository on the hub")
        assert len(hub.commits["me/x"]) == 1
    disconnect(monkeypatch)
    run("push", "--checkpoint", "hub:me/x", "--out", tmp_path / "pulled")
    for name in ("config.json", "model.safetensors", "metrics.json"):
        assert contents(tmp_path / "pulled")[name] == contents(made / "saved")[name]
    assert HubModel.from_pretrained(tmp_path / "pulled").results is not None

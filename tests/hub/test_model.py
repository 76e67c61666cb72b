"""Models that are saved, pushed and loaded. The hub is a server over loopback, which huggingface_hub talks to."""

import json
import os
import subprocess
import sys

import pytest
import torch

import mlgcn_pyg
from mlgcn_pyg.checkpoints import Checkpoint, load_checkpoint
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.hub import HubModel, RunResults, model_card
from mlgcn_pyg.nn import LinearHead
from tests.hub.hub_server import TOKEN, disconnect, serving
from tests.hub.runs import make_caches, make_run, network, photo

FILES = ["README.md", "config.json", "model.safetensors"]


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_caches(folder)
    return make_run(folder)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_head_in_one_line(tmp_path):
    head = LinearHead(2, 4, ["cat", "dog"])
    assert HubModel(head).save_pretrained(tmp_path / "pets") is None and names(tmp_path / "pets") == FILES
    found, features = HubModel.from_pretrained(tmp_path / "pets"), torch.randn(3, 4)
    assert torch.equal(found.head(features), head(features)) and found.results is None
    found.save_pretrained(tmp_path / "again")
    for name in FILES[1:]:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "pets" / name).read_bytes()


def test_a_run_keeps_its_results_through_folders(heads, tmp_path):
    HubModel.from_checkpoint(heads).save_pretrained(tmp_path / "a")
    assert names(tmp_path / "a") == ["README.md", "config.json", "metrics.json", "model.safetensors"]
    HubModel.from_pretrained(str(tmp_path / "a")).save_pretrained(tmp_path / "b" / "a")
    for name in names(tmp_path / "a"):
        assert (tmp_path / "b" / "a" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_a_network_predicts_the_same(tmp_path):
    whole, image = network(), photo(tmp_path / "photo.png")
    HubModel(whole).save_pretrained(tmp_path / "net")
    predictor = mlgcn_pyg.load(tmp_path / "net")
    expected = mlgcn_pyg.prediction.Predictor(whole).logits(image)
    assert torch.equal(predictor.logits(image), expected)
    assert torch.equal(predictor.checkpoint.thresholds, whole.thresholds)


def test_an_existing_card_is_kept_and_results_of_another_model_are_not(heads, tmp_path):
    HubModel.from_checkpoint(heads).save_pretrained(tmp_path)
    (tmp_path / "README.md").write_text("mine")
    HubModel(LinearHead(2, 4)).save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine" and names(tmp_path) == FILES
    assert load_checkpoint(tmp_path).head.num_features == 4


def test_a_model_that_cannot_be_saved_leaves_the_folder_as_it_was(tmp_path):
    HubModel(LinearHead(2, 4)).save_pretrained(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    for broken in (Checkpoint(LinearHead(2, 4), config={"a": {1}}), Checkpoint(network().head, network().backbone)):
        with pytest.raises(InputError, match="^checkpoint: "):
            HubModel(broken).save_pretrained(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_arguments_are_checked(tmp_path, monkeypatch):
    disconnect(monkeypatch)
    for wrong in (None, 1, "text", torch.nn.Linear(2, 3)):
        with pytest.raises(InputError, match="^checkpoint: "):
            HubModel(wrong)
    for wrong in (None, 1, "a\0b"):
        with pytest.raises(InputError, match="^pretrained_model_name_or_path: |^path: "):
            HubModel.from_pretrained(wrong)
    for name in ("license", "dataset_name"):
        with pytest.raises(InputError, match=f"^{name}: expected a string"):
            HubModel(LinearHead(2, 3), **{name: 5})
    with pytest.raises(InputError, match="^checkpoint: expected a Checkpoint"):
        model_card(LinearHead(2, 3))
    for content in (None, {}, {"setup": 1}):
        with pytest.raises(InputError, match="^content: expected a metrics.json"):
            RunResults("linear", content)
    with pytest.raises(InputError, match="^config: expected None"):
        HubModel(LinearHead(2, 3)).save_pretrained(tmp_path / "x", config={})
    with pytest.raises(InputError, match="one checkpoint, found none in the folder"):
        HubModel.from_pretrained(tmp_path)
    for wrong in ("a/b/c", "--", ""):
        with pytest.raises(InputError, match="^repo_id: expected a repository"):
            HubModel(LinearHead(2, 3)).push_to_hub(wrong)


def test_the_checkpoint_is_not_copied():
    head = LinearHead(2, 3)
    model = HubModel(Checkpoint(head))
    assert model.head is head and not model._hub_mixin_config


PROGRAM = """
import json, sys
import torch
import mlgcn_pyg
from mlgcn_pyg.checkpoints import load_checkpoint
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.runs import checkpoint_file
from mlgcn_pyg.hub import HubModel

def error(call, *arguments, **settings):
    try:
        call(*arguments, **settings)
    except InputError as error:
        return str(error)

folder, net, photo = sys.argv[1:]
head = load_checkpoint(checkpoint_file(folder)).head
x = torch.randn(5, head.num_features, generator=torch.Generator().manual_seed(0))
found = {"head": HubModel.from_checkpoint(folder).push_to_hub("me/heads", private=True)}
first = found["head"].rpartition("/")[2]
pulled = HubModel.from_pretrained("me/heads")
found["equal"] = torch.equal(pulled.head(x), head(x))
found["results"] = pulled.results.kind
HubModel(load_checkpoint(net)).push_to_hub("hub:me/net")
found["logits"] = torch.equal(mlgcn_pyg.load("hub:me/net").logits(photo), mlgcn_pyg.load(net).logits(photo))
HubModel(load_checkpoint(net)).push_to_hub("me/heads")  # replaces the head
found["last"] = mlgcn_pyg.load("hub:me/heads").head.num_features
found["first"] = HubModel.from_pretrained("hub:me/heads@" + first).head.num_features
found["revision"] = HubModel.from_pretrained("me/heads", revision=first).head.num_features
found["errors"] = {
    "absent": error(mlgcn_pyg.load, "hub:me/absent"),
    "no revision": error(mlgcn_pyg.load, "hub:me/net@" + 40 * "0"),
    "foreign": error(mlgcn_pyg.load, "hub:other/bert"),
    "no weights": error(mlgcn_pyg.load, "hub:other/half"),
    "no token": error(HubModel.from_checkpoint(folder).push_to_hub, "me/heads", token="wrong"),
}
print(json.dumps(found))
"""


def test_push_and_pull_over_loopback(heads, tmp_path):
    HubModel(network()).save_pretrained(tmp_path / "net")
    with serving() as hub:
        hub.commit("other/bert", {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"x" * 100})
        hub.commit("other/half", {"config.json": (tmp_path / "net" / "config.json").read_bytes()})
        settings = {
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": TOKEN,
            "HF_HUB_OFFLINE": "0",
        }
        arguments = [sys.executable, "-c", PROGRAM, heads, tmp_path / "net", photo(tmp_path / "photo.png")]
        done = subprocess.run(
            arguments, env=os.environ | settings, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["equal"] and found["logits"] and hub.private == {"me/heads": True, "me/net": False}
        assert found["results"] == json.loads((heads / "metrics.json").read_text())["recommendation"]["head"]
        assert found["last"] == 512 != found["first"] == found["revision"]
        first, last = hub.commits["me/heads"]
        assert sorted(first[1]) == ["README.md", "config.json", "metrics.json", "model.safetensors"]
        assert b'HubModel.from_pretrained("hub:me/heads")' in first[1]["README.md"]
        assert not any("bert" in line and "safetensors" in line for line in hub.requests)  # not downloaded
    errors = found["errors"]
    assert "no such repository" in errors["absent"] and "no such revision" in errors["no revision"]
    assert "config.json of other software" in errors["foreign"] and "no model of mlgcn_pyg" in errors["no weights"]
    assert errors["no token"].startswith("repo_id: expected a repository on the hub that can be written")
    assert not any("\n" in error for error in errors.values())

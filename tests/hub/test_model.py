"""Models that are saved, pushed and loaded. The hub is a server over loopback, which huggingface_hub talks to."""

import json
import time
import warnings
from pathlib import Path

import pytest
import torch

import mlgcn_pyg
from mlgcn_pyg import LabelGraph
from mlgcn_pyg.checkpoints import Checkpoint, load_checkpoint
from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.files.runs import checkpoint_file
from mlgcn_pyg.hub import HubModel, RunResults, model_card
from mlgcn_pyg.nn import LabelGNNHead, LinearHead
from tests.hub.hub_server import connect, disconnect, serving
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
    with pytest.warns(InputWarning, match=r"README\.md was edited, so it is kept"):
        HubModel(LinearHead(2, 4)).save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine" and names(tmp_path) == FILES
    assert load_checkpoint(tmp_path).head.num_features == 4


def card_of(folder) -> str:
    return (folder / "README.md").read_text()


def test_a_card_that_nobody_edited_is_replaced(tmp_path):
    HubModel(LinearHead(2, 4, ["cat", "dog"]), license="mit", dataset_name="pets -->").save_pretrained(tmp_path)
    assert "license: mit" in card_of(tmp_path)
    HubModel.from_pretrained(tmp_path).save_pretrained(tmp_path)  # keeps its licence
    assert "license: mit" in card_of(tmp_path) and HubModel.from_pretrained(tmp_path).dataset_name == "pets -->"
    (tmp_path / "README.md").write_bytes(card_of(tmp_path).replace("\n", "\r\n").encode())  # no edit, as by git
    HubModel(LinearHead(2, 4, ["car", "bus"]), license="apache-2.0").save_pretrained(tmp_path)
    assert "license: apache-2.0" in card_of(tmp_path) and "labels are car, bus" in card_of(tmp_path)


def test_an_edited_card_goes_with_its_model(tmp_path):
    HubModel(LinearHead(2, 4, ["cat", "dog"]), license="mit").save_pretrained(tmp_path / "pets")
    edited = card_of(tmp_path / "pets").replace("## Limits\n", "## Limits\n\n* Only pets; pets are small.\n")
    (tmp_path / "pets" / "README.md").write_text(edited)
    model = HubModel.from_pretrained(tmp_path / "pets")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save_pretrained(tmp_path / "pets")
        model.save_pretrained(tmp_path / "new")
    assert card_of(tmp_path / "pets") == edited
    found = card_of(tmp_path / "new")
    assert "* Only pets; pets are small." in found and "# new\n" in found and 'from_pretrained("new")' in found
    assert '"pets"' not in found and "--checkpoint pets" not in found  # its programs load the new folder
    with pytest.raises(InputError, match="^license: expected no value, since the model has a card that was edited"):
        HubModel.from_checkpoint(tmp_path / "new", license="mit")
    (tmp_path / "new" / "README.md").write_text("---\ntags: [a\n---\n")  # read, but not published
    with pytest.raises(InputError, match="^card: expected a card with valid metadata"):
        HubModel.from_pretrained(tmp_path / "new").push_to_hub("me/new")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * (5 << 20)], ids=["no text", "large"])
def test_a_card_that_cannot_be_read(tmp_path, content):
    HubModel(LinearHead(2, 4)).save_pretrained(tmp_path)
    (tmp_path / "README.md").write_bytes(content)
    assert "path: expected a model card" in error_of(HubModel.from_pretrained, tmp_path)
    with pytest.warns(InputWarning):
        HubModel(LinearHead(2, 4)).save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_bytes() == content


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
        for wrong in ("", "mit\ntags: x", "a\x1b[1m"):
            with pytest.raises(InputError, match=f"^{name}: expected text on one line"):
                HubModel(LinearHead(2, 3), **{name: wrong})
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


def test_repr():
    assert repr(HubModel(LinearHead(2, 3))) == "HubModel(LinearHead, 2 labels, 3 features)"
    assert repr(HubModel(network())) == "HubModel(LinearHead, 2 labels, 512 features, backbone squeezenet1_1)"
    head = LabelGNNHead(LabelGraph.from_targets([[1, 0], [0, 1]]), 4, "sage")
    assert repr(HubModel(head)) == "HubModel(LabelGNNHead sage, 2 labels, 4 features)"


def test_the_checkpoint_is_not_copied():
    head = LinearHead(2, 3)
    model = HubModel(Checkpoint(head))
    assert model.head is head and not model._hub_mixin_config


def error_of(call, *arguments, **settings) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["./x", "../x", "/x", "~x", "~/x", "x", "a/b/c", "C:/x", Path("a/b"), "a/b/"])
def test_paths_are_no_names_on_the_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)  # is not called
    error = error_of(HubModel.from_pretrained, name)
    assert error.startswith("pretrained_model_name_or_path: ") and f"found no folder {name}" in error


def test_the_address_of_a_page():
    error = error_of(HubModel.from_pretrained, "https://huggingface.co/me/pets/tree/main?x=1")
    assert error.endswith('use "hub:me/pets"')


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Connects huggingface_hub with a port that nothing listens on."""
    with serving() as server:
        connect(monkeypatch, server, tmp_path / "cache")
    return server


def test_without_a_network(no_network, tmp_path, capfd, caplog):
    start = time.monotonic()
    expected = "not in the local cache, and the hub cannot be reached: "
    assert expected in error_of(HubModel.from_pretrained, "me/pets")
    error = error_of(mlgcn_pyg.load, "hub:me/pets")
    assert expected in error and error.endswith("; check the network")
    assert "hub cannot be reached" in error_of(HubModel.from_pretrained, "me/pets", force_download=True)
    error = error_of(HubModel(LinearHead(2, 4)).push_to_hub, "me/pets")
    assert "hub cannot be reached" in error and error.endswith("; check the network") and "log in" not in error
    assert time.monotonic() - start < 5 and capfd.readouterr() == ("", "") and not caplog.records


def test_the_cache_is_used_without_a_network(tmp_path, monkeypatch):
    with serving() as server:
        connect(monkeypatch, server, tmp_path / "cache")
        HubModel(LinearHead(2, 4), license="mit").push_to_hub("me/pets")
        HubModel.from_pretrained("me/pets")
    assert HubModel.from_pretrained("me/pets").license == "mit"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving() as server:
        connect(monkeypatch, server, tmp_path / "cache")
        yield server


def test_push_and_pull_over_loopback(heads, tmp_path, hub):
    head = load_checkpoint(checkpoint_file(heads)).head
    features, image = torch.randn(5, head.num_features), photo(tmp_path / "photo.png")
    url = HubModel.from_checkpoint(heads).push_to_hub("me/heads", private=True)
    pulled = HubModel.from_pretrained("me/heads")
    assert torch.equal(pulled.head(features), head(features))
    assert pulled.results.kind == json.loads((heads / "metrics.json").read_text())["recommendation"]["head"]
    HubModel(network()).push_to_hub("hub:me/net")
    assert hub.private == {"me/heads": True, "me/net": False}
    expected = mlgcn_pyg.prediction.Predictor(network()).logits(image)
    assert torch.equal(mlgcn_pyg.load("hub:me/net").logits(image), expected)
    HubModel(network()).push_to_hub("me/heads")  # replaces the head
    first, _ = hub.commits["me/heads"]
    assert url.endswith(first[0]) and mlgcn_pyg.load("hub:me/heads").head.num_features == 512 != head.num_features
    for name, revision in ((f"hub:me/heads@{first[0]}", None), ("me/heads", first[0])):
        assert torch.equal(HubModel.from_pretrained(name, revision=revision).head(features), head(features))
    assert sorted(first[1]) == ["README.md", "config.json", "metrics.json", "model.safetensors"]
    assert b'HubModel.from_pretrained("hub:me/heads")' in first[1]["README.md"]


def test_the_hub_refuses(heads, tmp_path, hub):
    HubModel(network()).save_pretrained(tmp_path / "net")
    hub.commit("other/bert", {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"x" * 100})
    hub.commit("other/half", {"config.json": (tmp_path / "net" / "config.json").read_bytes()})
    assert "no such repository" in error_of(mlgcn_pyg.load, "hub:me/absent")
    assert "no such revision" in error_of(mlgcn_pyg.load, "hub:other/half@" + 40 * "0")
    assert "config.json of other software" in error_of(mlgcn_pyg.load, "hub:other/bert")
    assert not any("bert" in line and "safetensors" in line for line in hub.requests)  # not downloaded
    assert "no model of mlgcn_pyg" in error_of(mlgcn_pyg.load, "hub:other/half")
    error = error_of(HubModel.from_checkpoint(heads).push_to_hub, "me/heads", token="wrong")
    assert error.startswith("repo_id: expected a repository on the hub that can be written")
    assert "; log in with `hf auth login`" in error and "hf auth login" not in error_of(
        HubModel.from_checkpoint(heads).push_to_hub, "a/b/c"
    )

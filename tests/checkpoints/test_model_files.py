"""Whole models on disk give the same logits, and other files are refused."""

import pytest
import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import (
    Checkpoint,
    load_checkpoint,
    load_head,
    load_model,
    save_head,
    save_linear,
    save_model,
    store_thresholds,
)
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone, LinearHead

TARGETS = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 1]])
NAMES = list("abcde")


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(1)
    return Backbone("squeezenet1_1", pool="avg")


def make_head(kind="linear"):
    if kind == "linear":
        return LinearHead(5, 512, NAMES)
    x = None if kind == "one-hot" else torch.randn(5, 6)
    graph = LabelGraph.from_targets(TARGETS, x=x, label_names=NAMES)
    learned = kind == "learned"
    return MLGCNHead(graph, 512, (16,), negative_slope=0.1, learn_edges=learned, learn_p=learned)


@pytest.fixture
def saved(backbone, tmp_path):
    save_model(tmp_path / "m.pt", MLGCN(backbone, make_head()), image_size=64, config={"lr": 0.1})
    return tmp_path / "m.pt"


@pytest.mark.parametrize("kind", ["linear", "mlgcn", "one-hot", "learned"])
def test_a_saved_model_gives_the_same_logits(backbone, tmp_path, kind):
    model, images = MLGCN(backbone, make_head(kind)).eval(), torch.randn(2, 3, 64, 48)
    thresholds = torch.tensor([0.1, -3, 0, 2, 1e-12], dtype=torch.float64)
    save_model(tmp_path / "m.pt", model, image_size=(64, 48), config={"lr": 0.1}, thresholds=thresholds)
    again = load_checkpoint(tmp_path / "m.pt")
    assert torch.equal(again.model.eval()(images), model(images))
    assert torch.equal(load_model(tmp_path / "m.pt").eval()(images), model(images))
    assert again.label_names == tuple(NAMES) and again.image_size == (64, 48) and again.config == {"lr": 0.1}
    assert torch.equal(again.thresholds, thresholds)
    assert (again.backbone.name, again.backbone.pool) == ("squeezenet1_1", "avg")
    if kind != "linear":
        assert again.head.base_graph().digest() == model.head.base_graph().digest()


def test_a_checkpoint_holds_plain_content_only(saved):
    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(inner) for key, inner in value.items())
        if isinstance(value, tuple | list):
            return all(map(plain, value))
        return isinstance(value, torch.Tensor | str | int | float | bool | None)

    assert plain(torch.load(saved, weights_only=True))


def test_googlenets_own_rescaling_is_kept(tmp_path):
    """A switch that published weights turn on and that is not in the state dict."""
    backbone = Backbone("googlenet")
    backbone.features[0].enabled = True
    model, images = MLGCN(backbone, LinearHead(2, backbone.num_features)).eval(), torch.randn(1, 3, 64, 64)
    save_model(tmp_path / "m.pt", model, image_size=64)
    assert torch.equal(load_model(tmp_path / "m.pt").eval()(images), model(images))


def test_a_checkpoint_cut_short_anywhere_is_refused(saved):
    whole = saved.read_bytes()
    cuts = [0, 1, 100, *(len(whole) * k // 12 for k in range(1, 12)), len(whole) - 30, len(whole) - 1]
    for cut in cuts:
        saved.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"path: expected .*m\.pt"):
            load_checkpoint(saved)


def test_a_number_that_changed_on_disk_is_detected(saved, tmp_path):
    content = torch.load(saved, weights_only=True)
    next(iter(content["backbone"]["state_dict"].values())).view(-1)[3] += 1
    torch.save(content, saved)
    with pytest.raises(InputError, match="the checksum of the parameters does not match"):
        load_model(saved)
    save_head(tmp_path / "h.pt", make_head())
    content = torch.load(tmp_path / "h.pt", weights_only=True)
    content["state_dict"]["linear.bias"][0] += 1
    torch.save(content, tmp_path / "h.pt")
    with pytest.raises(InputError, match="the checksum of the parameters does not match"):
        load_head(tmp_path / "h.pt")


def test_foreign_content_is_refused(saved):
    content = torch.load(saved, weights_only=True)
    for change, message in [
        ({"format": "x"}, "written by save_head or save_model, found a different file"),
        ({"version": 2}, r"version 1, found 2 in .*m\.pt; use a newer mlgcn_pyg"),
        ({"head": {}}, "a complete head or model"),
        ({"backbone": {}}, "a complete head or model"),
        ({"backbone": content["backbone"] | {"name": "resnet18"}}, "a complete head or model"),
        ({"backbone": content["backbone"] | {"name": "no such"}}, "one of alexnet"),
        ({"image_size": (0, 3)}, "an integer ≥ 1"),
        ({"image_size": None}, "a complete head or model"),
        ({"config": 3}, "config: expected a dict"),
        ({"thresholds": torch.zeros(3)}, "one logit per label"),
        ({"thresholds": torch.full((5,), torch.nan)}, "found NaN"),
    ]:
        torch.save(content | change, saved)
        with pytest.raises(InputError, match=message):
            load_model(saved)


def test_heads_and_models_are_not_confused(saved, tmp_path):
    save_head(tmp_path / "h.pt", make_head())
    with pytest.raises(InputError, match="a whole model, found a head alone"):
        load_model(tmp_path / "h.pt")
    with pytest.raises(InputError, match="found a whole model"):
        load_head(saved)


def test_head_checkpoints_of_earlier_versions_stay_readable(tmp_path):
    head = make_head("mlgcn")
    save_head(tmp_path / "h.pt", head, config={"lr": 1.0})
    content = torch.load(tmp_path / "h.pt", weights_only=True)
    del content["sha256"]
    torch.save(content, tmp_path / "h.pt")
    old = load_checkpoint(tmp_path / "h.pt")
    assert torch.equal(old.head.classifiers(), head.classifiers())
    assert old.thresholds is None and old.backbone is None and old.provenance == {} and old.config == {"lr": 1.0}


def test_a_failed_save_leaves_the_old_file(saved, backbone, monkeypatch):
    before = saved.read_bytes()

    def half(content, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        save_model(saved, MLGCN(backbone, make_head()), image_size=32)
    assert saved.read_bytes() == before and [p.name for p in saved.parent.iterdir()] == ["m.pt"]


def test_bad_arguments_of_save_model(backbone, tmp_path):
    model = MLGCN(backbone, make_head())
    with pytest.raises(InputError, match="thresholds: expected one logit per label"):
        save_model(tmp_path / "m", model, image_size=3, thresholds=torch.zeros(4))
    with pytest.raises(InputError, match="image_size"):
        save_model(tmp_path / "m", model, image_size=(1, 2, 3))
    own = torch.nn.Identity()
    own.num_features = 512
    with pytest.raises(InputError, match="mlgcn_pyg.nn.Backbone, found Identity"):
        save_model(tmp_path / "m", MLGCN(own, make_head()), image_size=3)
    with pytest.raises(InputError, match="head: expected a head of mlgcn_pyg.nn, found"):
        save_head(tmp_path / "h", own)
    assert not list(tmp_path.iterdir())


def test_backbone_and_head_of_different_widths_are_not_a_checkpoint(backbone):
    with pytest.raises(InputError, match="backbone: expected features of width 3, as the head requires, found 512"):
        Checkpoint(LinearHead(5, 3), backbone)


@pytest.mark.parametrize("kind", ["head", "model"])
def test_storing_thresholds_changes_nothing_else(saved, tmp_path, kind):
    if kind == "head":
        save_head(saved, make_head("learned"), config={"lr": 3})
    before = torch.load(saved, weights_only=True)
    store_thresholds(saved, torch.arange(5.0))
    store_thresholds(saved, torch.arange(5.0) + 1)
    assert load_checkpoint(saved).thresholds.tolist() == [1, 2, 3, 4, 5]
    after = torch.load(saved, weights_only=True)
    after.pop("thresholds")
    assert str(after) == str(before)
    with pytest.raises(InputError, match="one logit per label"):
        store_thresholds(saved, torch.zeros(4))


def features_of(backbone):
    made = {"backbone": backbone.name, "pool": backbone.pool, "weights_sha256": backbone.digest()}
    return made | {"image_size": [64, 64]}


def test_a_head_on_the_backbone_of_its_features(backbone, tmp_path):
    head, images = make_head(), torch.randn(2, 3, 64, 64)
    save_head(tmp_path / "h.pt", head, config={"features": features_of(backbone)}, thresholds=torch.ones(5))
    whole = load_checkpoint(tmp_path / "h.pt").with_backbone(backbone)
    assert whole.image_size == (64, 64) and whole.thresholds.tolist() == [1] * 5
    backbone.eval()
    assert torch.equal(whole.model.eval()(images), head(backbone(images)))


def test_a_different_backbone_is_refused(backbone, tmp_path):
    save_head(tmp_path / "h.pt", make_head(), config={"features": features_of(backbone)})
    loaded = load_checkpoint(tmp_path / "h.pt")
    for other, message in [
        (Backbone("squeezenet1_1", pool="avg"), "weights_sha256"),
        (Backbone("squeezenet1_1", pool="max"), "features with pool avg, .*found max"),
        (Backbone("resnet18"), "features with backbone squeezenet1_1"),
        (Backbone("mobilenet_v3_small"), "width 512, as the head requires, found 576"),
    ]:
        with pytest.raises(InputError, match=message):
            loaded.with_backbone(other)
    with pytest.raises(InputError, match=r"image_size \[64, 64\].*\[32, 32\]"):
        loaded.with_backbone(backbone, image_size=32)


def test_a_head_whose_features_are_not_described(backbone, tmp_path):
    save_head(tmp_path / "h.pt", make_head(), config={"features": None})
    whole = load_checkpoint(tmp_path / "h.pt").with_backbone(backbone, (32, 64))
    assert whole.image_size == (32, 64)


def test_a_model_describes_its_own_features(saved, backbone):
    assert load_checkpoint(saved).provenance == features_of(backbone)


def test_a_linear_export_is_a_checkpoint_too(backbone, tmp_path):
    head = make_head("mlgcn")
    config = {"features": features_of(backbone)}
    save_linear(tmp_path / "l.safetensors", head, config=config, thresholds=torch.ones(5), image_size=(64, 64))
    linear = load_checkpoint(tmp_path / "l.safetensors")
    assert torch.equal(linear.head.classifiers(), head.classifiers()) and linear.label_names == tuple(NAMES)
    assert linear.thresholds.tolist() == [1] * 5 and linear.provenance == config["features"]
    assert linear.with_backbone(backbone).image_size == (64, 64)
    assert isinstance(load_head(tmp_path / "l.safetensors"), LinearHead)

"""Folders of models: the same logits bit for bit, and one error for damaged, hostile and foreign files."""

import json
import resource
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import (
    Checkpoint,
    load_checkpoint,
    load_head,
    load_linear,
    load_model,
    save_checkpoint,
    save_head,
    store_thresholds,
)
from mlgcn_pyg.checkpoints.files import checkpoint_content
from mlgcn_pyg.checkpoints.pretrained import read_pretrained, write_pretrained
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone, LabelGNNHead, LinearHead, SharingHead

NAMES = ["person", "tie", "dog [small]", "犬\n", "</script>"]
TARGETS = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 1], [1, -1, 0, 0, 0]])


def graph(**settings):
    return LabelGraph.from_targets(TARGETS, label_names=NAMES, **settings)


HEADS = {
    "linear": lambda: LinearHead(5, 12, NAMES),
    "without a bias": lambda: LinearHead(5, 12, NAMES, bias=False),
    "one label": lambda: LinearHead(1, 12, ["only"]),
    "mlgcn": lambda: MLGCNHead(graph(x=torch.randn(5, 6)), 12, (16, 8), negative_slope=0.1, bias=True),
    "one-hot": lambda: MLGCNHead(graph(weighting="released"), 12),
    "without an edge": lambda: MLGCNHead(graph(tau=0.9), 12, (8,)),
    "learned": lambda: MLGCNHead(graph(), 12, (8,), learn_edges=True, learn_p=True),
    "gat": lambda: LabelGNNHead(graph(x=torch.randn(5, 6)), 12, "gat", 8, num_layers=2),
    "gin, one-hot": lambda: LabelGNNHead(graph(), 12, "gin", 8),
    "gcn with weights": lambda: LabelGNNHead(graph(x=torch.randn(5, 6)), 12, "gcn", 8, weighted=True, bias=True),
    "sharing": lambda: SharingHead(graph(x=torch.randn(5, 6), weighting="kernel", alpha=0.5), 12),
}


def written(folder, checkpoint):
    folder.mkdir(exist_ok=True)
    write_pretrained(folder, checkpoint_content(checkpoint))
    return folder


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_gives_the_same_logits(tmp_path, kind):
    head = HEADS[kind]()
    dtype = next(head.parameters()).dtype
    head.set_statistics(torch.randn(12, dtype=dtype), torch.rand(12, dtype=dtype) + 0.5)
    config = {"lr": 0.1, "loss": float("inf"), "features": {"image_size": [64, 64]}, "by epoch": {1: 0.5}}
    cuts = torch.tensor([0.1, float("inf"), -1.0, 2.0, 0.3], dtype=torch.float64)[: head.num_labels]
    folder = written(tmp_path / "m", Checkpoint(head, thresholds=cuts, config=config))
    found = load_checkpoint(folder)
    features = torch.randn(7, 12, dtype=dtype)
    assert type(found.head) is type(head) and torch.equal(found.head(features), head(features))
    assert found.label_names == head.label_names and torch.equal(found.thresholds, cuts) and found.config == config
    assert torch.equal(load_head(folder)(features), head(features))
    # the content is that of the checkpoint's file
    save_checkpoint(tmp_path / "m.pt", Checkpoint(found.head, thresholds=cuts, config=config))
    other = load_checkpoint(tmp_path / "m.pt")
    assert {k: v.tolist() for k, v in other.head.state_dict().items()} == {
        k: v.tolist() for k, v in head.state_dict().items()
    }
    if hasattr(head, "base_graph"):
        assert found.head.base_graph().digest() == head.base_graph().digest()


def test_a_network_gives_the_same_logits(tmp_path):
    model = MLGCN(Backbone("squeezenet1_1"), LinearHead(2, 512, ["cat", "dog"])).eval()
    folder = written(tmp_path / "m", Checkpoint(model.head, model.backbone, 64, config={"epochs": 2}))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_model(folder).eval()(images), model(images))
    assert load_checkpoint(folder).image_size == (64, 64)
    with pytest.raises(InputError, match="a head written by save_head, found a whole model"):
        load_head(folder)


def test_other_software_reads_the_files(tmp_path):
    head = LinearHead(2, 3, ["cat", "dog"])
    folder = written(tmp_path / "m", Checkpoint(head, thresholds=torch.tensor([0.5, -0.5])))
    config = json.loads((folder / "config.json").read_text())
    assert config["content"]["label_names"] == ["cat", "dog"] and config["content"]["thresholds"] == [0.5, -0.5]
    tensors = load_file(folder / "model.safetensors")
    assert torch.equal(tensors["state_dict.linear.weight"], head.linear.weight.detach())


def test_equal_content_has_equal_files(tmp_path):
    head = HEADS["mlgcn"]()
    one, two = (written(tmp_path / name, Checkpoint(head)) for name in "ab")
    for name in ("config.json", "model.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert (one / "model.safetensors").stat().st_mode & 0o077 == (one / "config.json").stat().st_mode & 0o077


def test_thresholds_are_stored_in_a_folder(tmp_path):
    folder = written(tmp_path / "m", Checkpoint(HEADS["mlgcn"]()))
    before = (folder / "model.safetensors").read_bytes()
    for cuts in (torch.randn(5, dtype=torch.float64), torch.full((5,), float("inf"), dtype=torch.float64)):
        store_thresholds(folder, cuts)
        assert torch.equal(load_checkpoint(folder).thresholds, cuts)
    assert (folder / "model.safetensors").read_bytes() == before
    with pytest.raises(InputError, match="one logit per label"):
        store_thresholds(folder, torch.zeros(4))


def test_content_that_json_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="checkpoint: expected .* found TypeError: config.x is a bytes"):
        written(tmp_path, Checkpoint(LinearHead(2, 3), config={"x": b"1"}))
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="checkpoint: expected a network with its image_size, found none"):
        checkpoint_content(Checkpoint(LinearHead(2, 512), Backbone("squeezenet1_1")))


@pytest.fixture
def model(tmp_path):
    return written(tmp_path / "model", Checkpoint(HEADS["mlgcn"](), thresholds=torch.zeros(5), config={"lr": 0.1}))


def refused(folder, match=None):
    with pytest.raises(InputError, match=match) as caught:
        load_checkpoint(folder)
    assert caught.value.argument == "path" and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_truncated_and_missing_files(model, name):
    data = (model / name).read_bytes()
    for length in {0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1} - {
        len(data) - 1 if name == "config.json" else None
    }:
        (model / name).write_bytes(data[:length])
        refused(model)
    (model / name).unlink()
    refused(model, "no file|the folder")
    (model / name).mkdir()
    refused(model)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_any_flipped_bit_is_noticed(model, name):
    data = bytearray((model / name).read_bytes())
    start = data.index(b'"sha256"') if name == "config.json" else 0  # before it is the version of the program
    positions = torch.randint(start, len(data), (60,), generator=torch.Generator().manual_seed(0)).tolist()
    for position in positions:
        changed = bytearray(data)
        changed[position] ^= 1
        (model / name).write_bytes(changed)
        try:
            found = load_checkpoint(model)
        except InputError:
            continue
        # white space and the padding of a header have no meaning
        (model / name).write_bytes(data)
        expected = load_checkpoint(model)
        assert found.config == expected.config and found.label_names == expected.label_names
        assert torch.equal(found.head.classifiers(), expected.head.classifiers())


@pytest.mark.parametrize(
    "change, match",
    [
        ({"format": "other"}, "of other software"),
        ({"format": None}, "of other software"),
        ({"version": 2}, "version 1, found 2 .*use a newer mlgcn_pyg"),
        ({"version": None}, "version 1, found none .*must not be edited by hand"),
        ({"version": "1"}, "version 1"),
        ({"content": []}, "a complete model"),
        ({"content": {"$dict": [[1, 2, 3]]}}, "a complete model"),
        ({"content": None}, "a complete model"),
        ({"sha256": 1}, "not what was saved; save the model again; .*must not be edited by hand"),
    ],
)
def test_foreign_configurations(model, change, match):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | change))
    refused(model, match)


@pytest.mark.parametrize("text", ["[1]", "1", "nan", '"x"', "{", "\xff\xfe", "[" * 100_000, '{"format": "x"', "null"])
def test_foreign_json(model, text):
    (model / "config.json").write_bytes(text.encode("latin1"))
    refused(model, "a model written by save_pretrained")


def test_a_folder_of_other_software(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"], "hidden_size": 768}')
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    refused(tmp_path, "config.json of other software")
    with pytest.raises(InputError, match="a linear export .* a different safetensors file"):
        load_linear(tmp_path / "model.safetensors")


def test_a_file_of_the_folder_names_the_folder(model):
    refused(model / "model.safetensors", "give its folder")


def hostile(folder, **changes):
    """Writes a folder with a correct digest whose content is changed."""
    content = read_pretrained(folder)
    out = folder.parent / "hostile"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    write_pretrained(out, content | changes)
    return out


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_channels": [1 << 40]},
        {"hidden_channels": [1] * 100_000},
        {"num_features": 1 << 40},
        {"head": "os.system"},
        {"head": {"a": 1}},
        {"graph": {}},
        {"graph": 1},
        {"state_dict": {}},
        {"thresholds": torch.zeros(3)},
        {"config": 1},
        {"format": "mlgcn_pyg.model"},
    ],
)
def test_hostile_content(model, changes):
    refused(hostile(model, **changes))


def test_large_files_take_little_memory(model):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for text in ("[" + "[]," * (20 << 20) + "[]]", " " * (33 << 20), '{"a":' * (2 << 20)):
        (model / "config.json").write_text(text)
        refused(model, "more than 32 MiB")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 300 << 10  # KiB


def test_linear_exports_and_heads_stay_readable(tmp_path):
    save_head(tmp_path / "a.pt", LinearHead(2, 3))
    assert load_checkpoint(tmp_path / "a.pt").head.num_labels == 2
    with pytest.raises(InputError, match="a file that exists, found the folder"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("changes", [{"name": "vit_h_14"}, {"name": "timm:absent"}, {"pool": "x"}, {"state_dict": {}}])
def test_a_backbone_that_does_not_fit_its_parameters_is_not_allocated(tmp_path, changes):
    network = Checkpoint(LinearHead(2, 512), Backbone("squeezenet1_1"), 64)
    folder = written(tmp_path / "m", network)
    backbone = read_pretrained(folder)["backbone"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(hostile(folder, backbone=backbone | changes))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 1 << 20  # KiB; vit_h_14 has 2.5 GB

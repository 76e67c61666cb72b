import time

import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import load_head, load_linear, save_head, save_linear
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LinearHead

TARGETS = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 1]])


@pytest.mark.parametrize("kind", ["linear", "mlgcn", "one-hot"])
def test_a_saved_head_gives_the_same_logits(tmp_path, kind):
    features = torch.randn(4, 12)
    graph = LabelGraph.from_targets(TARGETS, x=None if kind == "one-hot" else torch.randn(5, 6), weighting="released")
    head = LinearHead(5, 12, list("abcde")) if kind == "linear" else MLGCNHead(graph, 12, (16, 8), negative_slope=0.1)
    save_head(tmp_path / "h.pt", head, config={"lr": 0.1})
    content = torch.load(tmp_path / "h.pt", weights_only=True)
    assert content["config"] == {"lr": 0.1} and content["label_names"] == head.label_names
    again = load_head(tmp_path / "h.pt")
    assert torch.equal(again(features), head(features)) and again.label_names == head.label_names


def test_damaged_and_foreign_checkpoints(tmp_path):
    save_head(tmp_path / "h.pt", LinearHead(5, 12))
    content = torch.load(tmp_path / "h.pt", weights_only=True)
    for change, message in [
        ({"format": "x"}, "a head written by save_head"),
        ({"version": 2}, "version 1, found 2"),
        ({"num_features": 3}, "a complete head"),
        ({"state_dict": {}}, "a complete head"),
    ]:
        torch.save(content | change, tmp_path / "x.pt")
        with pytest.raises(InputError, match=message):
            load_head(tmp_path / "x.pt")
    torch.save({k: v for k, v in content.items() if k != "bias"}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="a complete head"):
        load_head(tmp_path / "x.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "h.pt").read_bytes()[:500])
    with pytest.raises(InputError, match="half.pt"):
        load_head(tmp_path / "half.pt")


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_channels": (1,) * 300_000},
        {"hidden_channels": (1 << 40,)},
        {"num_features": 1 << 40},
        {"state_dict": {}},
    ],
)
def test_sizes_are_compared_with_the_stored_weights_before_a_head_is_built(tmp_path, change):
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.ones(3, 5))
    save_head(tmp_path / "h.pt", MLGCNHead(graph, num_features=4, hidden_channels=(6,)))
    torch.save(torch.load(tmp_path / "h.pt", weights_only=True) | change, tmp_path / "h.pt")
    start = time.monotonic()
    with pytest.raises(InputError, match="a complete head or model"):
        load_head(tmp_path / "h.pt")
    assert time.monotonic() - start < 10


def test_a_linear_head_with_a_huge_width(tmp_path):
    save_head(tmp_path / "h.pt", LinearHead(2, 4))
    torch.save(torch.load(tmp_path / "h.pt", weights_only=True) | {"num_features": 1 << 40}, tmp_path / "h.pt")
    with pytest.raises(InputError, match=r"linear.weight of shape \(2, 4\) instead of \(2, 1099511627776\)"):
        load_head(tmp_path / "h.pt")


def standardised(kind):
    head = LinearHead(5, 12, list("abcde")) if kind == "linear" else MLGCNHead(graph_of(kind), 12, (6,))
    head.set_statistics(torch.linspace(-3, 3, 12), torch.linspace(0, 2, 12))
    head.set_bias(torch.linspace(-1, 1, 5))
    return head


def graph_of(kind):
    return LabelGraph.from_targets(TARGETS, x=None if kind == "one-hot" else torch.randn(5, 6), label_names="abcde")


@pytest.mark.parametrize("kind", ["linear", "mlgcn", "one-hot"])
def test_a_standardised_head_is_the_same_head_in_every_file(tmp_path, kind):
    head, features = standardised(kind), torch.randn(4, 12)
    save_head(tmp_path / "h.pt", head, thresholds=torch.zeros(5))
    again = load_head(tmp_path / "h.pt")
    assert torch.equal(again(features), head(features)) and again.has_statistics
    assert torch.equal(again.standardize.mean, head.standardize.mean) and torch.equal(again.bias, head.bias)
    save_linear(tmp_path / "h.safetensors", head)
    linear = load_linear(tmp_path / "h.safetensors")
    assert torch.allclose(linear(features), head(features), atol=1e-5) and not linear.has_statistics


@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
def test_files_of_earlier_versions_give_the_same_logits(tmp_path, kind):
    """Such files have neither statistics nor the bias of an ML-GCN head."""
    head = LinearHead(5, 12) if kind == "linear" else MLGCNHead(graph_of(kind), 12, (6,))
    save_head(tmp_path / "h.pt", head)
    content = torch.load(tmp_path / "h.pt", weights_only=True)
    assert not any("standardize" in name for name in content["state_dict"])
    if kind == "mlgcn":
        del content["bias"]
    torch.save(content, tmp_path / "old.pt")
    features, again = torch.randn(4, 12), load_head(tmp_path / "old.pt")
    assert torch.equal(again(features), head(features)) and not again.has_statistics


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("standardize.mean", torch.zeros(3), "size mismatch for standardize.mean"),
        ("standardize.scale", None, "Missing key.*standardize.scale"),
        ("bias", torch.zeros(6), "size mismatch for bias"),
        ("standardize.more", torch.zeros(12), "Unexpected key.*standardize.more"),
    ],
)
def test_damaged_statistics(tmp_path, name, value, message):
    save_head(tmp_path / "h.pt", standardised("mlgcn"))
    content = torch.load(tmp_path / "h.pt", weights_only=True)
    content["state_dict"][name] = value
    del content["sha256"]
    if value is None:
        del content["state_dict"][name]
    torch.save(content, tmp_path / "h.pt")
    with pytest.raises(InputError, match=f"a complete head or model.*{message}"):
        load_head(tmp_path / "h.pt")

import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import load_head, save_head
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

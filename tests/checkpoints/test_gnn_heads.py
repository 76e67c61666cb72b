import time

import pytest
import torch
from torch_geometric.nn import TAGConv
from torch_geometric.nn.models import GCN

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.checkpoints import load_head, load_linear, save_head, save_linear, store_thresholds
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LabelGNNHead
from mlgcn_pyg.nn.label_gnn import GNNS

D = 6
TARGETS = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 1]])


def graph_of(one_hot=False, **changes):
    x = None if one_hot else torch.randn(5, 3)
    return LabelGraph.from_targets(TARGETS, x=x, label_names=list("abcde"), **changes)


def trained(gnn, graph, num_layers=2, weighted=False):
    head = LabelGNNHead(graph, D, gnn, 4, num_layers=num_layers, weighted=weighted)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    head.set_statistics(torch.linspace(-3, 3, D), torch.linspace(0, 2, D))
    head.set_bias(torch.linspace(-1, 1, 5))
    return head


@pytest.mark.parametrize("gnn", GNNS)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_a_saved_head_gives_the_same_logits(tmp_path, gnn, num_layers):
    for changes in ({}, {"weighting": "released"}, {"one_hot": True}, {"weighting": "none"}):
        head, features = trained(gnn, graph_of(**changes), num_layers, weighted=gnn == "gcn"), torch.randn(4, D)
        save_head(tmp_path / "h.pt", head, config={"lr": 0.1}, thresholds=torch.zeros(5))
        store_thresholds(tmp_path / "h.pt", torch.ones(5))
        again = load_head(tmp_path / "h.pt")
        assert torch.equal(again(features), head(features))
        assert (again.gnn_name, again.num_layers, again.weighted) == (gnn, num_layers, gnn == "gcn")
        save_linear(tmp_path / "h.safetensors", head)
        assert torch.allclose(load_linear(tmp_path / "h.safetensors")(features), head(features), atol=1e-4)


@pytest.mark.parametrize("gnn", [TAGConv(3, 4), GCN(3, 4, 2)])
def test_a_module_is_saved_as_its_state_or_folded(tmp_path, gnn):
    head, features = LabelGNNHead(graph_of(), D, gnn), torch.randn(4, D)
    with pytest.raises(InputError, match="head: expected a GNN that was given by name.*save_linear"):
        save_head(tmp_path / "h.pt", head)
    assert not list(tmp_path.iterdir())
    save_linear(tmp_path / "h.safetensors", head)
    assert torch.allclose(load_linear(tmp_path / "h.safetensors")(features), head(features), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_channels": 1 << 40},
        {"hidden_channels": (4,)},
        {"hidden_channels": -4},
        {"num_features": 1 << 40},
        {"num_layers": 10**9},
        {"num_layers": 0},
        {"num_layers": 1},
        {"num_layers": 3},
        {"num_layers": 2.0},
        {"num_layers": "2"},
        {"gnn": "gat"},
        {"gnn": "os.system"},
        {"gnn": None},
        {"gnn": ["gcn"]},
        {"weighted": "yes"},
        {"state_dict": {}},
        {"head": "gcn"},
        {"graph": {}},
    ],
)
def test_damaged_content_is_refused_before_a_head_is_built(tmp_path, change):
    save_head(tmp_path / "h.pt", trained("gcn", graph_of()))
    torch.save(torch.load(tmp_path / "h.pt", weights_only=True) | change, tmp_path / "h.pt")
    start = time.monotonic()
    with pytest.raises(InputError, match="a complete head or model"):
        load_head(tmp_path / "h.pt")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("name", ["gnn.convs.0.lin.weight", "gnn.convs.1.bias", "weight", "x", "edge_index"])
def test_damaged_parameters(tmp_path, name):
    save_head(tmp_path / "h.pt", trained("gcn", graph_of()))
    content = torch.load(tmp_path / "h.pt", weights_only=True)
    good = content["state_dict"][name]
    for value in (good[:1], None, good.unsqueeze(0), "text"):
        content["state_dict"][name] = value
        torch.save({key: item for key, item in content.items() if key != "sha256"}, tmp_path / "x.pt")
        with pytest.raises(InputError, match="a complete head or model"):
            load_head(tmp_path / "x.pt")
    content["state_dict"][name] = good.clone()
    content["state_dict"][name].view(-1)[0] += 1
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(InputError, match="checksum"):
        load_head(tmp_path / "x.pt")

import pytest
import torch
from torch_geometric.nn import MessagePassing, Sequential

from mlgcn_pyg import LabelGraph, ReweightedConv
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.kernels import Adjacency
from tests.nn.oracle import awkward_graphs


def double(graph):
    return graph.edge_index, graph.edge_weight.double(), graph.self_weight.double()


@pytest.mark.parametrize("name, graph", list(awkward_graphs()))
def test_values_equal_the_dense_product(name, graph):
    conv = ReweightedConv(3, 2, flow=graph.flow).double()
    out = conv(graph.x.double(), *double(graph))
    expected = graph.to_dense().double() @ graph.x.double() @ conv.weight
    assert torch.allclose(out, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name, graph", list(awkward_graphs()))
def test_gradients_equal_finite_differences(name, graph):
    conv = ReweightedConv(3, 2, bias=True, flow=graph.flow).double()
    edge_index, edge_weight, self_weight = double(graph)

    def run(x, edge_weight, self_weight, weight, bias):
        inputs = (x, edge_index, edge_weight, self_weight)
        return torch.func.functional_call(conv, {"weight": weight, "bias": bias}, inputs)

    inputs = [graph.x.double(), edge_weight, self_weight, conv.weight.detach(), conv.bias.detach()]
    assert torch.autograd.gradcheck(run, [value.clone().requires_grad_() for value in inputs])


def test_implicit_one_hot_equals_the_identity_matrix():
    for _, graph in awkward_graphs(None):
        conv = ReweightedConv(graph.num_labels, 2, flow=graph.flow)
        weights = (graph.edge_index, graph.edge_weight, graph.self_weight)
        assert torch.equal(conv(None, *weights), conv(torch.eye(graph.num_labels), *weights))


def test_flow_decides_who_receives():
    x, edge_index = torch.tensor([[1.0], [10.0]]), torch.tensor([[0], [1]])
    for flow, expected in (("target_to_source", [[5.5], [5.0]]), ("source_to_target", [[0.5], [5.5]])):
        conv = ReweightedConv(1, 1, flow=flow)
        conv.weight.data.fill_(1.0)
        out = conv(x, edge_index, torch.tensor([0.5]), torch.full((2,), 0.5))
        assert out.tolist() == expected


def test_it_is_a_message_passing_operator_that_starts_as_released():
    conv = ReweightedConv(300, 1024)
    assert isinstance(conv, MessagePassing) and conv.bias is None
    bound = 1024**-0.5
    assert conv.weight.abs().max() <= bound and conv.weight.detach().std().item() == pytest.approx(
        bound / 3**0.5, rel=0.01
    )


def test_non_contiguous_features():
    name, graph = next(iter(awkward_graphs()))
    conv = ReweightedConv(3, 2, flow=graph.flow)
    weights = (graph.edge_index, graph.edge_weight, graph.self_weight)
    assert torch.equal(conv(graph.x.t().contiguous().t(), *weights), conv(graph.x, *weights))


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"x": torch.zeros(2, 4)}, r"x: expected shape \(num_labels, 3\), found shape \(2, 4\)"),
        ({"edge_index": torch.zeros(3, 1).long()}, r"edge_index: expected shape \(2, num_edges\)"),
        ({"edge_weight": torch.zeros(2)}, r"edge_weight: expected shape \(1,\), found shape \(2,\)"),
        ({"self_weight": torch.zeros(3)}, r"self_weight: expected shape \(2,\), found shape \(3,\)"),
    ],
)
def test_invalid_shapes(changed, message):
    inputs = {
        "x": torch.zeros(2, 3),
        "edge_index": torch.tensor([[0], [1]]),
        "edge_weight": torch.zeros(1),
        "self_weight": torch.zeros(2),
    }
    with pytest.raises(InputError, match=message):
        ReweightedConv(3, 2)(**(inputs | changed))


def test_invalid_arguments():
    with pytest.raises(InputError, match="flow: expected one of target_to_source, source_to_target"):
        ReweightedConv(1, 1, flow="both")
    with pytest.raises(InputError, match="out_channels: expected an integer ≥ 1, found 0"):
        ReweightedConv(1, 0)


@pytest.mark.parametrize("in_channels, out_channels", [(3, 2), (2, 3), (None, 2)])
def test_an_adjacency_gives_what_an_edge_index_gives(in_channels, out_channels):
    for name, graph in awkward_graphs(in_channels):
        conv = ReweightedConv(in_channels or graph.num_labels, out_channels, bias=True, flow=graph.flow)
        weights = (graph.edge_weight, graph.self_weight)
        adjacency = Adjacency(graph.edge_index, graph.num_labels, graph.flow)
        a, b = conv(graph.x, graph.edge_index, *weights), conv(graph.x, adjacency, *weights)
        assert torch.allclose(a, b, atol=1e-5), name


def test_an_adjacency_of_a_different_flow_raises():
    adjacency = Adjacency(torch.tensor([[0], [1]]), 2, "source_to_target")
    with pytest.raises(InputError, match="an adjacency with flow 'target_to_source', found 'source_to_target'"):
        ReweightedConv(3, 2)(torch.zeros(2, 3), adjacency, torch.zeros(1), torch.zeros(2))


def test_inside_pyg_sequential():
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5))
    arguments = "x, edge_index, edge_weight, self_weight"
    layers = [
        (ReweightedConv(5, 4), f"{arguments} -> x"),
        torch.nn.LeakyReLU(0.2),
        (ReweightedConv(4, 2), f"{arguments} -> x"),
    ]
    net = Sequential(arguments, layers)
    adjacency = Adjacency(graph.edge_index, 3)
    weights = (graph.edge_weight, graph.self_weight)
    expected = net(graph.x, graph.edge_index, *weights)
    assert expected.shape == (3, 2) and torch.allclose(net(graph.x, adjacency, *weights), expected, atol=1e-6)


@pytest.mark.parametrize("sorted_once", [False, True])
def test_inside_torch_compile(sorted_once):
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5))
    conv = ReweightedConv(5, 4)
    pattern = Adjacency(graph.edge_index, 3) if sorted_once else graph.edge_index
    inputs = (graph.x, pattern, graph.edge_weight, graph.self_weight)
    out = torch.compile(conv)(*inputs)
    assert torch.allclose(out, conv(*inputs), atol=1e-6)
    out.sum().backward()
    compiled, conv.weight.grad = conv.weight.grad, None
    conv(*inputs).sum().backward()
    assert torch.allclose(compiled, conv.weight.grad, atol=1e-6)

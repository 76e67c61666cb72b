import copy
import re

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.nn import GATConv, GCNConv, SAGEConv, SGConv, TAGConv, TransformerConv
from torch_geometric.nn.models import GAT, GCN, GIN, GraphSAGE

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LabelGNNHead
from mlgcn_pyg.nn.label_gnn import GNNS
from tests.nn.oracle import awkward_graphs, dense_logits

D = 6
TARGETS = [[1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 1], [1, 1, 1, 0]]
LEAKY = {"act": "leakyrelu", "act_kwargs": {"negative_slope": 0.2}}
BY_HAND = {
    "gcn": lambda width: GCN(width, 5, 2, **LEAKY),
    "sage": lambda width: GraphSAGE(width, 5, 2, **LEAKY),
    "gat": lambda width: GAT(width, 5, 2, **LEAKY),
    "gatv2": lambda width: GAT(width, 5, 2, v2=True, **LEAKY),
    "gin": lambda width: GIN(width, 5, 2, **LEAKY),
}


def chain(**changes):
    torch.manual_seed(0)
    return LabelGraph.from_targets(TARGETS, x=torch.randn(4, 3), tau=0.4, **changes)


def randomised(head):
    """Biases of PyG's layers start at 0, where a wrong sign would not be noticed."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return head


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("x_width", [3, None])
def test_a_gcn_without_biases_is_ml_gcn_with_binary_weights(layers, x_width):
    for name, graph in awkward_graphs(x_width):
        if "binary" not in name:
            continue
        gcn = GCN(graph.embedding_dim, 5, layers, bias=False, **LEAKY)
        head = LabelGNNHead(graph, D, gcn).double()
        weights = [conv.lin.weight.t() for conv in gcn.convs]
        weights[-1] = weights[-1] @ head.weight
        features = torch.randn(7, D, dtype=torch.float64)
        logits, expected = head(features), dense_logits(graph, weights, features)
        assert torch.allclose(logits, expected, rtol=1e-5, atol=1e-6), name
        signal = torch.randn_like(logits)
        found, wanted = (torch.autograd.grad(out, list(head.parameters()), signal) for out in (logits, expected))
        assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(found, wanted, strict=True)), name
        if layers == 2:
            paper = MLGCNHead(graph, D, (5,)).double()
            with torch.no_grad():
                for conv, weight in zip(paper.layers, weights, strict=True):
                    conv.weight.copy_(weight)
            assert torch.allclose(paper(features), logits, rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("gnn", GNNS)
def test_a_named_gnn_is_the_model_of_pyg_with_messages_in_the_direction_of_ml_gcn(gnn):
    for name, graph in awkward_graphs():
        head = randomised(LabelGNNHead(graph, D, gnn, 5))
        model = BY_HAND[gnn](3)
        model.load_state_dict(head.gnn.state_dict())
        edges = graph.edge_index if "released" in name else graph.edge_index.flip(0)
        codes = model(graph.x, edges[:, :0] if "none" in name else edges)
        features = torch.randn(4, D)
        assert torch.allclose(head(features), features @ (codes @ head.weight).t(), atol=1e-4), name
        assert torch.allclose(head.classifiers(), codes @ head.weight, atol=1e-4), name


def test_edge_probabilities_are_edge_weights():
    """PyG's GCN with weights w: D^-1/2 (W + I) D^-1/2, where D are the sums of the rows of receivers."""
    graph = chain()
    head = randomised(LabelGNNHead(graph, D, "gcn", 5, num_layers=1, weighted=True))
    a = torch.eye(4)
    for (i, j), prob in zip(graph.edge_index.t().tolist(), graph.edge_prob.tolist(), strict=True):
        a[i, j] = prob
    scale = a.sum(1) ** -0.5
    (conv,) = head.gnn.convs
    codes = (scale[:, None] * a * scale) @ graph.x @ conv.lin.weight.t() + conv.bias
    assert torch.allclose(head.classifiers(), codes @ head.weight, atol=1e-5)
    assert not torch.allclose(
        randomised(LabelGNNHead(graph, D, "gcn", 5, num_layers=1)).classifiers(), codes @ head.weight
    )


@pytest.mark.parametrize("gnn", GNNS)
def test_gradients_equal_finite_differences(gnn):
    head = randomised(LabelGNNHead(chain(), D, gnn, 3, bias=True)).double()
    features = torch.randn(3, D, dtype=torch.float64)
    parameters = dict(head.named_parameters())

    def logits(*values):
        return torch.func.functional_call(head, dict(zip(parameters, values, strict=True)), (features,))

    assert torch.autograd.gradcheck(logits, tuple(p.detach().requires_grad_() for p in parameters.values()))


@pytest.mark.parametrize("gnn", GNNS)
def test_one_hot_labels_are_the_identity_matrix(gnn):
    graph, one_hot = chain(), chain()
    graph.x, one_hot.x = torch.eye(4), None
    heads = [LabelGNNHead(g, D, gnn, 5) for g in (graph, one_hot)]
    heads[1].gnn.load_state_dict(heads[0].gnn.state_dict())
    heads[1].weight.data.copy_(heads[0].weight)
    features = torch.randn(2, D)
    assert torch.equal(heads[0](features), heads[1](features))


def test_dropout_and_batch_norm_act_in_training_only():
    gcn = GCN(3, 5, 2, dropout=0.5, norm="batch_norm", **LEAKY)
    head, features = LabelGNNHead(chain(), D, gcn), torch.randn(2, D)
    gcn.norms[0].eval()  # a part that its owner has switched to evaluation
    assert not torch.equal(head(features), head(features))
    before = copy.deepcopy(gcn.norms[0].state_dict())
    folded = head.to_linear()
    assert torch.equal(folded.weight, head.to_linear().weight)
    assert (gcn.training, gcn.dropout.training, gcn.norms[0].training) == (True, True, False)
    assert all(torch.equal(before[key], value) for key, value in gcn.norms[0].state_dict().items())
    head.eval()
    assert torch.allclose(head(features), folded(features), atol=1e-6)
    assert torch.equal(head(features), head(features))


@pytest.mark.parametrize("gnn", GNNS)
def test_a_head_with_statistics_and_a_bias_folds_into_one_linear_layer(gnn):
    for name, graph in awkward_graphs():
        head = randomised(LabelGNNHead(graph, D, gnn, 5, bias=True)).double()
        head.set_statistics(torch.linspace(-1, 1, D), torch.linspace(0.5, 2, D))
        features = torch.randn(3, D, dtype=torch.float64)
        assert torch.allclose(head.to_linear()(features), head(features), rtol=1e-10, atol=1e-10), name
        k = min(2, graph.num_labels)
        values, labels = head.topk(features, k, label_chunk=1)
        expected = head(features).topk(k)
        assert torch.allclose(values, expected.values) and torch.equal(labels, expected.indices), name
        assert torch.equal(head(features[:0]), torch.zeros(0, graph.num_labels, dtype=torch.float64)), name


class Twice(torch.nn.Module):
    """Uses one convolution twice, as no list of layers would show."""

    def __init__(self):
        super().__init__()
        self.lin, self.conv = torch.nn.Linear(3, 5), SAGEConv(5, 5)

    def forward(self, x, edge_index):
        return self.conv(self.conv(self.lin(x), edge_index).tanh(), edge_index)


MODULES = {
    "several heads": lambda: GATConv(3, 2, heads=3),
    "mean of heads": lambda: GATConv(3, 5, heads=2, concat=False, residual=True),
    "softmax in the message": lambda: TransformerConv(3, 5),
    "several hops": lambda: TAGConv(3, 5, K=2),
    "twice": Twice,
    "no convolution": lambda: NoGraph(),
}


class NoGraph(torch.nn.Module):
    """A module without parameters and messages."""

    def forward(self, x, edge_index):
        return x.sin()


@pytest.mark.parametrize("gnn", [*GNNS, *MODULES])
def test_contributions_sum_to_the_logits(gnn):
    for name, graph in awkward_graphs():
        made = LabelGNNHead(graph, D, MODULES[gnn]()) if gnn in MODULES else LabelGNNHead(graph, D, gnn, 5, bias=True)
        head = randomised(made).double()
        head.set_statistics(torch.linspace(-1, 1, D), torch.linspace(0.5, 2, D))
        features = torch.randn(3, D, dtype=torch.float64)
        found = head.contributions(features)
        assert torch.allclose(found.logits(), head(features), rtol=1e-9, atol=1e-9), name
        assert (found.receiver != found.sender).all(), name
        if gnn in ("gin", "no convolution") or graph.edge_index.size(1) == 0 or graph.weighting == "none":
            assert found.edges.shape == (3, 0), name
        else:
            assert found.edges.size(1) == graph.edge_index.size(1), name
            pairs = sorted(zip(found.receiver.tolist(), found.sender.tolist(), strict=True))
            edges = graph.edge_index if graph.flow == "target_to_source" else graph.edge_index.flip(0)
            assert pairs == sorted(map(tuple, edges.t().tolist())), name
        assert len(head.contributions(features[:0]).logits()) == 0, name
        assert all(p.grad is None for p in head.parameters()), name


def terms_by_hand(head, graph, features, weight):
    """⟨x̃ Vᵀ, w_ij · (what j sends)⟩ with w (C, C), for the edges of the graph."""
    queries = features @ head.weight.t()
    return torch.stack([queries @ weight(i, j) for i, j in graph.edge_index.t().tolist()], dim=1)


def ordered(found, graph):
    """The terms in the order of the edges of the graph."""
    columns = {pair: k for k, pair in enumerate(zip(found.receiver.tolist(), found.sender.tolist(), strict=True))}
    return found.edges[:, [columns[i, j] for i, j in graph.edge_index.t().tolist()]]


def test_terms_of_edges_by_hand():
    graph, features = chain(), torch.randn(3, D, dtype=torch.float64)
    receiver, sender = graph.edge_index
    degree = torch.bincount(receiver, minlength=4).double()
    x = graph.x.double()

    gcn = randomised(LabelGNNHead(graph, D, "gcn", 5, num_layers=1)).double()
    sent = x @ gcn.gnn.convs[0].lin.weight.t()
    norm = (degree + 1) ** -0.5
    expected = terms_by_hand(gcn, graph, features, lambda i, j: norm[i] * norm[j] * sent[j])
    assert torch.allclose(ordered(gcn.contributions(features), graph), expected, atol=1e-6)

    sage = randomised(LabelGNNHead(graph, D, "sage", 5, num_layers=1)).double()
    sent = x @ sage.gnn.convs[0].lin_l.weight.t()
    expected = terms_by_hand(sage, graph, features, lambda i, j: sent[j] / degree[i])
    assert torch.allclose(ordered(sage.contributions(features), graph), expected, atol=1e-6)

    gat = randomised(LabelGNNHead(graph, D, "gat", 5, num_layers=1)).double()
    (conv,) = gat.gnn.convs
    sent = x @ conv.lin.weight.t()
    ends = [(sent * part.view(-1)).sum(1) for part in (conv.att_dst, conv.att_src)]
    scores = F.leaky_relu(ends[0][:, None] + ends[1][None], 0.2)
    reached = torch.eye(4, dtype=torch.bool).index_put((receiver, sender), torch.tensor(True))
    attention = scores.masked_fill(~reached, -torch.inf).softmax(1)
    expected = terms_by_hand(gat, graph, features, lambda i, j: attention[i, j] * sent[j])
    assert torch.allclose(ordered(gat.contributions(features), graph), expected, atol=1e-6)


class Mixed(torch.nn.Module):
    """Sums messages, and then subtracts the mean over all labels: each label depends on messages to others."""

    def __init__(self):
        super().__init__()
        self.conv = GCNConv(3, 5)

    def forward(self, x, edge_index):
        out = self.conv(x, edge_index)
        return out - out.mean(0)


@pytest.mark.parametrize(
    "make",
    [lambda: SAGEConv(3, 5, aggr="max"), lambda: SAGEConv(3, 5, normalize=True), lambda: GCN(3, 5, 2, jk="max"), Mixed],
)
def test_what_is_no_sum_of_messages_has_no_terms_of_edges(make):
    head = randomised(LabelGNNHead(chain(), D, make()))
    features = torch.randn(2, D)
    found = head.contributions(features)
    assert found.edges.shape == (2, 0)
    assert torch.allclose(found.logits(), head(features), atol=1e-5)


def test_the_table_of_terms_names_labels_and_has_no_weights():
    head = LabelGNNHead(chain(label_names=["a", "b", "c", "d"]), D, "sage", 5)
    frame = head.contributions(torch.randn(1, D)).frame(0, "a")
    assert set(frame.term) == {"own", "neighbour", "bias"}
    assert frame.weight.isna().all()


@pytest.mark.parametrize("gnn", [*GNNS, "module"])
def test_other_graphs_of_the_same_embeddings(gnn):
    graph = chain(label_names=["a", "b", "c", "d"])
    head = LabelGNNHead(
        graph, D, TAGConv(3, 5) if gnn == "module" else gnn, *([] if gnn == "module" else [5]), bias=True
    )
    randomised(head).set_statistics(torch.zeros(D), torch.full((D,), 2.0))
    order = [2, 0, 3, 1]
    targets = torch.tensor(TARGETS)[:, order]
    same = LabelGraph.from_targets(targets, x=graph.x[order], label_names=["c", "a", "d", "b"])
    features = torch.randn(3, D)
    assert torch.allclose(head.with_graph(same)(features), head(features)[:, order], atol=1e-5)
    more = LabelGraph.from_targets(torch.eye(6)[:, :6], x=torch.cat([graph.x, torch.randn(2, 3)]))
    assert head.with_graph(more)(features).shape == (3, 6)
    assert head.with_graph(more).bias.detach().tolist() == pytest.approx([head.bias.mean().item()] * 6)
    moved = head.with_graph(same)
    assert (moved.gnn_name, moved.hidden_channels, moved.num_layers) == (head.gnn_name, 5, head.num_layers)
    moved.gnn.load_state_dict(randomised(copy.deepcopy(moved.gnn)).state_dict())
    assert not torch.allclose(head.with_graph(same).classifiers(), moved.classifiers())  # they share no weights
    with pytest.raises(InputError, match="embeddings of width 3"):
        head.with_graph(LabelGraph.from_targets(TARGETS))


def test_a_copy_and_a_state_dict():
    head = randomised(LabelGNNHead(chain(), D, "gat", 5, bias=True))
    other = LabelGNNHead(chain(), D, "gat", 5, bias=True)
    features = torch.randn(2, D)
    assert torch.equal(copy.deepcopy(head)(features), head(features))
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(features), head(features))
    with pytest.raises(InputError, match="a different edge_index"):
        LabelGNNHead(chain(min_count=2), D, "gat", 5, bias=True).load_state_dict(head.state_dict())


def test_parameters_are_initialised_again():
    for gnn in ("gcn", TAGConv(3, 5), Twice()):
        head = LabelGNNHead(chain(), D, gnn, bias=True)
        before = [p.detach().clone() for p in head.parameters() if p.dim() > 1]
        head.bias.data.fill_(1.0)
        head.reset_parameters()
        after = [p for p in head.parameters() if p.dim() > 1]
        assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert head.bias.abs().max() == 0
        assert head.weight.abs().max() <= D**-0.5


def test_a_module_decides_about_types():
    head = LabelGNNHead(chain(), D, TAGConv(3, 5).double(), bias=True)
    assert {p.dtype for p in head.parameters()} == {torch.float64}
    assert head(torch.randn(2, D, dtype=torch.float64)).shape == (2, 4)
    lazy = LabelGNNHead(chain(), D, GCN(-1, 5, 2))
    assert lazy.gnn.convs[0].lin.weight.shape == (5, 3)


def test_labels_that_a_gnn_cannot_tell_apart():
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.3, 0.4]])
    graph = LabelGraph.from_targets([[1, 0, 1], [0, 1, 1]], x=x, label_names=["a", "A", "b"])
    for gnn in GNNS:
        assert LabelGNNHead(graph, D, gnn, 5).indistinct_labels().twins == (("a", "A"),), gnn
    # 1 and 2 have the same neighbours, if each is its own neighbour, too: a GCN and a GIN add equal vectors
    found = {gnn: LabelGNNHead(chain(), D, gnn, 5).indistinct_labels() for gnn in GNNS}
    assert {gnn: one.twins for gnn, one in found.items()} == dict.fromkeys(GNNS, ()) | dict.fromkeys(
        ("gcn", "gin"), (("1", "2"),)
    )
    (sentence,) = found["gcn"].sentences()
    assert sentence.startswith("the GNN encodes these labels alike and thus gives them one classifier: '1' = '2'; ")
    module = LabelGNNHead(chain(), D, GCN(3, 5, 2)).indistinct_labels()
    assert not module.twins and not module.sentences()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gnn": "gcnn"}, "gnn: expected one of gcn, sage, gat, gatv2, gin, found 'gcnn'"),
        ({"gnn": 3}, "gnn: expected one of gcn, .* found 3"),
        ({"gnn": torch.nn.Linear(3, 5)}, "gnn: expected a module that maps x .* found .* for x"),
        ({"gnn": GCN(7, 5, 2)}, "gnn: expected a module that maps x .* found .* for x \\(4, 3\\)"),
        ({"gnn": SGConv(3, 5, cached=True)}, "gnn: expected convolutions with cached=False"),
        ({"gnn": TAGConv(3, 5), "hidden_channels": 5}, "hidden_channels: expected None"),
        ({"gnn": TAGConv(3, 5), "num_layers": 5}, "num_layers: expected None"),
        ({"gnn": "gat", "weighted": True}, "weighted: expected a GNN that supports edge_weight"),
        ({"gnn": GIN(3, 5, 2), "weighted": True}, "weighted: expected a GNN that supports edge_weight"),
        ({"gnn": Twice(), "weighted": True}, "gnn: .* with edge_weight"),
        ({"gnn": GCNConv(3, 5).to("meta")}, "gnn: expected a module with values"),
        ({"hidden_channels": 0}, "hidden_channels: expected an integer ≥ 1"),
        ({"num_layers": 0}, "num_layers: expected an integer ≥ 1"),
        ({"num_features": 0}, "num_features: expected an integer ≥ 1"),
        ({"bias": 1}, "bias: expected True or False"),
        ({"graph": LabelGraph.from_targets(TARGETS, weighting="kernel")}, "graph: .* weighting 'kernel'"),
        ({"graph": LabelGraph.from_targets([], num_labels=4097)}, "graph: expected at most 4,096 one-hot labels"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        LabelGNNHead(**{"graph": chain(), "num_features": D} | arguments)
    assert not re.search("[\x00-\x1f]", str(error.value))


class Returns(torch.nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x, edge_index):
        return self.value


@pytest.mark.parametrize(
    "value",
    [None, (torch.zeros(4, 5),), torch.zeros(4), torch.zeros(3, 5), torch.zeros(4, 5).long(), torch.zeros(4, 0)],
)
def test_outputs_that_are_no_codes_of_labels(value):
    with pytest.raises(InputError, match="gnn: expected"):
        LabelGNNHead(chain(), D, Returns(value))


def test_the_head_of_a_notebook():
    assert ">gat</td>" in LabelGNNHead(chain(), D, "gat", 5)._repr_html_()
    assert "TAGConv" in LabelGNNHead(chain(), D, TAGConv(3, 5))._repr_html_()

import pytest
import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checks import InputError
from mlgcn_pyg.nn import LinearHead, multilabel_soft_margin
from tests.nn.oracle import awkward_graphs, dense_logits

DEPTHS = [(), (4,), (4, 3), (4, 3, 5)]  # Table 3 has 2, 3 and 4 layers


@pytest.mark.parametrize("hidden", DEPTHS)
@pytest.mark.parametrize("x_width", [3, None])
def test_logits_and_gradients_equal_the_dense_reference(hidden, x_width):
    for name, graph in awkward_graphs(x_width):
        head = MLGCNHead(graph, num_features=6, hidden_channels=hidden).double()
        features = torch.randn(7, 6, dtype=torch.float64)
        logits = head(features)
        weights = [conv.weight.detach().clone().requires_grad_() for conv in head.convs]
        expected = dense_logits(graph, weights, features)
        assert torch.allclose(logits, expected, rtol=1e-10, atol=1e-12), name
        signal = torch.randn_like(logits)
        logits.backward(signal)
        expected.backward(signal)
        for conv, weight in zip(head.convs, weights, strict=True):
            assert torch.allclose(conv.weight.grad, weight.grad, rtol=1e-10, atol=1e-12), name


def test_gradients_equal_finite_differences():
    for _, graph in awkward_graphs():
        head = MLGCNHead(graph, num_features=3, hidden_channels=(2,)).double()
        features = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
        names = [name for name, _ in head.named_parameters()]

        def run(features, *values, head=head, names=names):
            return torch.func.functional_call(head, dict(zip(names, values, strict=True)), (features,))

        assert torch.autograd.gradcheck(run, (features, *head.parameters()))


def test_to_linear_is_exact():
    for _, graph in awkward_graphs():
        for head in (MLGCNHead(graph, 6, (4,)), LinearHead(graph.num_labels, 6), LinearHead(3, 6, bias=False)):
            features = torch.randn(9, 6)
            linear, logits = head.to_linear(), head(features)
            assert isinstance(linear, torch.nn.Linear)
            assert torch.allclose(linear(features), logits, rtol=1e-6, atol=1e-6 * float(logits.detach().abs().max()))
            with torch.no_grad():
                linear.weight.zero_()
            assert torch.equal(head(features), logits)  # it is a copy


def test_linear_heads_have_a_bias_and_ml_gcn_has_none():
    graph = LabelGraph.from_targets([[1, 1]])
    assert MLGCNHead(graph, 4).to_linear().bias is None and LinearHead(2, 4).to_linear().bias is not None
    assert MLGCNHead(graph, 4).classifiers().shape == LinearHead(2, 4).classifiers().shape == (2, 4)


def test_state_dict_carries_the_graph():
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5))
    head, other = MLGCNHead(graph, 6, (4,)), MLGCNHead(graph.reweighted(p=0.9), 6, (4,))
    other.load_state_dict(head.state_dict())
    features = torch.randn(2, 6)
    assert torch.equal(head(features), other(features))


def test_one_image_and_no_image():
    head = MLGCNHead(LabelGraph.from_targets([[1, 1]]), 4)
    assert head(torch.zeros(1, 4)).shape == (1, 2) and head(torch.zeros(0, 4)).shape == (0, 2)


def test_moving_the_head_moves_its_graph():
    head = MLGCNHead(LabelGraph.from_targets([[1, 1]]), 4).double()
    assert head.edge_weight.dtype == torch.float64 and head.edge_index.dtype == torch.int64


@pytest.mark.parametrize(
    "features, message",
    [
        (torch.zeros(2, 5), r"features: expected shape \(batch, 4\), found shape \(2, 5\)"),
        (torch.zeros(4), r"found shape \(4,\)"),
    ],
)
def test_refused_features(features, message):
    for head in (MLGCNHead(LabelGraph.from_targets([[1, 1]]), 4), LinearHead(2, 4)):
        with pytest.raises(InputError, match=message):
            head(features)


def test_refused_arguments():
    graph = LabelGraph.from_targets([[1, 1]])
    with pytest.raises(InputError, match="num_features"):
        MLGCNHead(graph, 0)
    with pytest.raises(InputError, match="hidden_channels"):
        MLGCNHead(graph, 4, (0,))
    graph.self_weight = torch.full((2,), torch.nan)
    with pytest.raises(InputError, match="self_weight: expected finite"):
        MLGCNHead(graph, 4)


class Flat(torch.nn.Module):
    """A backbone as small as can be: the mean of each channel."""

    num_features = 3

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(3))

    def forward(self, images):
        return images.mean(dim=(2, 3)) * self.scale


def test_model_is_backbone_then_head_and_groups_its_parameters():
    head = MLGCNHead(LabelGraph.from_targets([[1, 1]], label_names=["a", "b"]), 3)
    model = MLGCN(Flat(), head)
    images = torch.randn(2, 3, 4, 5)
    assert torch.equal(model(images), head(images.mean(dim=(2, 3)))) and model.label_names == ("a", "b")
    backbone, classifiers = model.param_groups(0.1)
    assert backbone["lr"] == pytest.approx(0.01) and classifiers["lr"] == 0.1
    assert sum(len(g["params"]) for g in (backbone, classifiers)) == len(list(model.parameters()))
    with pytest.raises(InputError, match="head: expected num_features = 3, as the backbone has, found 4"):
        MLGCN(Flat(), MLGCNHead(LabelGraph.from_targets([[1, 1]]), 4))


def test_loss_equals_torch_where_everything_is_known():
    logits, targets = torch.randn(5, 4), torch.randint(0, 2, (5, 4))
    expected = torch.nn.functional.multilabel_soft_margin_loss(logits, targets.float())
    assert torch.allclose(multilabel_soft_margin(logits, targets), expected)


def test_unknown_targets_add_nothing_to_the_loss_and_have_no_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    targets = torch.tensor([[1, -1, 0], [-1, -1, -1]], dtype=torch.int8)
    loss = multilabel_soft_margin(logits, targets)
    by_hand = (-logits[0, 0].sigmoid().log() - (1 - logits[0, 2].sigmoid()).log()) / 6
    assert torch.allclose(loss, by_hand)
    loss.backward()
    assert (logits.grad[targets == -1] == 0).all() and (logits.grad[targets != -1] != 0).all()
    with pytest.raises(InputError, match="targets: expected the shape of logits"):
        multilabel_soft_margin(logits, targets[:1])

import copy
import pickle

import pytest
import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import load_head, save_head
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LinearHead, multilabel_soft_margin
from mlgcn_pyg.nn.gcn import features_first
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


def test_both_orders_of_the_last_products_are_used_and_agree():
    graph = LabelGraph.from_targets(torch.eye(4)[:, [0, 0, 1, 2]], x=torch.randn(4, 3))
    head = MLGCNHead(graph, 6, (5,)).double()
    features = torch.randn(40, 6, dtype=torch.float64)
    orders = {features_first(n, 4, 5, 6, train_head=True, train_features=False) for n in (1, 40)}
    assert orders == {True, False}
    assert torch.allclose(torch.cat([head(row[None]) for row in features]), head(features), rtol=1e-12)


def test_a_head_always_uses_its_current_parameters():
    """Fused optimisers do not announce their steps: nothing folded may be kept between calls."""
    head = MLGCNHead(LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5)), 6, (4,))
    features = torch.randn(2, 6)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, fused=True)
    for _ in range(2):
        head(features).sum().backward()
        optimizer.step()
        expected = dense_logits(head.label_graph(), [conv.weight for conv in head.convs], features)
        assert torch.allclose(head(features), expected, atol=1e-5)
        assert torch.allclose(head.to_linear()(features), expected, atol=1e-5)


@pytest.mark.parametrize("learn", [{"learn_edges": True}, {"learn_p": True}, {"learn_edges": True, "learn_p": True}])
@pytest.mark.parametrize("x_width", [3, None])
def test_learned_edges_start_at_equation_8_and_have_right_gradients(learn, x_width):
    for name, graph in awkward_graphs(x_width):
        if graph.weighting != "paper":
            with pytest.raises(InputError, match="weighting 'paper'"):
                MLGCNHead(graph, 3, (2,), **learn)
            continue
        torch.manual_seed(0)
        head = MLGCNHead(graph, 3, (2,), **learn).double()
        torch.manual_seed(0)
        fixed = MLGCNHead(graph, 3, (2,)).double()
        features = torch.randn(2, 3, dtype=torch.float64)
        assert torch.allclose(head(features), fixed(features), atol=1e-7), name
        names = [n for n, _ in head.named_parameters()]

        def run(*values, head=head, names=names, features=features):
            return torch.func.functional_call(head, dict(zip(names, values, strict=True)), (features,))

        moved = [(p.detach() + 0.3 * torch.randn_like(p)).requires_grad_() for p in head.parameters()]
        assert torch.autograd.gradcheck(run, moved), name


def test_learned_rows_keep_the_sum_1_and_isolated_labels_keep_1_minus_p():
    targets = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
    head = MLGCNHead(LabelGraph.from_targets(targets, tau=0.5, p=0.3), 4, learn_edges=True, learn_p=True)
    with torch.no_grad():
        head.learned.edge_logits.normal_()
        head.learned.p_offsets.normal_()
    rows = head.label_graph().to_dense().sum(dim=1)
    assert torch.allclose(rows[:3], torch.ones(3)) and rows[3].item() == pytest.approx(0.7)
    assert head.label_graph().validate()


def test_learned_edges_learn(tmp_path):
    graph = LabelGraph.from_targets([[1, 1, 1], [1, 1, 0], [1, 0, 1]], tau=0.5)
    head = MLGCNHead(graph, 4, (8,), learn_edges=True, learn_p=True)
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    features, targets = torch.randn(16, 4), torch.randint(0, 2, (16, 3))
    before = head.label_graph().to_dense()
    for _ in range(20):
        optimizer.zero_grad()
        multilabel_soft_margin(head(features), targets).backward()
        optimizer.step()
    learned = head.label_graph()
    assert not torch.allclose(before, learned.to_dense(), atol=1e-3)
    expected = dense_logits(learned, [conv.weight for conv in head.convs], features)
    assert torch.allclose(head(features), expected, atol=1e-5)
    save_head(tmp_path / "h.pt", head)
    assert torch.equal(load_head(tmp_path / "h.pt")(features), head(features))
    as_fixed = MLGCNHead(learned, 4, (8,))  # the learned graph, frozen, in a different head
    for fixed_conv, conv in zip(as_fixed.convs, head.convs, strict=True):
        fixed_conv.load_state_dict(conv.state_dict())
    assert torch.allclose(as_fixed(features), head(features), atol=1e-6)


def test_learning_p_requires_a_graph_with_p_between_0_and_1():
    for p in (0.0, 1.0):
        with pytest.raises(InputError, match="learn_p: expected a graph with 0 < p < 1, found p = "):
            MLGCNHead(LabelGraph.from_targets([[1, 1]], p=p), 4, learn_p=True)


def test_trained_weights_on_a_different_graph():
    """The weights know no label: with more labels, the old ones keep their logits where no new edge reaches them."""
    x = torch.randn(4, 5)
    targets = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1]])
    head = MLGCNHead(LabelGraph.from_targets(targets, x=x[:3], label_names=list("abc")), 6, (4,))
    more = torch.cat([targets, torch.zeros(3, 1)], dim=1)
    wider = head.with_graph(LabelGraph.from_targets(more, x=x, label_names=list("abcd")))
    features = torch.randn(2, 6)
    assert wider(features).shape == (2, 4) and torch.allclose(wider(features)[:, :3], head(features), atol=1e-6)
    order = [2, 0, 1]
    turned = LabelGraph.from_targets(targets[:, order], x=x[order], label_names=list("cab"))
    assert torch.allclose(head.with_graph(turned)(features), head(features)[:, order], atol=1e-6)
    for other in (LabelGraph.from_targets(more, x=torch.randn(4, 3)), LabelGraph.from_targets(more)):
        with pytest.raises(InputError, match="graph: expected embeddings of width 5"):
            head.with_graph(other)


def test_a_label_without_training_images(tmp_path):
    """Its classifier is that of its embedding and its edges; it has the mean of the biases, and can be saved."""
    targets = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1]])
    head = MLGCNHead(LabelGraph.from_targets(targets, x=torch.randn(3, 5), label_names=list("abc")), 6, (4,))
    head.set_bias([1.0, 2.0, 6.0])
    head.set_statistics(torch.randn(6), torch.rand(6) + 0.5)
    features, twin = torch.randn(2, 6), head.x[:1]
    wider = head.with_graph(head.base_graph().with_labels(["new", "twin"], torch.cat([torch.randn(1, 5), twin])))
    assert wider.label_names == ("a", "b", "c", "new", "twin") and wider.bias.tolist() == [1, 2, 6, 3, 3]
    weights = [conv.weight for conv in head.layers]
    expected = dense_logits(wider.label_graph(), weights, wider.standardized(features)) + wider.bias
    assert torch.allclose(wider(features), expected, atol=1e-5)
    assert torch.allclose(wider(features)[:, :3], head(features), atol=1e-5)
    edges = [("twin", name, 1.0) for i, name in enumerate("abc") if head.base_graph().to_dense()[0, i] and name != "a"]
    same = head.with_graph(head.base_graph().with_labels(["twin"], twin).with_edges(edges))  # the neighbours of a
    assert torch.allclose(same.classifiers()[3], head.classifiers()[0], atol=1e-6)
    save_head(tmp_path / "wider.pt", wider)
    assert torch.equal(load_head(tmp_path / "wider.pt")(features), wider(features))


def test_learned_edges_follow_their_labels_to_a_different_graph():
    targets = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 1]])
    x = torch.randn(3, 5)
    graph = LabelGraph.from_targets(targets, x=x, tau=0.5, label_names=list("abc"))
    head = MLGCNHead(graph, 6, (4,), learn_edges=True, learn_p=True)
    with torch.no_grad():
        head.learned.edge_logits.normal_()
        head.learned.p_offsets.normal_()
    order = [1, 2, 0]
    turned = LabelGraph.from_targets(targets[:, order], x=x[order], tau=0.5, label_names=list("bca"))
    features = torch.randn(2, 6)
    assert torch.allclose(head.with_graph(turned)(features), head(features)[:, order], atol=1e-6)


@pytest.mark.parametrize("x_width, hidden", [(3, (4,)), (None, (4,)), (None, ())])
@pytest.mark.parametrize("label_chunk", [1, 3, 100])
def test_topk_in_chunks_equals_topk_of_all(x_width, hidden, label_chunk):
    targets = torch.cat([torch.ones(7, 1), torch.eye(7)], dim=1)
    graph = LabelGraph.from_targets(targets, x=None if x_width is None else torch.randn(8, x_width))
    head, features = MLGCNHead(graph, 6, hidden), torch.randn(5, 6)
    for k in (1, 4, 8):
        values, labels = head.topk(features, k, label_chunk)
        expected = head(features).topk(k, dim=1)
        assert torch.allclose(values, expected.values, atol=1e-5) and torch.equal(labels, expected.indices)
    with pytest.raises(InputError, match="k: expected at most 8, the number of labels, found 9"):
        head.topk(features, 9)


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("x_width", [5, None])
def test_half_precision_under_autocast(learn, x_width):
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=None if x_width is None else torch.randn(3, x_width))
    head, features = MLGCNHead(graph, 6, (4, 4), learn_edges=learn, learn_p=learn), torch.randn(2, 6)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(features)
    assert torch.allclose(logits.float(), head(features), atol=0.05)
    logits.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_a_head_can_be_copied_and_pickled():
    head = MLGCNHead(LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5)), 6, (4,))
    features = torch.randn(2, 6)
    for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert torch.equal(twin(features), head(features))
        twin.load_state_dict(head.state_dict())


@pytest.mark.parametrize("learn", [False, True])
def test_inside_torch_compile(learn):
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5))
    head = MLGCNHead(graph, 6, (4,), learn_edges=learn)
    features = torch.randn(2, 6)
    out = torch.compile(head)(features)
    assert torch.allclose(out, head(features), atol=1e-6)


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


def test_folding_draws_no_random_numbers():
    head = MLGCNHead(LabelGraph.from_targets([[1, 1]]), 4)
    before = torch.get_rng_state()
    head.to_linear()
    assert torch.equal(torch.get_rng_state(), before)


def test_linear_heads_have_a_bias_and_ml_gcn_has_none():
    graph = LabelGraph.from_targets([[1, 1]])
    assert MLGCNHead(graph, 4).to_linear().bias is None and LinearHead(2, 4).to_linear().bias is not None
    assert MLGCNHead(graph, 4).classifiers().shape == LinearHead(2, 4).classifiers().shape == (2, 4)


def test_a_state_of_a_different_graph_raises_before_anything_is_loaded():
    targets = torch.tensor([[1, 1, 0], [1, 0, 1]])
    graph = LabelGraph.from_targets(targets, x=torch.randn(3, 5))
    head = MLGCNHead(graph, 6, (4,))
    same = MLGCNHead(graph, 6, (4,))
    same.load_state_dict(head.state_dict())
    features = torch.randn(2, 6)
    assert torch.equal(head(features), same(features))
    turned = LabelGraph.from_targets(targets[:, [2, 0, 1]], x=graph.x)
    others = {
        "edge_weight": graph.reweighted(p=0.9),
        "x": LabelGraph.from_targets(targets, x=torch.randn(3, 5)),
        "edge_index": turned,
    }
    for name, other in others.items():
        target = MLGCNHead(other, 6, (4,))
        before = target(features)
        with pytest.raises(
            InputError, match=f"state_dict: expected the state of a head on this label graph, found a different {name}"
        ):
            target.load_state_dict(head.state_dict())
        assert torch.equal(target(features), before)


def test_reset_parameters_resets_learned_edges():
    head = MLGCNHead(LabelGraph.from_targets([[1, 1]], p=0.3), 4, learn_edges=True, learn_p=True)
    with torch.no_grad():
        head.learned.p_offsets.fill_(2.0)
    head.reset_parameters()
    assert torch.allclose(head.weights()[1], torch.full((2,), 0.7))


def test_p_starts_at_equation_8_for_labels_that_never_learned_one():
    old = LabelGraph.from_targets([[1, 1, 0]], x=torch.randn(3, 5), label_names=list("abc"))
    new = LabelGraph.from_targets([[0, 1, 1]], x=torch.randn(3, 5), label_names=list("abc"), p=0.5)
    head = MLGCNHead(old, 4, learn_p=True)
    with torch.no_grad():
        head.learned.p_offsets.fill_(1.0)
    moved = head.with_graph(new).weights()[1]
    assert moved[2].item() == pytest.approx(0.5) and moved[1].item() != pytest.approx(0.5)


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
def test_invalid_features(features, message):
    for head in (MLGCNHead(LabelGraph.from_targets([[1, 1]]), 4), LinearHead(2, 4)):
        with pytest.raises(InputError, match=message):
            head(features)


def test_invalid_arguments():
    graph = LabelGraph.from_targets([[1, 1]])
    with pytest.raises(InputError, match="num_features"):
        MLGCNHead(graph, 0)
    with pytest.raises(InputError, match="hidden_channels"):
        MLGCNHead(graph, 4, (0,))
    for slope in (-0.1, float("nan")):
        with pytest.raises(InputError, match="negative_slope"):
            MLGCNHead(graph, 4, negative_slope=slope)
    with pytest.raises(InputError, match="num_features: expected an integer ≥ 1, found 5.0"):
        MLGCNHead(graph, 5.0)
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
    with pytest.raises(InputError, match="head: expected num_features = 3, as in the backbone, found 4"):
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

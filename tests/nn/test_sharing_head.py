import copy
import pickle

import pytest
import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import load_head, load_linear, load_model, save_head, save_linear, save_model
from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.graph import WEIGHTINGS
from mlgcn_pyg.nn import Backbone, LinearHead, SharingHead, multilabel_soft_margin
from mlgcn_pyg.training import HeadConfig, fit_head

D = 6
TARGETS = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


def awkward_graphs(has_x=False):
    hub = torch.cat([torch.ones(5, 1), torch.eye(5)], dim=1)
    cases = {"some": TARGETS, "hub": hub, "no edge": torch.zeros(0, 4), "one label": torch.ones(2, 1)}
    for name, targets in cases.items():
        for weighting in WEIGHTINGS:
            x = torch.randn(targets.size(1), 3) if has_x else None
            yield f"{name}, {weighting}", LabelGraph.from_targets(targets, weighting=weighting, x=x, tau=0.3)


def random_head(graph, **options):
    head = SharingHead(graph, D, **options).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    return head


@pytest.mark.parametrize("has_x", [False, True])
def test_logits_and_gradients_equal_the_dense_formula(has_x):
    for name, graph in awkward_graphs(has_x):
        head = random_head(graph)
        s = graph.to_dense().double()
        v, b = (p.detach().clone().requires_grad_() for p in (head.weight, head.bias))
        for batch in (0, 2, 2 * D):  # both orders of the products
            features = torch.randn(batch, D, dtype=torch.float64)
            logits, expected = head(features), features @ (s @ v).t() + b
            assert torch.allclose(logits, expected, rtol=1e-10, atol=1e-12), name
            signal = torch.randn_like(logits)
            found = torch.autograd.grad(logits, [head.weight, head.bias], signal)
            for a, e in zip(found, torch.autograd.grad(expected, [v, b], signal), strict=True):
                assert torch.allclose(a, e, rtol=1e-10, atol=1e-12), name
        assert torch.allclose(head.classifiers(), s @ v), name


def test_it_is_an_mlgcn_of_one_layer_on_one_hot_labels():
    for name, graph in awkward_graphs():
        head = random_head(graph)
        other = MLGCNHead(graph, D, (), bias=True).double()
        other.convs[0].weight.data.copy_(head.weight)
        other.set_bias(head.bias.detach())
        features = torch.randn(3, D, dtype=torch.float64)
        assert torch.allclose(head(features), other(features), atol=1e-12), name


@pytest.mark.parametrize("options", [{"weighting": "none"}, {"p": 0.0}, {"weighting": "kernel", "alpha": 0.0}])
def test_without_sharing_it_is_the_linear_head(options):
    head = random_head(LabelGraph.from_targets(TARGETS, x=torch.randn(4, 3), **options))
    linear = LinearHead(4, D).double()
    linear.linear.weight.data.copy_(head.weight)
    linear.set_bias(head.bias.detach())
    for part in (head, linear):
        part.set_statistics(torch.arange(D), torch.arange(D) + 1)
    features = torch.randn(3, D, dtype=torch.float64)
    assert torch.allclose(head(features), linear(features), atol=1e-12)


def test_it_starts_at_0_and_returns_to_it():
    head = SharingHead(LabelGraph.from_targets(TARGETS, weighting="kernel"), D, learn_edges=True)
    assert not head(torch.randn(3, D)).any()
    for parameter in head.parameters():
        parameter.data.normal_()
    head.reset_parameters()
    assert not any(parameter.any() for parameter in head.parameters())


def test_gradients_equal_finite_differences():
    kernel = LabelGraph.from_targets(TARGETS, weighting="kernel", x=torch.randn(4, 3))
    paper = LabelGraph.from_targets(TARGETS, tau=0.3)
    learned = {"learn_edges": True, "learn_p": True}
    for graph, options in [(kernel, {}), (kernel, {"learn_edges": True}), (paper, learned)]:
        head = random_head(graph, **options)
        head.set_statistics(torch.zeros(D), torch.arange(D) + 1)
        names = [name for name, _ in head.named_parameters()]

        def run(features, *values, head=head, names=names):
            return torch.func.functional_call(head, dict(zip(names, values, strict=True)), (features,))

        for batch in (2, D):
            features = torch.randn(batch, D, dtype=torch.float64, requires_grad=True)
            assert torch.autograd.gradcheck(run, (features, *head.parameters()))


def test_learned_entries_start_at_s_and_are_added_to_it():
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", alpha=0.8, x=torch.randn(4, 3))
    head = SharingHead(graph, D, learn_edges=True)
    assert torch.equal(head.label_graph().to_dense(), graph.to_dense())
    with torch.no_grad():
        head.learned.edge_offsets.normal_()
    moved = head.label_graph()
    assert torch.allclose(moved.edge_weight, graph.edge_weight + head.learned.edge_offsets, atol=1e-6)
    assert torch.equal(moved.self_weight, graph.self_weight) and moved.validate()
    assert not torch.allclose(moved.to_dense(), moved.to_dense().t())
    with pytest.raises(InputError, match="edge_weight: expected .* learned"):
        moved.reweighted(alpha=0.5)


def test_what_cannot_be_learned_is_refused():
    for weighting in ("released", "binary", "none"):
        with pytest.raises(
            InputError, match="graph: expected weighting 'paper' or 'kernel', which learned edges require"
        ):
            SharingHead(LabelGraph.from_targets(TARGETS, weighting=weighting), D, learn_edges=True)
    with pytest.raises(InputError, match="learn_p: expected weighting 'paper', which alone has a p, found 'kernel'"):
        SharingHead(LabelGraph.from_targets(TARGETS, weighting="kernel"), D, learn_edges=True, learn_p=True)


def test_an_mlgcn_head_does_not_propagate_embeddings_that_define_the_kernel():
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", x=torch.randn(4, 3))
    message = "graph: expected a graph without embeddings for weighting 'kernel'.*of width 3; use SharingHead"
    with pytest.raises(InputError, match=message):
        MLGCNHead(graph, D)
    assert MLGCNHead(graph.reweighted(weighting="paper"), D, (4,)).label_graph().x is not None


@pytest.mark.parametrize("options", [{}, {"learn_edges": True}])
def test_folded_saved_loaded_copied_and_pickled(tmp_path, options):
    graph = LabelGraph.from_targets(
        TARGETS, weighting="kernel", alpha=0.7, x=torch.randn(4, 3), label_names=list("abcd")
    )
    head = random_head(graph, **options).float()
    head.set_statistics(torch.arange(D), torch.tensor([0.0, 1, 2, 3, 4, 5]))
    features = 10 * torch.randn(5, D)
    logits = head(features)
    assert torch.allclose(head.to_linear()(features), logits, atol=1e-4)
    save_head(tmp_path / "h.pt", head)
    loaded = load_head(tmp_path / "h.pt")
    assert isinstance(loaded, SharingHead) and torch.equal(loaded(features), logits)
    assert loaded.base_graph().digest() == head.base_graph().digest() == graph.digest()
    save_linear(tmp_path / "h.safetensors", head)
    assert torch.allclose(load_linear(tmp_path / "h.safetensors")(features), logits, atol=1e-4)
    for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert torch.equal(twin(features), logits)
        twin.load_state_dict(head.state_dict())


def test_sizes_are_compared_with_the_stored_weights_before_a_head_is_built(tmp_path):
    save_head(tmp_path / "h.pt", SharingHead(LabelGraph.from_targets(TARGETS), D))
    content = torch.load(tmp_path / "h.pt", weights_only=True)
    for change in ({"num_features": 1 << 40}, {"state_dict": {}}, {"learn_edges": True}, {"head": "other"}):
        torch.save(content | change, tmp_path / "x.pt")
        with pytest.raises(InputError, match="a complete head or model"):
            load_head(tmp_path / "x.pt")


def test_topk_equals_topk_of_all():
    for name, graph in awkward_graphs():
        head, features = random_head(graph), torch.randn(5, D, dtype=torch.float64)
        head.set_statistics(torch.ones(D), torch.full((D,), 2.0))
        for label_chunk in (1, 3, 100):
            values, labels = head.topk(features, graph.num_labels, label_chunk)
            expected = head(features).topk(graph.num_labels, dim=1)
            assert torch.allclose(values, expected.values), name
            assert torch.equal(labels, expected.indices), name
    with pytest.raises(InputError, match="k: expected at most 1, the number of labels, found 2"):
        head.topk(features, 2)


@pytest.mark.parametrize("weighting", ["paper", "kernel"])
def test_rows_follow_their_labels_to_a_different_graph(weighting):
    options = {"weighting": weighting, "tau": 0.3}
    head = random_head(LabelGraph.from_targets(TARGETS, label_names=list("abcd"), **options), learn_edges=True)
    head.set_statistics(torch.zeros(D), torch.full((D,), 2.0))
    order = [3, 1, 0, 2]
    turned = head.with_graph(LabelGraph.from_targets(TARGETS[:, order], label_names=list("dbac"), **options))
    features = torch.randn(3, D, dtype=torch.float64)
    assert torch.allclose(turned(features), head(features)[:, order], atol=1e-6)
    fewer = head.with_graph(LabelGraph.from_targets(TARGETS[:, [1, 3]], label_names=["b", "d"], **options))
    assert torch.equal(fewer.weight, head.weight[[1, 3]]) and torch.equal(fewer.bias, head.bias[[1, 3]])
    more = LabelGraph.from_targets(torch.eye(5), label_names=["a", "b", "kite", "tie", "c"], **options)
    with pytest.raises(
        InputError, match="graph: expected labels of this head, found 'kite', 'tie'; train a head on this"
    ):
        head.with_graph(more)


def test_half_precision_under_autocast():
    head = random_head(LabelGraph.from_targets(TARGETS, weighting="kernel"), learn_edges=True).float()
    for batch in (2, 2 * D):
        features = torch.randn(batch, D)
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(features)
        assert torch.allclose(logits.float(), head(features), atol=0.3)
        logits.float().square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_inside_torch_compile():
    head = random_head(LabelGraph.from_targets(TARGETS, weighting="kernel"), learn_edges=True).float()
    features = torch.randn(2, D)
    assert torch.allclose(torch.compile(head)(features), head(features), atol=1e-5)


def test_a_whole_network_is_saved_with_it(tmp_path):
    head = SharingHead(LabelGraph.from_targets(TARGETS, weighting="kernel"), 512)
    head.weight.data.normal_()
    model = MLGCN(Backbone("squeezenet1_1"), head)
    save_model(tmp_path / "m.pt", model, image_size=64)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "m.pt")(images), model.eval()(images))


def test_twins_are_labels_with_equal_rows_of_s(recwarn):
    head = SharingHead(LabelGraph.from_targets([[1, 1, 0], [0, 0, 1]], p=0.5, x=torch.randn(3, 2)), 3)
    assert head.indistinct_labels().twins == (("0", "1"),)
    silent = SharingHead(LabelGraph.from_targets([[1, 0], [0, 1]], p=1), 3)
    assert silent.indistinct_labels().silent == ("0", "1")
    same = torch.ones(3, 2)
    assert SharingHead(LabelGraph.from_targets(torch.eye(3), x=same), 3).indistinct_labels().twins == ()


def test_fitting_a_head_with_twins_warns():
    head = SharingHead(LabelGraph.from_targets([[1, 1, 0], [0, 0, 1]], p=0.5), 3)
    with pytest.warns(
        InputWarning,
        match="these labels have equal rows in Â and thus one classifier: '0' = '1'; merge them or lower p",
    ):
        fit_head(head, (torch.randn(4, 3), torch.ones(4, 3)), config=HeadConfig(epochs=1))


def test_training_by_sgd_lowers_the_loss():
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", alpha=0.9)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(32, D, generator=generator)
    targets = (features[:, :4] > 0).to(torch.int8)
    targets[::5, 1] = -1
    head = SharingHead(graph, D, learn_edges=True)
    before = multilabel_soft_margin(head(features), targets)
    fit_head(head, (features, targets), config=HeadConfig(epochs=20, lr=1.0))
    assert multilabel_soft_margin(head(features), targets) < before - 0.02
    assert head.learned.edge_offsets.any()

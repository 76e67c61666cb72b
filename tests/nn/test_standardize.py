"""Heads on standardised features, against the formula written in NumPy in float64."""

import copy

import numpy as np
import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LinearHead, Standardize
from tests.nn.oracle import awkward_graphs, dense_logits

C, D = 3, 6
GENERATOR = np.random.default_rng(0)
MEAN, STD = GENERATOR.normal(5.0, 3.0, D), np.array([2.0, 0.5, 0.0, 1e-3, 100.0, 1.0])
BIAS = GENERATOR.normal(size=C)


def graph(x=True, names=None):
    targets = [[1, 1, 0], [1, 0, 1], [1, 1, 1]]
    return LabelGraph.from_targets(targets, x=torch.randn(C, 5) if x else None, tau=0.4, label_names=names)


def heads():
    torch.manual_seed(0)
    return {
        "linear": LinearHead(C, D),
        "linear without bias": LinearHead(C, D, bias=False),
        "two layers": MLGCNHead(graph(), D, (4,)),
        "three layers": MLGCNHead(graph(), D, (4, 7), bias=True),
        "one-hot, one layer": MLGCNHead(graph(x=False), D, ()),
        "learned": MLGCNHead(graph(), D, (4,), learn_edges=True, learn_p=True),
    }


def standardised(head):
    head.set_statistics(MEAN, STD)
    head.set_bias(BIAS)
    return head


def features(count=20):
    return torch.from_numpy(np.random.default_rng(1).normal(MEAN, STD, (count, D))).float()


def expected(head, x):
    """(x − μ) / σ with constant features set to 0, times the classifiers, plus the bias."""
    z = (x.double().numpy() - MEAN) / np.where(STD > 0, STD, np.inf)
    return z @ head.classifiers().detach().double().numpy().T + BIAS


@pytest.mark.parametrize("name", heads())
def test_logits_are_those_of_standardised_features(name):
    head, x = standardised(heads()[name]), features()
    assert head.has_statistics and np.allclose(head(x).detach(), expected(head, x), atol=1e-3)
    exact = standardised(heads()[name].double())
    assert np.allclose(exact(x.double()).detach(), expected(exact, x), atol=1e-9)


@pytest.mark.parametrize("name", heads())
def test_folding_gives_the_same_logits(name):
    head, x = standardised(heads()[name].double()), features().double()
    linear = head.to_linear()
    assert torch.allclose(linear(x), head(x), atol=1e-8) and not linear.weight[:, 2].any()
    assert linear.weight.dtype == linear.bias.dtype == torch.float64


@pytest.mark.parametrize("x_width", [3, None])
def test_gradients_equal_those_of_the_dense_formula(x_width):
    for name, label_graph in awkward_graphs(x_width):
        head = MLGCNHead(label_graph, D, (4,), bias=True).double()
        head.set_statistics(MEAN, STD)
        x, weights = features().double(), [conv.weight.detach().clone().requires_grad_() for conv in head.convs]
        z = torch.from_numpy((x.numpy() - MEAN) / np.where(STD > 0, STD, np.inf))
        reference = dense_logits(label_graph, weights, z)
        signal = torch.randn_like(reference)
        head(x).backward(signal)
        reference.backward(signal)
        assert torch.allclose(head.bias.grad, signal.sum(0)), name
        for conv, weight in zip(head.convs, weights, strict=True):
            assert torch.allclose(conv.weight.grad, weight.grad, rtol=1e-8, atol=1e-10), name


def test_a_new_head_has_no_statistics_and_no_new_entry_in_its_state_dict():
    assert list(LinearHead(C, D).state_dict()) == ["linear.weight", "linear.bias"]
    head = MLGCNHead(graph(), D, (4,))
    names = {"x", "edge_index", "edge_weight", "self_weight", "convs.0.weight", "convs.1.weight"}
    assert set(head.state_dict()) == names
    assert head.standardize is None and head.bias is None and not head.has_statistics
    assert head.to_linear().bias is None


def test_a_constant_feature_is_ignored_whatever_its_value():
    head, x = standardised(LinearHead(C, D)), features(4)
    other = x.clone()
    other[:, 2] += 100.0
    assert torch.equal(head(x), head(other)) and torch.allclose(head.to_linear()(x), head.to_linear()(other))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_deviation_that_is_a_rounding_error_counts_as_constant(dtype):
    column = np.full(100_000, 0.1, dtype=dtype)
    std = column.std(dtype=np.float32 if dtype is np.float16 else dtype)
    kind = torch.float64 if dtype is np.float64 else torch.float32
    assert Standardize([float(column[0]), 1.0], [float(std), 0.5], kind).scale.tolist() == [0.0, 2.0]
    # the smallest variation that float16 features can have is not a rounding error
    rare = np.zeros(100_000) + np.float16(0.1)
    rare[0] = np.nextafter(np.float16(0.1), np.float16(1))
    assert Standardize([rare.mean()], [rare.std()], torch.float64).scale[0] == pytest.approx(1 / rare.std())


def test_tiny_and_huge_features_have_finite_scales():
    scale = Standardize([0.0, 0.0, 1e30], [1e-45, 1e-30, 1e30]).scale
    assert scale[0] == 0 and scale.isfinite().all() and scale[1] == pytest.approx(1e30)


@pytest.mark.parametrize("kind", ["linear", "two layers"])
def test_scaled_and_shifted_features_give_the_same_logits(kind):
    """Statistics of x and of 100 x + 7 lead to the same standardised features."""
    head, x = heads()[kind], features(50)
    head.set_statistics(x.mean(0), x.std(0, correction=0))
    before = head(x)
    x = 100 * x + 7
    head.set_statistics(x.double().mean(0), x.double().std(0, correction=0))
    assert torch.allclose(head(x), before, atol=1e-2)


def test_statistics_and_bias_are_replaced_in_place():
    head = standardised(MLGCNHead(graph(), D, (4,)))
    standardize, bias, pointer = head.standardize, head.bias, head.standardize.mean.data_ptr()
    head.set_statistics(np.zeros(D), np.ones(D))
    head.set_bias([1.0, 2.0, 3.0])
    assert head.standardize is standardize and head.bias is bias and standardize.mean.data_ptr() == pointer
    assert not standardize.mean.any() and bias.tolist() == [1, 2, 3] and bias.requires_grad


def test_statistics_move_with_the_head():
    head = standardised(MLGCNHead(graph(), D, (4,))).double()
    assert head.standardize.mean.dtype == head.bias.dtype == torch.float64
    late = MLGCNHead(graph(), D, (4,)).double()
    late.set_statistics(MEAN, STD)
    assert late.standardize.mean.dtype == torch.float64
    twin = copy.deepcopy(head)
    twin.set_statistics(np.zeros(D), np.ones(D))
    assert head.standardize.mean.any()


@pytest.mark.parametrize("name", heads())
def test_a_new_head_loads_the_state_of_a_standardised_head(name):
    head, x = standardised(heads()[name]), features()
    again = heads()[name]
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(x), head(x))
    network, holder = torch.nn.Sequential(head), torch.nn.Sequential(heads()[name])  # with a prefix
    holder.load_state_dict(network.state_dict())
    assert torch.equal(holder(x), head(x))
    with torch.device("meta"):
        empty = LinearHead(C, D)
    if name == "linear":
        empty.load_state_dict(head.state_dict(), assign=True)
        assert torch.equal(empty(x), head(x))


def test_a_standardised_head_refuses_a_state_without_statistics():
    head = standardised(LinearHead(C, D))
    with pytest.raises(RuntimeError, match="Missing key.*standardize.mean"):
        head.load_state_dict(LinearHead(C, D).state_dict())
    with pytest.raises(RuntimeError, match="size mismatch for standardize.mean"):
        LinearHead(C, D).load_state_dict(head.state_dict() | {"standardize.mean": torch.zeros(2)})


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("label_chunk", [1, 2, 10])
def test_topk_is_that_of_all_logits(bias, label_chunk):
    for x in (True, False):
        head = MLGCNHead(graph(x), D, () if not x else (4,), bias=bias)
        head.set_statistics(MEAN, STD)
        if bias:
            head.set_bias([10.0, -10.0, 0.0])
        top, labels = head.topk(features(), 2, label_chunk)
        values, indices = head(features()).topk(2, dim=1)
        assert torch.allclose(top, values, atol=1e-4) and torch.equal(labels, indices)


def test_a_different_graph_keeps_statistics_and_the_bias_of_known_labels():
    first = graph(names=list("abc"))
    head = standardised(MLGCNHead(first, D, (4,)))
    targets, x = torch.eye(4, 4)[:, [2, 0, 3, 1]], torch.randn(4, 5)
    other = head.with_graph(LabelGraph.from_targets(targets, x=x, label_names=["c", "new", "a", "x"]))
    mean = BIAS.mean()
    assert np.allclose(other.bias.detach(), [BIAS[2], mean, BIAS[0], mean])
    assert torch.equal(other.standardize.scale, head.standardize.scale)
    other.set_statistics(np.zeros(D), np.ones(D))
    assert head.standardize.mean.any(), "the statistics are copies"
    order = [2, 0, 1]
    turned = LabelGraph.from_targets(
        torch.tensor([[1, 1, 0], [1, 0, 1], [1, 1, 1]])[:, order], x=first.x[order], tau=0.4, label_names=list("cab")
    )
    assert torch.allclose(head.with_graph(turned)(features()), head(features())[:, order], atol=1e-4)


def test_one_label_and_no_image():
    head = LinearHead(1, D)
    head.set_statistics(MEAN, STD)
    head.set_bias([2.0])
    assert head(features(0)).shape == (0, 1) and head(torch.tensor(MEAN).float()[None]).item() == pytest.approx(2.0)


@pytest.mark.parametrize(
    "mean, std, message",
    [
        (MEAN[:3], STD[:3], r"mean: expected shape \(6,\), found shape \(3,\)"),
        (MEAN, STD[:3], r"std: expected shape \(6,\), as mean, found shape \(3,\)"),
        (MEAN, -STD, "std: expected standard deviations ≥ 0, found -100"),
        (MEAN * np.nan, STD, "mean: expected finite numbers"),
        (MEAN, STD + np.inf, "std: expected finite numbers"),
        (MEAN[None], STD, "mean: expected a vector of real numbers"),
        ("x", STD, "mean: expected a tensor"),
    ],
)
def test_refused_statistics(mean, std, message):
    with pytest.raises(InputError, match=message):
        LinearHead(C, D).set_statistics(mean, std)


def test_refused_biases():
    for bias, message in [([1.0], r"shape \(3,\)"), ([np.nan] * 3, "finite"), (torch.ones(3, 1), "vector")]:
        with pytest.raises(InputError, match=f"bias: expected .*{message}"):
            LinearHead(C, D).set_bias(bias)
    with pytest.raises(InputError, match="bias: expected True or False"):
        MLGCNHead(graph(), D, bias=1)

"""Exact fits of heads: selection, interruption, and agreement of all paths."""

import math
import os
import signal

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.nn import LinearHead, SharingHead
from mlgcn_pyg.training import ExactConfig, HeadConfig, fit_head, fit_heads
from mlgcn_pyg.training.heads.exact import path
from mlgcn_pyg.training.heads.exact.selection import PathScores, choose


def data(num_images=90, num_features=12, num_labels=6, unknown=0.0, seed=0, shared=False):
    """Features and targets; with ``shared``, labels of a group have similar classifiers, which embeddings show."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(num_images, num_features, generator=g)
    group = torch.arange(num_labels) % max(1, num_labels // 5)
    own = torch.randn(num_labels, num_features, generator=g)
    w = 0.9 * torch.randn(num_labels, num_features, generator=g)[group] + 0.3 * own if shared else own
    z = x @ w.t()
    y = (torch.rand(z.shape, generator=g) < (4 * z / z.std(0) - 4 * shared - 1).sigmoid()).to(torch.int8)
    y[torch.rand(z.shape, generator=g) < unknown] = -1
    embeddings = torch.randn(num_labels, 30, generator=g)[group] + 0.3 * torch.randn(num_labels, 30, generator=g)
    return x, y, embeddings


def linear(y, x):
    return LinearHead(y.size(1), x.size(1))


def same(a, b):
    states = a.state_dict(), b.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_a_linear_head_is_that_of_scikit_learn():
    x, y, _ = data()
    head = linear(y, x)
    history = fit_head(head, (x, y), config=ExactConfig(l2=0.05, tolerance=1e-9))
    standardised = ((x - x.mean(0)) / x.std(0, unbiased=False)).double().numpy()
    for label in range(6):
        peer = LogisticRegression(C=1 / (90 * 0.05), tol=1e-10, max_iter=10_000).fit(standardised, y[:, label])
        assert abs(head.linear.weight[label].detach().numpy() - peer.coef_[0]).max() < 1e-4
        assert float(head.bias[label]) == pytest.approx(peer.intercept_[0], abs=1e-4)
    assert history.last["gradient"] <= 1e-9
    assert [record["iteration"] for record in history.epochs] == list(range(len(history.epochs)))
    assert history.last["loss"] < history.epochs[1]["loss"] < history.epochs[0]["loss"]


def test_scaled_and_shifted_features_give_the_same_map():
    x, y, _ = data()
    results = []
    for features in (x, 100 * x, x + 50, x / 1000):
        head = linear(y, x)
        results.append(fit_head(head, (features, y), (features, y)).last["mAP"])
    assert max(results) - min(results) < 1e-4


def test_a_sharing_head_without_edges_is_a_linear_head():
    x, y, _ = data(unknown=0.2)
    heads = [linear(y, x)]
    for options in ({"weighting": "none"}, {"weighting": "paper", "p": 0.0}, {"tau": 1.0, "p": 0.0}):
        heads.append(SharingHead(LabelGraph.from_targets(y, **options), x.size(1)))
    histories = fit_heads(heads, (x, y), (x, y))
    for head, history in zip(heads[1:], histories[1:], strict=True):
        assert torch.allclose(head.to_linear().weight, heads[0].to_linear().weight, atol=1e-6)
        assert history.last["mAP"] == histories[0].last["mAP"]


@pytest.mark.parametrize("weighting", ["paper", "released", "binary", "kernel"])
def test_a_sharing_head_is_the_minimum_of_its_own_loss(weighting):
    """Autograd through the head itself finds no direction in which the penalised loss decreases."""
    x, y, embeddings = data(unknown=0.3)
    graph = LabelGraph.from_targets(y, x=embeddings, weighting=weighting, tau=0.3)
    head = SharingHead(graph, x.size(1)).double()
    config = ExactConfig(l2=0.1, tolerance=1e-10, alpha=0.6, pos_weight=2.0)
    fit_head(head, (x, y), config=config)
    assert head.base_graph().alpha == (0.6 if weighting == "kernel" else None)
    known = (y >= 0).double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        head(x.double()), (y > 0).double(), known / len(x), pos_weight=torch.tensor(2.0), reduction="sum"
    )
    (loss + 0.05 * head.weight.square().sum()).backward()
    assert head.weight.grad.abs().max() < 1e-7 and head.bias.grad.abs().max() < 1e-7


def test_labels_share_where_that_helps():
    gains, alphas = [], []
    for seed in range(3):
        x, y, embeddings = data(1500, 40, 30, seed=seed, shared=True)
        known = y.clone()
        known[torch.rand(y.shape, generator=torch.Generator().manual_seed(seed)) < 0.9] = -1
        train, val = (x[:300], known[:300]), (x[300:], y[300:])
        head = SharingHead(LabelGraph.from_targets(train[1], x=embeddings, weighting="kernel"), 40)
        shared = fit_head(head, train, val).last["mAP"]
        gains.append(shared - fit_head(linear(y, x), train, val).last["mAP"])
        alphas.append(head.base_graph().alpha)
    assert sum(gains) / 3 > 0.02 and max(alphas) > 0, (gains, alphas)


def test_embeddings_without_meaning_do_no_harm():
    losses = []
    for seed in range(3):
        x, y, _ = data(900, 20, 15, unknown=0.5, seed=seed)
        embeddings = torch.randn(15, 30, generator=torch.Generator().manual_seed(seed))
        head = SharingHead(LabelGraph.from_targets(y[:300], x=embeddings, weighting="kernel"), 20)
        shared = fit_head(head, (x[:300], y[:300]), (x[300:], y[300:])).last["mAP"]
        losses.append(fit_head(linear(y, x), (x[:300], y[:300]), (x[300:], y[300:])).last["mAP"] - shared)
    assert sum(losses) / 3 < 0.005


def test_the_company_of_other_heads_changes_nothing():
    x, y, embeddings = data(unknown=0.2)

    def heads():
        kernel = LabelGraph.from_targets(y, x=embeddings, weighting="kernel")
        return [SharingHead(kernel, 12), linear(y, x), SharingHead(LabelGraph.from_targets(y, tau=0.3), 12)]

    together = heads()
    fit_heads(together, (x, y))
    for alone, head in zip(heads(), together, strict=True):
        fit_head(alone, (x, y))
        assert (alone.to_linear().weight - head.to_linear().weight).abs().max() < 1e-6


def test_a_cache_streamed_or_loaded_gives_the_same_head(tmp_path):
    x, y, _ = data()
    cache = FeatureCache.from_arrays(tmp_path / "c.h5", x.half().numpy(), y.numpy(), list("abcdef"))
    heads = [LinearHead(6, 12, list("abcdef")) for _ in range(3)]
    fit_head(heads[0], cache, stream=True)
    fit_head(heads[1], cache, stream=False)
    fit_head(heads[2], (x.half(), y))
    assert same(heads[0], heads[1]) and torch.equal(heads[1].linear.weight, heads[2].linear.weight)


def test_groups_of_labels_that_do_not_fit_in_memory_give_the_same_head(monkeypatch):
    x, y, embeddings = data()
    expected, head = linear(y, x), linear(y, x)
    fit_head(expected, (x, y))
    monkeypatch.setattr(path, "MEMORY_BYTES", 1)
    fit_head(head, (x, y))
    assert torch.allclose(head.linear.weight, expected.linear.weight, atol=1e-6)
    kernel = LabelGraph.from_targets(y, x=embeddings, weighting="kernel")
    fit_heads([SharingHead(kernel, 12), linear(y, x)], (x, y))


@pytest.mark.parametrize("stage", [1, 3])
def test_an_interrupted_fit_resumes_with_the_same_result(tmp_path, stage):
    x, y, embeddings = data(unknown=0.3)

    def heads():
        return [SharingHead(LabelGraph.from_targets(y, x=embeddings, weighting="kernel"), 12), linear(y, x)]

    def fit(heads, folder, progress=None):
        return fit_heads(heads, (x, y), (x, y), folder=folder, save_seconds=0, progress=progress)

    expected = heads()
    histories = fit(expected, tmp_path / "whole")

    def interrupt(_, record):
        if record.get("stage") == stage and record["iteration"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(heads(), tmp_path / "part", interrupt)
    assert (tmp_path / "part" / "state.pt").exists()
    resumed = heads()
    assert fit(resumed, tmp_path / "part") == histories
    assert all(map(same, resumed, expected))
    again, calls = heads(), []
    assert fit(again, tmp_path / "part", lambda k, record: calls.append(record)) == histories
    assert all(map(same, again, expected)) and len(calls) == 2  # the last record of each head
    with pytest.raises(InputError, match="folder: expected a run with the same setup"):
        fit_heads(heads(), (x + 1, y), (x, y), folder=tmp_path / "part")


def test_validation_images_can_select():
    x, y, embeddings = data(180)
    head = SharingHead(LabelGraph.from_targets(y[:90], x=embeddings, weighting="kernel"), 12)
    history = fit_head(head, (x[:90], y[:90]), (x[90:], y[90:]), ExactConfig(select="val"))
    assert history.last["mAP"] > 0.5
    with pytest.raises(InputError, match="select: expected a validation set"):
        fit_head(head, (x[:90], y[:90]), config=ExactConfig(select="val"))


def test_one_fold_or_one_image_selects_nothing():
    x, y, _ = data()
    last = fit_head(linear(y, x), (x, y), config=ExactConfig(folds=1)).last
    assert last["l2"] == pytest.approx(12 / 4 / 90) and "selection_mAP" not in last
    assert fit_head(linear(y, x), (x[:1], y[:1])).last["l2"] > 0


def test_one_lambda_per_label():
    x, y, _ = data()
    head = linear(y, x)
    fit_head(head, (x, y), config=ExactConfig(per_label=True))
    assert torch.isfinite(head.linear.weight).all()
    loss = torch.tensor([[0.5, 0.1], [0.4, 0.2], [0.3, 0.3]]).view(3, 1, 1, 2).double()
    scores = PathScores(1 - loss, loss, loss)
    assert choose(scores, (100.0, 10.0, 1.0), 10.0, per_label=True).strength.tolist() == [1.0, 100.0]


def test_awkward_labels_and_few_images():
    x, y, _ = data(num_images=5)
    y[:, 0], y[:, 1], y[:, 2] = 0, 1, -1
    head = linear(y, x)
    history = fit_head(head, (x, y), (x, y))
    assert torch.equal(head.linear.weight[:3], torch.zeros(3, 12))
    assert head.bias[:3].tolist() == pytest.approx([math.log(0.5 / 5.5), math.log(5.5 / 0.5), 0.0])
    assert math.isfinite(history.last["mAP"])
    one = linear(y, x)
    fit_head(one, (x[:1], y[:1]))
    assert torch.equal(one.linear.weight, torch.zeros(6, 12))
    constant = linear(y, x)
    fit_head(constant, (torch.ones(5, 12), y), (x, y))
    assert torch.equal(constant.linear.weight, torch.zeros(6, 12))


def test_settings_that_the_solver_does_not_use_are_refused():
    x, y, _ = data()
    with pytest.raises(InputError, match="settings that the exact solver uses, found lr = 0.1, epochs = 3"):
        fit_head(linear(y, x), (x, y), config=HeadConfig(lr=0.1, epochs=3), solver="exact")
    with pytest.raises(InputError, match="config: expected a HeadConfig for the solver 'sgd'"):
        fit_head(linear(y, x), (x, y), config=ExactConfig(), solver="sgd")
    with pytest.raises(InputError, match="solver: expected linear heads"):
        fit_head(MLGCNHead(LabelGraph.from_targets(y), 12, (4,)), (x, y), solver="exact")
    learned = SharingHead(LabelGraph.from_targets(y, tau=0.3), 12, learn_edges=True)
    with pytest.raises(InputError, match="SharingHead that learns its edges"):
        fit_head(learned, (x, y), config=ExactConfig())
    with pytest.raises(InputError, match="pos_weight: expected a number, or 6 numbers"):
        fit_head(linear(y, x), (x, y), config=ExactConfig(pos_weight=(1.0, 2.0)))
    history = fit_head(linear(y, x), (x, y), config=HeadConfig(epochs=2))
    assert "lr" in history.last  # a HeadConfig selects SGD


def test_the_loss_decides_where_ap_is_noisy():
    """Row 0 has the best mAP, by chance in one fold; row 1 is within its standard error and has the smaller loss."""
    ap = torch.tensor([[0.9, 0.5, 0.5], [0.5, 0.6, 0.5], [0.1, 0.1, 0.1]]).view(3, 3, 1, 1).double()
    loss = torch.tensor([[0.4] * 3, [0.3] * 3, [0.1] * 3]).view(3, 3, 1, 1).double()
    assert PathScores(ap, loss, loss).best_row(0) == 1
    certain = torch.tensor([0.9, 0.5, 0.1]).view(3, 1, 1, 1).expand(3, 3, 1, 1).double()
    assert PathScores(certain, loss, loss).best_row(0) == 0
    assert PathScores(ap[:, :1], loss[:, :1], loss[:, :1]).best_row(0) == 0  # one set of validation images


def test_lambda_is_refined_between_the_strengths_of_the_path():
    strengths = [1000.0, 100.0, 10.0, 1.0]
    log = torch.tensor(strengths).double().log10()
    loss = ((log - 1.7) ** 2 + 1).view(4, 1, 1, 1).expand(4, 2, 1, 3)  # the smallest at 10^1.7
    scores = PathScores(1 - loss, loss, loss)
    assert choose(scores, strengths, 30.0, per_label=False).strength.tolist() == pytest.approx([10**1.7] * 3)
    increasing = loss.sort(0).values
    assert PathScores(1 - increasing, increasing, increasing).refined(0, 0, strengths) == 1000.0


def test_alpha_must_be_clearly_better():
    noise = torch.rand(1, 1, 2, 50, generator=torch.Generator().manual_seed(0)).double() / 50
    ap = torch.full((1, 1, 2, 3), 0.5).double()
    clear, close = noise.clone(), noise.clone()
    clear[:, :, 1] = clear[:, :, 0] - 0.005
    close[:, :, 1] += (close[:, :, 0].sum() - close[:, :, 1].sum() - 0.001) / 50
    assert PathScores(ap, clear[..., :3], clear).best_alpha() == 1
    assert PathScores(ap, close[..., :3], close).best_alpha() == 0


@pytest.mark.parametrize("weighting", ["paper", "kernel"])
def test_learned_edges_are_trained_from_the_exact_solution(weighting):
    x, y, embeddings = data(unknown=0.2)
    graph = LabelGraph.from_targets(y, x=embeddings, weighting=weighting, tau=0.3)
    fixed, learned = SharingHead(graph, 12), SharingHead(graph, 12, learn_edges=True)
    fit_head(fixed, (x, y), config=ExactConfig(alpha=graph.alpha))
    still = SharingHead(graph, 12, learn_edges=True)
    fit_head(still, (x, y), config=HeadConfig(lr=1e-12, epochs=1))
    assert torch.allclose(still.to_linear().weight, fixed.to_linear().weight, atol=1e-6)
    history = fit_head(learned, (x, y), (x, y))
    assert history.last["loss"] <= history.epochs[0]["loss"] * 1.01
    assert not torch.equal(learned.label_graph().edge_weight, fixed.label_graph().edge_weight)

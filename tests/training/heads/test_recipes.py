"""The recipe "auto": statistics, bias and a learning rate from the spectra."""

import dataclasses

import numpy as np
import pytest
import torch

from mlgcn_pyg.checkpoints import load_head
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.nn import LinearHead, SharingHead
from mlgcn_pyg.training import HeadConfig, fit_head, fit_heads, score
from mlgcn_pyg.training.heads import recipe
from mlgcn_pyg.training.heads.spectra import Spectra, Spectrum, feature_spectrum, label_spectrum
from tests.training.heads.problems import fresh, graph, problem, same, state
from tests.training.heads.test_resume import interrupt_at

FAST = HeadConfig(epochs=5)


def shifted(num_images=100, seed=0, scale=1.0, shift=20.0):
    """Features with a large mean and different scales, of which the first is constant."""
    features, targets = problem(num_images, seed=seed)
    features = scale * (features * torch.logspace(-1, 1, 12) + shift)
    features[:, 0] = scale * shift
    return features, targets


@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
def test_a_head_gets_the_statistics_and_log_odds_of_its_training_data(kind):
    head, (features, targets) = fresh(kind), shifted()
    targets[:, 1], targets[:, 2], targets[::2, 3] = 0, 1, -1
    # no image changes the head at a rate this small
    fit_head(head, (features, targets), config=HeadConfig(lr=1e-30, weight_decay=0, epochs=1))
    x, y = features.double().numpy(), targets.numpy()
    assert np.allclose(head.standardize.mean, x.mean(0), rtol=1e-6)
    assert np.allclose(head.standardize.scale[1:], 1 / x.std(0)[1:], rtol=1e-5) and head.standardize.scale[0] == 0
    present, absent = (y == 1).sum(0), (y == 0).sum(0)
    assert np.allclose(head.bias.detach(), np.log((present + 0.5) / (absent + 0.5)), rtol=1e-5)
    if kind == "linear":
        assert head.linear.weight.abs().max() < 1e-20, "the classifiers of a linear head start at 0"


def test_statistics_cover_all_views_resident_or_streamed(tmp_path):
    features = torch.randn(50, 3, 12) * torch.tensor([1.0, 5.0, 10.0]).view(1, 3, 1)
    cache = FeatureCache.from_arrays(tmp_path / "c.h5", features, problem(50)[1], list("01234"))
    heads = [fresh("linear") for _ in range(2)]
    for head, stream in zip(heads, (True, False), strict=True):
        fit_head(head, cache, config=FAST, stream=stream)
    assert same(state(heads[0]), state(heads[1]))
    stored = torch.from_numpy(cache.features[:]).double().flatten(0, 1)
    assert torch.allclose(heads[0].standardize.mean.double(), stored.mean(0), atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
def test_a_head_with_statistics_keeps_them_and_its_bias(kind):
    head = fresh(kind)
    head.set_statistics(torch.zeros(12), torch.ones(12))
    head.set_bias(torch.arange(5.0))
    before = head.classifiers().detach().clone()
    fit_head(head, shifted(), config=HeadConfig(lr=1e-30, weight_decay=0, epochs=1))
    assert head.standardize.scale.eq(1).all() and torch.allclose(head.bias, torch.arange(5.0))
    assert torch.allclose(head.classifiers(), before)
    first = fresh(kind)
    fit_head(first, shifted(), config=FAST)
    mean = first.standardize.mean.clone()
    fit_head(first, shifted(seed=3), config=FAST)  # trained further on other data
    assert torch.equal(first.standardize.mean, mean)


@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
def test_the_paper_s_recipe_leaves_the_head_as_it_is(kind):
    head = fresh(kind)
    names = list(head.state_dict())
    fit_head(head, shifted(), config=HeadConfig(recipe="paper", epochs=1))
    assert list(head.state_dict()) == names and not head.has_statistics


@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
def test_scaled_and_shifted_features_give_the_same_head(kind):
    results = []
    for scale, shift in ((1.0, 0.0), (100.0, 0.0), (1.0, 50.0)):
        head, data, val = fresh(kind), shifted(scale=scale, shift=shift), shifted(60, 1, scale, shift)
        history = fit_head(head, data, val, HeadConfig(epochs=15))
        results.append((score(head, val)[0], history.last["mAP"]))
        losses = [record["loss"] for record in history.epochs]
        assert losses[-1] < losses[0] and max(losses[1:]) <= losses[0]
    for logits, mean_ap in results[1:]:
        assert (logits - results[0][0]).abs().max() < 0.05 and mean_ap == pytest.approx(results[0][1], abs=0.01)


def test_the_rate_is_that_of_the_eigenvalues_of_numpy():
    features, _ = shifted()
    for kind in ("linear", "mlgcn"):
        head = fresh(kind).double()
        x = features.double().numpy()
        z = (x - x.mean(0)) / np.where(x.std(0) > 1e-6, x.std(0), np.inf)
        head.set_statistics(x.mean(0), np.where(x.std(0) > 1e-6, x.std(0), 0))
        of_features = np.linalg.eigvalsh(z.T @ z / len(z))[-1]
        assert feature_spectrum(head, features.unsqueeze(1)).largest == pytest.approx(of_features, rel=0.01)
        if kind == "linear":
            assert label_spectrum(head) == Spectrum(1.0, 1.0)
            continue
        h = head.factors()[0].detach().numpy()
        assert label_spectrum(head).largest == pytest.approx(np.linalg.eigvalsh(h @ h.T)[-1], rel=1e-4)


@pytest.mark.parametrize("weighting", ["paper", "released", "binary"])
def test_the_label_spectrum_of_one_layer_on_one_hot_labels_is_that_of_the_graph(weighting):
    label_graph = graph(weighting=weighting, one_hot=True)
    expected = np.linalg.norm(label_graph.to_dense().double().numpy(), 2) ** 2
    for head in (fresh(hidden=(), graph_of=label_graph), SharingHead(label_graph, 12)):
        assert label_spectrum(head).largest == pytest.approx(expected, rel=1e-4)


def test_constant_features_and_one_image():
    for num_images in (1, 8):
        features, targets = torch.ones(num_images, 12), problem(num_images)[1]
        head = fresh("linear")
        history = fit_head(head, (features, targets), config=FAST)
        assert np.isfinite(history.last["loss"]) and not head.to_linear().weight.any()


def test_labels_without_positives_or_without_known_targets():
    features, targets = shifted()
    targets[:, 0], targets[:, 1] = 0, -1
    head = fresh("linear")
    history = fit_head(head, (features, targets), (features, targets), FAST)
    assert np.isfinite(history.last["mAP"]) and head.linear.bias[1] == 0


def test_one_label():
    features, targets = shifted()
    head = LinearHead(1, 12)
    assert fit_head(head, (features, targets[:, :1]), config=FAST).last["loss"] < 0.7


@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
def test_heads_together_are_heads_alone(kind):
    data = shifted()[0].double(), shifted()[1]
    together, alone = ([fresh(kind, seed).double() for seed in range(3)] for _ in range(2))
    histories = fit_heads(together, data, data, FAST)
    for head, twin, history in zip(together, alone, histories, strict=True):
        own = fit_head(twin, data, data, FAST)
        assert torch.allclose(head(data[0]), twin(data[0]), atol=1e-6)
        assert [r["lr"] for r in history.epochs] == [r["lr"] for r in own.epochs]
    if kind == "mlgcn":  # each head has its own rate
        assert len({history.epochs[0]["lr"] for history in histories}) == 3


@pytest.mark.parametrize("same_head", [False, True])
def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path, monkeypatch, same_head):
    for kind in ("linear", "mlgcn"):
        whole, half, folder = fresh(kind), fresh(kind), tmp_path / kind
        expected = fit_head(whole, shifted(), shifted(), FAST)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt_at(patch, 9)
            fit_head(half, shifted(), shifted(), FAST, folder=folder)
        again = half if same_head and kind == "linear" else fresh(kind)
        assert fit_head(again, shifted(), shifted(), FAST, folder=folder) == expected
        assert same(state(again), state(whole))
        assert torch.equal(load_head(folder / "head-last.pt")(shifted()[0]), whole(shifted()[0]))


def test_settings_that_are_given_are_kept():
    head, config = fresh("linear"), HeadConfig(lr=0.25, epochs=2, schedule="step", batch_size=50)
    history = fit_head(head, shifted(), config=config)
    assert [record["lr"] for record in history.epochs] == [0.25, 0.25] and head.has_statistics
    spectra = Spectra(Spectrum(2.0, 2.0), Spectrum(1.0, 1.0))
    settings = recipe.complete(dataclasses.replace(config, optimizer="adamw", lr=None), head, 100, spectra)
    assert settings.lr == recipe.ADAMW_LR and settings.epochs == 2 and settings.batch_size == 50

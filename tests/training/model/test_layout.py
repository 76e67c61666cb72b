"""The memory layout: the faster one is selected once, recorded, and kept; weights and momentum always agree in it."""

from functools import partial

import pytest
import torch

from mlgcn_pyg.files.plain import load_plain, save_plain
from mlgcn_pyg.training.model import layout
from mlgcn_pyg.training.model.layout import channels_last_is_faster
from mlgcn_pyg.training.model.shares import DecodedPiece
from mlgcn_pyg.training.model.trainee import Trainee
from tests.training.model.test_trainer import config, data, network, root, same, trained  # noqa: F401

TRIAL = "mlgcn_pyg.training.model.fit.channels_last_is_faster"


def no_trial(*_):
    pytest.fail("a trial was run")


@pytest.mark.parametrize("faster", [True, False])
def test_a_resumed_run_keeps_the_layout_and_equals_an_uninterrupted_one(root, tmp_path, monkeypatch, faster):  # noqa: F811
    whole, history = trained(root, channels_last=faster)
    monkeypatch.setattr(TRIAL, lambda *_: faster)
    trained(root, tmp_path, epochs=1, channels_last=None)
    state = load_plain("folder", tmp_path / "state.pt")
    assert state["trainee"]["channels_last"] is faster
    monkeypatch.setattr(TRIAL, no_trial)
    state["setup"]["recipe"]["epochs"] = 2
    save_plain(tmp_path / "state.pt", state)
    net, again = trained(root, tmp_path, network(root, seed=1), channels_last=None)
    assert same(net, whole) and again.epochs == history.epochs


def test_a_state_of_an_earlier_version_is_resumed_in_the_default_layout(root, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(TRIAL, no_trial)
    trained(root, tmp_path, epochs=1)
    state = load_plain("folder", tmp_path / "state.pt")
    del state["trainee"]["channels_last"]
    state["setup"]["recipe"]["epochs"] = 2
    save_plain(tmp_path / "state.pt", state)
    assert same(trained(root, tmp_path, channels_last=None)[0], trained(root)[0])


@pytest.mark.parametrize("value", [True, False])
def test_a_layout_that_is_set_needs_no_trial(root, monkeypatch, value):  # noqa: F811
    monkeypatch.setattr(TRIAL, no_trial)
    net, _ = trained(root, channels_last=value, epochs=1)
    kernel = net.backbone.features[0][0].weight  # 3 × 3
    assert kernel.is_contiguous(memory_format=torch.channels_last) is value


@pytest.mark.parametrize("plain, last, expected", [(2.0, 1.0, True), (1.0, 2.0, False), (1.0, 1.0, False)])
def test_the_faster_layout_is_selected(root, monkeypatch, plain, last, expected):  # noqa: F811
    def time(trainee, net, images):
        is_last = images.is_contiguous(memory_format=torch.channels_last)
        assert images.shape == (4, 3, 32, 48) and net.training
        assert net.backbone.features[0][0].weight.is_contiguous(memory_format=torch.channels_last) is is_last
        seconds.append(last if is_last else plain)
        return seconds[-1] if len(seconds) > 2 else 100.0 * len(seconds)  # the first ones warm up

    seconds = []
    monkeypatch.setattr(layout, "_time", time)
    assert channels_last_is_faster(Trainee(network(root), config()), (32, 48)) is expected and len(seconds) == 6


def test_a_trial_changes_nothing(root):  # noqa: F811
    trainee = Trainee(network(root).eval(), config())
    before = {name: value.clone() for name, value in trainee.model.state_dict().items()}
    state = torch.get_rng_state()
    assert channels_last_is_faster(trainee, (32, 32)) in (True, False)
    assert all(torch.equal(value, before[name]) for name, value in trainee.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state) and not trainee.model.training
    assert all(p.grad is None for p in trainee.model.parameters())


def test_a_network_without_convolutions_has_no_trial(root, monkeypatch):  # noqa: F811
    trainee = Trainee(network(root), config())
    trainee.model.backbone = torch.nn.Flatten()
    monkeypatch.setattr(layout, "_time", no_trial)
    assert not channels_last_is_faster(trainee, (32, 32))


def test_the_trial_runs_in_the_first_process_for_all(root, tmp_path, monkeypatch):  # noqa: F811
    shared = []
    monkeypatch.setattr(TRIAL, lambda *_: True)
    monkeypatch.setattr("mlgcn_pyg.distributed.Ranks.share", lambda ranks, make: shared.append(make) or make())
    trained(root, tmp_path, epochs=1, channels_last=None)
    (trial,) = (make for make in shared if isinstance(make, partial))
    assert trial.func(None, (32, 32)) is True and trial.args[1] == (32, 32)


@pytest.mark.parametrize("channels_last", [True, False])
def test_fused_steps_equal_those_of_plain_sgd(root, channels_last):  # noqa: F811
    """Also after momentum was loaded from a state, whose tensors may have a different layout."""
    fused = Trainee(network(root), config(channels_last=channels_last))
    plain = Trainee(network(root), config(channels_last=channels_last))
    inner = plain.optimizer.optimizer
    plain.optimizer.optimizer = torch.optim.SGD(inner.param_groups, foreach=False, fused=False)
    for group in plain.optimizer.optimizer.param_groups:
        group["fused"] = False
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    piece = DecodedPiece(images, torch.ones(8, 16, dtype=torch.int8), 1.0)
    for trainee in (fused, plain):
        trainee.begin_epoch(1)
    for number in range(3):
        for trainee in (fused, plain):
            trainee.step([piece], number, 1.0)
        state = fused.state()
        for values in state["optimizer"]["state"].values():
            values["momentum_buffer"] = values["momentum_buffer"].contiguous()
        fused.load_state(state)
    pairs = zip(fused.model.parameters(), plain.model.parameters(), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pairs)
    buffers = [(p, values["momentum_buffer"]) for p, values in fused.optimizer.state.items()]
    assert buffers and all(p.stride() == momentum.stride() for p, momentum in buffers)

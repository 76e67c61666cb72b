"""Optimizers, schedules, warm-up and weighted losses of heads, against loops written out with torch's own parts."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.epochs import epoch_order
from mlgcn_pyg.nn import asymmetric
from mlgcn_pyg.training import HeadConfig, fit_head, fit_heads
from mlgcn_pyg.training.heads import engines as engine
from tests.training.heads.problems import fresh, graph, problem, same, state
from tests.training.heads.test_resume import interrupt_at

WEIGHTS = (2.0, 0.5, 1.0, 3.0, 1.0)
ADAMW = HeadConfig(
    recipe="paper", optimizer="adamw", lr=0.02, weight_decay=0.1, epochs=3, batch_size=16, schedule="one_cycle",
    warmup_epochs=0.6, pos_weight=WEIGHTS, clip_norm=0.05,
)  # fmt: skip
COSINE = dataclasses.replace(ADAMW, optimizer="sgd", lr=0.3, schedule="cosine", momentum=0.8, warmup_epochs=1.0)
FOCAL = dataclasses.replace(ADAMW, loss="asymmetric", pos_weight=None)


def cosine(step, steps):
    return (1 + math.cos(math.pi * step / steps)) / 2


def one_cycle(step, steps):
    """As drawn in the docstring of torch's OneCycleLR, with its default divisors."""
    peak = 0.3 * steps
    if step < peak:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / peak)) / 2
    return 1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * (step - peak) / (steps - peak))) / 2


def loss_of(config, logits, targets):
    """The loss per entry, summed over known entries and divided by all."""
    if config.loss == "asymmetric":
        return asymmetric(logits, targets)
    known, weights = targets >= 0, torch.tensor(config.pos_weight, dtype=logits.dtype)
    terms = F.binary_cross_entropy_with_logits(
        logits, targets.clamp(min=0).to(logits.dtype), pos_weight=weights, reduction="none"
    )
    return terms[known].sum() / targets.numel()


def by_hand(head, features, targets, config):
    """The run of ``fit_head`` with an unfused optimizer of torch."""
    params = list(head.parameters())
    if config.optimizer == "adamw":
        optimizer = torch.optim.AdamW(params, lr=1.0, weight_decay=config.weight_decay)
    else:
        optimizer = torch.optim.SGD(params, lr=1.0, momentum=config.momentum, weight_decay=config.weight_decay)
    steps = -(-len(features) // config.batch_size)
    factor = {"cosine": cosine, "one_cycle": one_cycle}[config.schedule]
    step = 0
    for epoch in range(1, config.epochs + 1):
        for rows in epoch_order(len(features), config.seed, epoch).split(config.batch_size):
            warm = min(1.0, (step + 1) / max(round(config.warmup_epochs * steps), 1))
            optimizer.param_groups[0]["lr"] = config.lr * factor(step, steps * config.epochs) * warm
            optimizer.zero_grad()
            loss_of(config, head(features[rows]), targets[rows]).backward()
            torch.nn.utils.clip_grad_norm_(params, config.clip_norm)
            optimizer.step()
            step += 1


def data(dtype=torch.float64):
    features, targets = problem()
    targets[::3, 1] = -1
    return features.to(dtype), targets


@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
@pytest.mark.parametrize("config", [ADAMW, COSINE, FOCAL], ids=["adamw", "cosine", "asymmetric"])
def test_a_run_is_that_of_torchs_own_optimizer(kind, config):
    head, twin = fresh(kind).double(), fresh(kind).double()
    fit_head(head, data(), config=config)
    by_hand(twin, *data(), config)
    for p, q in zip(head.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("arrangement", ["side by side", "one stack"])
@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
def test_heads_with_different_optimizers_and_weights_train_together(kind, arrangement, monkeypatch):
    if arrangement == "one stack":  # as on a GPU
        monkeypatch.setattr(engine, "side_by_side", lambda heads, device: False)
    configs = [ADAMW, COSINE, dataclasses.replace(COSINE, pos_weight=None), dataclasses.replace(ADAMW, pos_weight=2.0)]
    together, alone = ([fresh(kind, seed).double() for seed in range(4)] for _ in range(2))
    histories = fit_heads(together, data(), data(), configs)
    for head, twin, config, history in zip(together, alone, configs, histories, strict=True):
        own = fit_head(twin, data(), data(), config)
        for p, q in zip(head.parameters(), twin.parameters(), strict=True):
            assert torch.allclose(p, q, rtol=1e-7, atol=1e-9)
        assert [r["loss"] for r in history.epochs] == pytest.approx([r["loss"] for r in own.epochs], rel=1e-8)
        assert [r["lr"] for r in history.epochs] == [r["lr"] for r in own.epochs]


@pytest.mark.parametrize("call", [0, 9, 17])
@pytest.mark.parametrize("config", [ADAMW, COSINE, FOCAL], ids=["adamw", "cosine", "asymmetric"])
def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path, monkeypatch, config, call):
    for kind, precision in (("linear", "float32"), ("mlgcn", "bf16")):
        own = dataclasses.replace(config, precision=precision)
        whole, again, folder = fresh(kind), fresh(kind, seed=5), tmp_path / kind
        expected = fit_head(whole, data(torch.float32), data(torch.float32), own)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt_at(patch, call)
            fit_head(fresh(kind), data(torch.float32), data(torch.float32), own, folder=folder)
        assert fit_head(again, data(torch.float32), data(torch.float32), own, folder=folder) == expected
        assert same(state(again), state(whole))


def test_many_heads_with_adamw_resume_too(tmp_path, monkeypatch):
    def heads():
        return [fresh(seed=k, graph_of=graph(tau=t), learn_edges=True) for k, t in enumerate((0.3, 0.5))]

    whole, again = heads(), heads()
    expected = fit_heads(whole, problem(), config=[ADAMW, COSINE])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 10)
        fit_heads(heads(), problem(), config=[ADAMW, COSINE], folder=tmp_path)
    assert fit_heads(again, problem(), config=[ADAMW, COSINE], folder=tmp_path) == expected
    assert all(same(state(a), state(b)) for a, b in zip(again, whole, strict=True))
    with pytest.raises(InputError, match=r"folder: .*a different heads.head1.config.warmup_epochs: 1.0 stored, 0.5"):
        other = dataclasses.replace(COSINE, warmup_epochs=0.5)
        fit_heads(heads(), problem(), config=[ADAMW, other], folder=tmp_path)


def test_a_head_that_stopped_early_is_left_as_it_is_by_adamw():
    noise = problem(40, seed=1)[0], torch.randint(2, (40, 5), generator=torch.Generator().manual_seed(0))
    config = dataclasses.replace(ADAMW, epochs=20, patience=2, schedule="step", warmup_epochs=0.0)
    stopped, running = fresh("linear"), fresh("linear", seed=1)
    configs = [config, dataclasses.replace(config, patience=None)]
    history, _ = fit_heads([stopped, running], problem(), noise, configs)
    last = int(history.last["epoch"])
    assert last < 20
    twin = fresh("linear")
    fit_head(twin, problem(), config=dataclasses.replace(config, patience=None, epochs=last))
    for p, q in zip(stopped.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-4, atol=1e-6)


def test_the_history_has_the_rate_at_the_start_of_each_epoch():
    config = HeadConfig(recipe="paper", lr=0.5, epochs=4, schedule="cosine", batch_size=10)
    history = fit_head(fresh("linear"), problem(), config=config)
    assert [r["lr"] for r in history.epochs] == pytest.approx([0.5 * cosine(k, 4) for k in range(4)])


def test_refusals():
    with pytest.raises(InputError, match="pos_weight: expected a number, or 5 numbers, one per label, found 2 numbers"):
        fit_head(fresh("linear"), problem(), config=HeadConfig(pos_weight=(1.0, 2.0)))
    with pytest.raises(InputError, match="the same loss for all heads"):
        fit_heads([fresh(), fresh()], problem(), config=[ADAMW, dataclasses.replace(FOCAL)])

"""Training steps on a GPU agree with those on the CPU; skipped without a GPU."""

import dataclasses

import pytest
import torch

from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import ResidentRows, StreamedRows
from mlgcn_pyg.nn import SharingHead
from mlgcn_pyg.training import HeadConfig, fit_head, fit_heads
from mlgcn_pyg.training.config import PAPER
from mlgcn_pyg.training.heads import engines as engine
from mlgcn_pyg.training.heads import steps as steps_module
from mlgcn_pyg.training.heads.branched import BranchedMLGCN
from mlgcn_pyg.training.heads.engines import GraphedStep
from mlgcn_pyg.training.heads.stacked import SingleHead
from tests.training.heads.problems import fresh, graph, problem, same, state
from tests.training.heads.test_engines import interrupt_advance
from tests.training.heads.test_optimizers import ADAMW, COSINE, FOCAL
from tests.training.heads.test_resume import interrupt_at

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

CONFIG = HeadConfig(recipe="paper", lr=0.3, epochs=4, batch_size=16, lr_step=2, clip_norm=0.05, weight_decay=0.01)
CONFIGS = [ADAMW, COSINE, FOCAL]
AUTO = HeadConfig(epochs=4, batch_size=16)


def close(a, b, tolerance):
    for value, other in zip(a.parameters(), b.parameters(), strict=True):
        value, other = value.detach().cpu(), other.detach().cpu()
        if not value.numel():  # weights of no edge
            continue
        assert (value - other).abs().max() <= tolerance * other.abs().max().clamp(min=1e-6)


@pytest.mark.parametrize("config", [CONFIG, *CONFIGS, AUTO])
@pytest.mark.parametrize("kind", ["mlgcn", "linear"])
def test_a_run_on_cuda_is_the_run_on_the_cpu(kind, config, monkeypatch):
    captured = []
    monkeypatch.setattr(engine, "GraphedStep", lambda *a: captured.append(GraphedStep(*a)) or captured[-1])
    head, twin = fresh(kind).double(), fresh(kind).double()
    data, val = (problem()[0].double(), problem()[1]), (problem(40, seed=1)[0].double(), problem(40, seed=1)[1])
    on_cuda = fit_head(head, data, val, config, device="cuda")  # 100 images: six captured steps and one of four images
    on_cpu = fit_head(twin, data, val, config)
    close(head, twin, 1e-6)
    assert len(captured) == 1
    for record, expected in zip(on_cuda.epochs, on_cpu.epochs, strict=True):
        assert record == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("settings", [CONFIG.filled(PAPER), ADAMW.filled(PAPER)], ids=["sgd", "adamw"])
def test_capturing_changes_nothing(settings):
    head, twin = fresh().cuda(), fresh().cuda()
    source = ResidentRows(problem()[0].cuda(), problem()[1].cuda())
    found = []
    for module in (head, twin):
        optimizer = steps_module.make_optimizers([module], [settings], torch.device("cuda"))
        step = steps_module.Step(SingleHead(module), source, optimizer, [settings])
        step.set_rates(torch.tensor([[settings.lr]]))
        before, moments = state(module), [t.clone() for t in steps_module.trained_tensors(optimizer)[0].values()]
        step = step if module is twin else GraphedStep(step, 16)
        assert same(state(module), before)
        after = steps_module.trained_tensors(optimizer)[0].values()
        assert all(torch.equal(a, b) for a, b in zip(after, moments, strict=True))
        rows, lrs = source.row_batches(16, 0, 1), torch.full((7, 1), settings.lr)
        found.append([float(step.advance(rows, lrs)) for _ in range(7)])
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    close(head, twin, 1e-4)


def test_the_learning_rate_of_a_captured_step_follows_the_schedule():
    head, twin = fresh(), fresh()
    steep = dataclasses.replace(CONFIG, lr_step=1, lr_gamma=1e-6, epochs=3)
    fit_head(head, problem(), config=steep, device="cuda")
    fit_head(twin, problem(), config=dataclasses.replace(steep, epochs=1), device="cuda")
    close(head, twin, 1e-4)


@pytest.mark.parametrize("different", [False, True])
@pytest.mark.parametrize("learn", [{}, {"learn_edges": True, "learn_p": True}])
def test_many_heads_at_once(learn, different):
    def heads():
        return [fresh(seed=k, graph_of=graph(tau=t), **learn).double() for k, t in enumerate((0.3, 0.5, 1.0))]

    together, alone = heads(), heads()
    data = problem()[0].double(), problem()[1]
    configs = [dataclasses.replace(CONFIG, lr=0.1 * (k + 1), weight_decay=0.01 * k) for k in range(3)]
    if different:
        configs = [dataclasses.replace(config, epochs=4) for config in (ADAMW, COSINE, CONFIG)]
    fit_heads(together, data, config=configs, device="cuda")
    for head, twin, config in zip(together, alone, configs, strict=True):
        fit_head(twin, data, config=config)
        close(head, twin, 1e-6)


@pytest.mark.parametrize("learn", [{}, {"learn_edges": True}])
def test_many_sharing_heads_at_once(learn):
    def heads():
        graphs = [graph(weighting="kernel", alpha=alpha) for alpha in (0.3, 0.9)]
        return [SharingHead(g, 12, **learn).double() for g in graphs]

    together, alone = heads(), heads()
    data = problem()[0].double(), problem()[1]
    fit_heads(together, data, config=CONFIG, device="cuda")
    for head, twin in zip(together, alone, strict=True):
        fit_head(twin, data, config=CONFIG)
        close(head, twin, 1e-6)


@pytest.mark.parametrize("options", [{}, {"bias": True}, {"learn_edges": True, "learn_p": True}])
@pytest.mark.parametrize("turn", [1, 4])
def test_two_branches_on_two_streams(options, turn, monkeypatch):
    monkeypatch.setattr(engine, "GRAPH_TURN", turn)
    made = []
    monkeypatch.setattr(engine, "BranchedMLGCN", lambda *a: made.append(BranchedMLGCN(*a)) or made[-1])
    head, twin = (fresh(hidden=(64,), **options).double() for _ in range(2))
    config = dataclasses.replace(CONFIG, batch_size=2)
    data = problem(43)[0].double(), problem(43)[1]
    fit_head(head, data, config=config, device="cuda")
    fit_head(twin, data, config=config)
    close(head, twin, 1e-6)
    assert len(made) == 1


@pytest.mark.parametrize("precision, tolerance", [("tf32", 5e-3), ("bf16", 5e-2)])
@pytest.mark.parametrize("count", [1, 3])
def test_precisions(precision, tolerance, count):
    before = torch.get_float32_matmul_precision()
    heads, twins = ([fresh(seed=k) for k in range(count)] for _ in range(2))
    fit_heads(heads, problem(), config=HeadConfig(recipe="paper", epochs=3, precision=precision), device="cuda")
    fit_heads(twins, problem(), config=HeadConfig(recipe="paper", epochs=3))
    for head, twin in zip(heads, twins, strict=True):
        close(head, twin, tolerance)
        assert all(p.dtype == torch.float32 for p in head.parameters())
    assert torch.get_float32_matmul_precision() == before


def test_streamed_through_pinned_memory(tmp_path):
    features = torch.randn(100, 3, 12)
    cache = FeatureCache.from_arrays(tmp_path / "c.h5", features, problem()[1], list("01234"))
    loaded, streamed = ResidentRows(*cache.load("cuda")), StreamedRows(cache, "cuda", window=40)
    for (f, t), (g, u) in zip(loaded.batches(16, 0, 1), streamed.batches(16, 0, 1), strict=True):
        assert torch.equal(f, g) and torch.equal(t, u)
    head, twin = fresh(), fresh()
    fit_head(head, cache, config=CONFIG, device="cuda", stream=True)
    fit_head(twin, cache, config=CONFIG, device="cuda", stream=False)
    close(head, twin, 1e-5)


def test_a_graph_that_the_caller_holds_may_live_on():
    head, twin = fresh(), fresh()
    loss = head.cuda()(problem()[0].cuda()).sum()  # its gradient accumulators belong to the default stream
    fit_head(head, problem(), config=CONFIG, device="cuda")
    fit_head(twin, problem(), config=CONFIG)
    close(head, twin, 1e-4)
    assert loss.grad_fn is not None


def test_a_graph_of_several_heads_that_the_caller_holds_may_live_on():
    heads, twins = ([fresh(seed=k) for k in range(3)] for _ in range(2))
    held = [head.cuda()(problem()[0].cuda()).sum() for head in heads]
    fit_heads(heads, problem(), config=CONFIG, device="cuda")
    fit_heads(twins, problem(), config=CONFIG)
    for head, twin, loss in zip(heads, twins, held, strict=True):
        close(head, twin, 1e-4)
        assert loss.grad_fn is not None


@pytest.mark.parametrize("fused", [(), ("gather",), ("loss",), ("update",), ("gather", "loss", "update")], ids="+".join)
@pytest.mark.parametrize("turn", [1, 4, 16])
@pytest.mark.parametrize("kind", ["mlgcn", "linear"])
def test_every_variant_of_the_step(monkeypatch, kind, turn, fused):
    monkeypatch.setattr(engine, "FUSED", frozenset(fused))
    monkeypatch.setattr(engine, "GRAPH_TURN", turn)
    targets = problem()[1].clone()
    targets[::7, 2] = -1
    data = (problem()[0].double(), targets)
    val = (problem(40, seed=1)[0].double(), problem(40, seed=1)[1])
    config = dataclasses.replace(CONFIG, val_every=2, pos_weight=[1.0, 2.0, 0.5, 1.0, 3.0])
    head, twin = fresh(kind).double(), fresh(kind).double()
    on_cuda = fit_head(head, data, val, config, device="cuda")
    for record, expected in zip(on_cuda.epochs, fit_head(twin, data, val, config).epochs, strict=True):
        assert record == pytest.approx(expected, rel=1e-6)
    close(head, twin, 1e-6)


@pytest.mark.parametrize("turn", [1, 4, 16])
def test_heads_that_stop_early(monkeypatch, turn):
    monkeypatch.setattr(engine, "GRAPH_TURN", turn)
    heads, twins = ([fresh(seed=k).double() for k in range(3)] for _ in range(2))
    configs = [
        dataclasses.replace(CONFIG, lr=lr, patience=patience, epochs=6, val_every=2)
        for lr, patience in ((0.3, None), (1e-9, 1), (0.1, None))
    ]
    data, val = (problem()[0].double(), problem()[1]), (problem(40, seed=1)[0].double(), problem(40, seed=1)[1])
    histories = fit_heads(heads, data, val, configs, device="cuda")
    assert [history.last["epoch"] for history in histories] == [6, 4, 6]
    fit_heads(twins, data, val, configs)
    for head, twin in zip(heads, twins, strict=True):
        close(head, twin, 1e-6)


@pytest.mark.parametrize("call", [0, 1, 2, 7])
@pytest.mark.parametrize("turn", [1, 4, 16])
def test_interrupted_between_turns(tmp_path, monkeypatch, turn, call):
    monkeypatch.setattr(engine, "GRAPH_TURN", turn)
    whole, again = fresh(), fresh(seed=5)
    expected = fit_head(whole, problem(), problem(40, seed=1), CONFIG, device="cuda")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_advance(patch, call)
        fit_head(fresh(), problem(), problem(40, seed=1), CONFIG, device="cuda", folder=tmp_path)
    history = fit_head(again, problem(), problem(40, seed=1), CONFIG, device="cuda", folder=tmp_path)
    close(again, whole, 1e-5)
    for record, other in zip(history.epochs, expected.epochs, strict=True):
        assert record == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("config", [CONFIG, ADAMW, AUTO])
def test_resuming_with_a_captured_step(tmp_path, monkeypatch, config):
    whole, again = fresh(), fresh()
    expected = fit_head(whole, problem(), problem(40, seed=1), config, device="cuda")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine, "FUSED", engine.FUSED - {"gather"})  # so that the source gathers
        # gathers are called ten times before training (warm-up: 3, graphs of 1 and 6 steps), then for short batches
        interrupt_at(patch, 11)
        fit_head(fresh(), problem(), problem(40, seed=1), config, device="cuda", folder=tmp_path)
    history = fit_head(again, problem(), problem(40, seed=1), config, device="cuda", folder=tmp_path)
    close(again, whole, 1e-5)
    assert [r["epoch"] for r in history.epochs] == [r["epoch"] for r in expected.epochs]

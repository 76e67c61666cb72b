"""The parts of the captured step and of its kernels that can be tested without a GPU."""

import dataclasses
import signal
from contextlib import contextmanager

import pytest
import torch

from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.training import HeadConfig, fit_head, fit_heads
from mlgcn_pyg.training.config import PAPER
from mlgcn_pyg.training.heads import solvers
from mlgcn_pyg.training.heads.engines import GraphedStep, forget_accumulators
from mlgcn_pyg.training.heads.stacked import stack_heads
from mlgcn_pyg.training.heads.steps import Step, make_optimizers, matmul_precision, rate_tensor
from tests.training.heads.problems import fresh, graph, problem, same, state
from tests.training.heads.test_optimizers import ADAMW, COSINE

CONFIG = HeadConfig(recipe="paper", lr=0.3, epochs=4, batch_size=16, lr_step=2, clip_norm=0.05, weight_decay=0.01)


class GraphOfSteps:
    """Stands for a captured graph: takes ``count`` steps on the rows and rates in memory, and writes the losses."""

    def __init__(self, step, rows, count):
        self.step, self.rows, self.replays = step, rows, 0
        self.losses = torch.full((count, len(step.optimizers)), torch.nan, dtype=step.dtype)

    def replay(self):
        self.replays += 1
        self.losses.copy_(torch.stack([self.step(self.rows[n], n) for n in range(len(self.losses))]))


class GraphedOnCPU(GraphedStep):
    def _warmed_up(self):
        for _ in range(3):
            self.step(self.rows[0])

    def _captured(self, count, stream):
        made = GraphOfSteps(self.step, self.rows, count)
        made.replay()
        made.replays = 0
        return made, made.losses


def graphed(turn, made=None, fused=()):
    """Returns a function in place of ``make_step`` that appends its steps to ``made``."""

    def make(heads, source, optimizers, configs):
        resident = isinstance(source, ResidentRows)
        step = Step(stack_heads(heads), source, optimizers, configs, fused=fused, turn=turn if resident else 1)
        one = GraphedOnCPU(step, configs[0].batch_size)
        if made is not None:
            made.append(one)
        return one

    return make


@pytest.fixture
def on_cpu(monkeypatch):
    """Makes a run train with captured steps, without a GPU."""

    def use(turn, fused=()):
        made = []
        monkeypatch.setattr(solvers, "make_step", graphed(turn, made, fused))
        return made

    return use


@pytest.mark.parametrize("config", [CONFIG, ADAMW, COSINE], ids=["sgd", "adamw", "cosine"])
@pytest.mark.parametrize(
    "turn, turns, singles", [(1, 24, 0), (2, 12, 0), (4, 4, 8), (6, 4, 0), (7, 0, 24), (16, 0, 24)]
)
def test_turns_are_the_steps_one_by_one(on_cpu, config, turn, turns, singles):
    head, twin = fresh(), fresh()
    config = dataclasses.replace(config, epochs=4, batch_size=16)
    expected = fit_head(twin, problem(), problem(40, seed=1), config)
    made = on_cpu(turn)
    history = fit_head(head, problem(), problem(40, seed=1), config)
    # each epoch has six full batches and one of four images
    assert (made[0].turn_graph.replays, made[0].graph.replays) == (turns, singles)
    assert same(state(head), state(twin)) and history == expected


def test_full_batches_only(on_cpu):
    head, twin = fresh(), fresh()
    data = tuple(value[:96] for value in problem())
    expected = fit_head(twin, data, config=CONFIG)
    made = on_cpu(3)
    assert fit_head(head, data, config=CONFIG) == expected and same(state(head), state(twin))
    assert (made[0].turn_graph.replays, made[0].graph.replays) == (8, 0)


def test_several_heads_of_which_one_stops_early(on_cpu):
    def heads():
        return [fresh(seed=k, graph_of=graph(tau=t)).double() for k, t in enumerate((0.3, 0.5, 1.0))]

    configs = [
        dataclasses.replace(CONFIG, lr=lr, patience=patience, epochs=6, val_every=2)
        for lr, patience in ((0.3, None), (1e-9, 1), (0.1, None))
    ]
    data, val = (problem()[0].double(), problem()[1]), (problem(40, seed=1)[0].double(), problem(40, seed=1)[1])
    together, alone = heads(), heads()
    on_cpu(4)
    histories = fit_heads(together, data, val, configs)
    assert [history.last["epoch"] for history in histories] == [6, 4, 6]
    on_cpu(1)
    expected = fit_heads(alone, data, val, configs)
    assert histories == expected and all(same(state(a), state(b)) for a, b in zip(together, alone, strict=True))


def interrupt_advance(monkeypatch, call):
    """Sends this process a signal during the turn ``call`` (from 0)."""
    calls, advance = iter(range(10**9)), GraphedStep.advance

    def interrupting(self, rows, lrs):
        if next(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return advance(self, rows, lrs)

    monkeypatch.setattr(GraphedStep, "advance", interrupting)


KERNELS = ("gather", "loss", "update")
PLACES = [(0, (1, 4), ()), (1, (1, 7), ()), (2, (2, 4), ()), (3, (2, 7), ()), (0, (1, 4), KERNELS)]


@pytest.mark.parametrize("call, position, fused", PLACES)
def test_interrupted_between_turns(tmp_path, monkeypatch, on_cpu, call, position, fused):
    if fused:
        pytest.importorskip("triton")
    config = dataclasses.replace(CONFIG, epochs=2, lr_step=1)
    whole, again = fresh(), fresh(seed=5)
    on_cpu(4, fused)
    expected = fit_head(whole, problem(), problem(40, seed=1), config)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_advance(patch, call)
        fit_head(fresh(), problem(), problem(40, seed=1), config, folder=tmp_path)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert (saved["epoch"], saved["step"]) == position
    on_cpu(3, fused)  # turns of another length
    history = fit_head(again, problem(), problem(40, seed=1), config, folder=tmp_path)
    assert same(state(again), state(whole)) and history == expected


def test_streamed_rows_take_single_steps(tmp_path, on_cpu):
    cache = FeatureCache.from_arrays(tmp_path / "c.h5", torch.randn(100, 3, 12), problem()[1], list("01234"))
    head, twin = fresh(), fresh()
    fit_head(twin, cache, config=CONFIG)
    on_cpu(4)
    fit_head(head, cache, config=CONFIG, stream=True)
    assert same(state(head), state(twin))


@pytest.mark.parametrize("fused, turn", [(("gather",), 1), (("loss",), 1), (("update",), 1), (KERNELS, 4)])
@pytest.mark.parametrize("kind", ["mlgcn", "linear"])
def test_a_run_with_kernels_is_the_run_without(on_cpu, kind, fused, turn):
    pytest.importorskip("triton")
    targets = problem()[1].clone()
    targets[::7, 2] = -1
    data = (problem()[0].double(), targets)
    val = (problem(40, seed=1)[0].double(), problem(40, seed=1)[1])
    config = dataclasses.replace(CONFIG, epochs=2, pos_weight=torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0]).tolist())
    head, twin = fresh(kind).double(), fresh(kind).double()
    expected = fit_head(twin, data, val, config)
    on_cpu(turn, fused)
    history = fit_head(head, data, val, config)
    for record, other in zip(history.epochs, expected.epochs, strict=True):
        assert record == pytest.approx(other, rel=1e-12)
    for p, other in zip(head.parameters(), twin.parameters(), strict=True):
        assert (p - other).abs().max() <= 1e-12 * other.abs().max()


@pytest.mark.parametrize("learn", [{}, {"learn_edges": True, "learn_p": True}])
def test_several_heads_with_kernels(on_cpu, learn):
    """Graphs of different heads have different numbers of learned edges."""
    pytest.importorskip("triton")

    def heads():
        return [fresh(seed=k, graph_of=graph(tau=t), **learn).double() for k, t in enumerate((0.3, 0.5))]

    configs = [dataclasses.replace(CONFIG, epochs=1, lr=0.1), dataclasses.replace(CONFIG, epochs=1, momentum=0.0)]
    data = (problem()[0].double(), problem()[1])
    together, alone = heads(), heads()
    on_cpu(4, KERNELS)
    fit_heads(together, data, config=configs)
    on_cpu(1)
    fit_heads(alone, data, config=configs)
    for head, twin in zip(together, alone, strict=True):
        for p, other in zip(head.parameters(), twin.parameters(), strict=True):
            assert torch.allclose(p, other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_accumulators_of_graphs_that_the_caller_holds_are_forgotten(dtype):
    leaf = torch.nn.Parameter(torch.ones(3, dtype=dtype))
    held = leaf.clone().sum()

    def accumulator(tensor):
        return tensor.clone().grad_fn.next_functions[0][0]

    before, memory = accumulator(leaf), leaf.data_ptr()
    assert accumulator(leaf) is before
    forget_accumulators([leaf])
    assert accumulator(leaf) is not before
    assert leaf.data_ptr() == memory and leaf.dtype == dtype and torch.equal(leaf, torch.ones(3, dtype=dtype))
    held.backward()  # the caller's graph still works
    assert torch.equal(leaf.grad, torch.ones(3, dtype=dtype))


def test_the_graph_is_captured_on_a_stream_of_its_own_and_other_threads_may_call_cuda(monkeypatch):
    seen = []

    @contextmanager
    def graph_of(graph, **options):
        seen.append(options)
        yield

    monkeypatch.setattr(torch.cuda, "graph", graph_of)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(GraphedStep, "_warmed_up", lambda self: "stream")
    settings = CONFIG.filled(PAPER)
    head = fresh()
    optimizers = make_optimizers([head], [settings], torch.device("cpu"))
    before = state(head)
    GraphedStep(Step(stack_heads([head]), ResidentRows(*problem()), optimizers, [settings], turn=2), 16)
    assert seen == [{"stream": "stream", "capture_error_mode": "thread_local"}] * 2
    assert same(state(head), before)


@pytest.mark.parametrize("default", [torch.float32, torch.float64, torch.bfloat16])
def test_learning_rates_in_tensors_do_not_depend_on_the_default_type(default):
    try:
        torch.set_default_dtype(default)
        assert rate_tensor([0.1, 0.2], torch.device("cpu")).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("before", ["ieee", "tf32"])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_the_precision_of_products_is_restored_also_where_only_the_new_setting_may_be_read(
    monkeypatch, before, precision
):
    matmul = torch.backends.cuda.matmul
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("this torch has the older setting only")
    first = matmul.fp32_precision

    def refused():
        raise RuntimeError("the older getter raises where the new setting is in use")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", refused)
    try:
        matmul.fp32_precision = before
        with pytest.raises(ZeroDivisionError), matmul_precision(HeadConfig(precision=precision), torch.device("cuda")):
            assert matmul.fp32_precision == ("tf32" if precision == "tf32" else "ieee")
            raise ZeroDivisionError
        assert matmul.fp32_precision == before
    finally:
        matmul.fp32_precision = first

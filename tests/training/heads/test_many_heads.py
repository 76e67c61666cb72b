"""Many heads trained at once are each head trained alone."""

import dataclasses
import threading

import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.nn import gcn
from mlgcn_pyg.training import HeadConfig, fit_head, fit_heads
from mlgcn_pyg.training.heads import engines as engine
from mlgcn_pyg.training.heads.stacked import SingleHead, stack_heads
from mlgcn_pyg.training.heads.steps import Step
from mlgcn_pyg.training.heads.updates import clip_each
from tests.training.heads.problems import fresh, graph, problem, same, state

GRAPHS = [{"tau": 0.3}, {"tau": 0.5, "p": 0.4}, {"weighting": "released"}, {"weighting": "binary"}, {"tau": 1.0}]
KERNEL = [{"weighting": "kernel", "alpha": alpha} for alpha in (0.3, 0.9)]
PAPER = [{"tau": 0.3}, {"tau": 0.5, "p": 0.4}, {"tau": 1.0, "p": 0.7}]


def kinds():
    for hidden in ((), (16,), (16, 8), (4, 24)):
        for one_hot in (False, True):
            name = f"{len(hidden) + 1} layers {hidden} {'one-hot' if one_hot else 'embedded'}"
            yield pytest.param(hidden, one_hot, {}, GRAPHS, id=name)
    for learn in ({"learn_edges": True}, {"learn_p": True}, {"learn_edges": True, "learn_p": True}):
        yield pytest.param((16,), False, learn, PAPER, id=" ".join(learn))
    yield pytest.param((), True, {"learn_edges": True}, PAPER, id="1 layer one-hot learned")
    yield pytest.param((), True, {"learn_edges": True}, KERNEL, id="1 layer kernel learned")
    yield pytest.param("sharing", False, {}, GRAPHS + KERNEL, id="sharing")
    yield pytest.param("sharing", False, {"learn_edges": True}, KERNEL, id="sharing kernel learned")
    yield pytest.param("sharing", False, {"learn_edges": True, "learn_p": True}, PAPER, id="sharing learned")


@pytest.fixture(params=["side by side", "one stack"])
def arrangement(request, monkeypatch):
    """How ML-GCN heads are trained on a CPU, and how they are on a GPU."""
    if request.param == "one stack":
        monkeypatch.setattr(engine, "side_by_side", lambda heads, device: False)
    return request.param


def heads_of(hidden, one_hot, learn, graphs, dtype):
    graphs = [graph(one_hot=one_hot, **settings) for settings in graphs]
    if hidden == "sharing":
        return [fresh("sharing", graph_of=g, **({"learn_edges": False} | learn)).to(dtype) for g in graphs]
    return [fresh(seed=k, hidden=hidden, graph_of=g, **learn).to(dtype) for k, g in enumerate(graphs)]


def configs(count, **shared):
    """A different recipe for each head."""
    varied = [
        HeadConfig(
            recipe="paper",
            lr=0.5 / (k + 1),
            weight_decay=0.01 * k,
            clip_norm=None if k == 1 else 0.02,
            momentum=0.9 - 0.3 * k,
        )
        for k in range(3)
    ]
    return [dataclasses.replace(varied[k % 3], **shared) for k in range(count)]


def relative(a, b):
    if not b.numel():  # a graph without edges has no edge logits
        return 0.0 if a.shape == b.shape else float("nan")
    return float(((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).detach())


@pytest.mark.parametrize("batch_size", [8, 90])  # images first, labels first
@pytest.mark.parametrize("hidden, one_hot, learn, graphs", list(kinds()))
def test_in_float64_an_epoch_of_all_is_an_epoch_of_each(arrangement, hidden, one_hot, learn, graphs, batch_size):
    data = problem()[0].double(), problem()[1]
    together, alone = (heads_of(hidden, one_hot, learn, graphs, torch.float64) for _ in range(2))
    recipes = configs(len(together), epochs=2 if batch_size == 8 else 4, batch_size=batch_size)
    before = [state(head) for head in together]
    histories = fit_heads(together, data, data, recipes)
    for head, twin, start, history, recipe in zip(together, alone, before, histories, recipes, strict=True):
        own = fit_head(twin, data, data, recipe)
        for (name, value), other in zip(head.named_parameters(), twin.parameters(), strict=True):
            assert relative(value, other) <= 1e-8, name
        assert not same(state(head), start) and all(p.grad is None for p in head.parameters())
        assert [r["loss"] for r in history.epochs] == pytest.approx([r["loss"] for r in own.epochs], rel=1e-8)
        assert [r["mAP"] for r in history.epochs] == pytest.approx([r["mAP"] for r in own.epochs], rel=1e-8)


@pytest.mark.parametrize("hidden, one_hot, learn, graphs", list(kinds()))
def test_in_float32_a_step_of_all_is_a_step_of_each(arrangement, hidden, one_hot, learn, graphs):
    data = problem(16)
    together, alone = (heads_of(hidden, one_hot, learn, graphs, torch.float32) for _ in range(2))
    recipes = configs(len(together), epochs=1, batch_size=16)
    fit_heads(together, data, config=recipes)
    for head, twin, recipe in zip(together, alone, recipes, strict=True):
        fit_head(twin, data, config=recipe)
        for value, other in zip(head.parameters(), twin.parameters(), strict=True):
            assert relative(value, other) <= 1e-5


@pytest.mark.parametrize("bias", [True, False])
def test_linear_heads(bias):
    data = problem()[0].double(), problem()[1]
    together, alone = ([fresh("linear", seed=k, bias=bias).double() for k in range(4)] for _ in range(2))
    recipes = configs(4, epochs=3, batch_size=32)
    fit_heads(together, data, config=recipes)
    for head, twin, recipe in zip(together, alone, recipes, strict=True):
        fit_head(twin, data, config=recipe)
        assert all(relative(a, b) <= 1e-8 for a, b in zip(head.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("own_statistics", [False, True])
@pytest.mark.parametrize("kind", ["linear", "mlgcn", "mlgcn without bias"])
def test_standardised_heads(arrangement, kind, own_statistics):
    data = 5 + 10 * problem()[0].double(), problem()[1]

    def make(seed):
        head = fresh(kind.split()[0], seed).double()
        more = seed if own_statistics else 0
        head.set_statistics(data[0].mean(0) + more, data[0].std(0) * (1 + more))
        if kind == "mlgcn":
            head.set_bias(torch.linspace(-1, 1, 5))
        return head

    together, alone = ([make(seed) for seed in range(3)] for _ in range(2))
    recipes = configs(3, epochs=2, batch_size=32)
    histories = fit_heads(together, data, data, recipes)
    for head, twin, recipe, history in zip(together, alone, recipes, histories, strict=True):
        own, before = fit_head(twin, data, data, recipe), twin.standardize.scale.clone()
        assert torch.equal(head.standardize.scale, before)
        assert all(relative(a, b) <= 1e-8 for a, b in zip(head.parameters(), twin.parameters(), strict=True))
        assert [r["loss"] for r in history.epochs] == pytest.approx([r["loss"] for r in own.epochs], rel=1e-8)
    raw = make(1)
    raw.standardize = None
    with pytest.raises(InputError, match="found statistics True of head 0 and None of head 1"):
        fit_heads([make(0), raw], data, config=recipes[:2])


def test_both_orders_of_the_products_are_used(monkeypatch):
    taken, real = [], gcn.features_first
    monkeypatch.setattr(gcn, "features_first", lambda *a, **k: taken.append(real(*a, **k)) or taken[-1])
    stack = stack_heads([fresh(seed=k, hidden=(4,)) for k in range(2)])
    for batch in (1, 500):
        stack.logits(torch.randn(batch, 12))
    assert taken == [True, False]


def test_heads_are_up_to_date_during_training_and_own_their_storage_afterwards(arrangement):
    heads, seen = [fresh(seed=k) for k in range(3)], {}
    fit_heads(
        heads,
        problem(),
        config=HeadConfig(recipe="paper", epochs=2),
        progress=lambda k, r: seen.update({(k, r["epoch"]): state(heads[k])}),
    )
    assert all(same(seen[k, 2], state(head)) and not same(seen[k, 1], seen[k, 2]) for k, head in enumerate(heads))
    before = state(heads[1])
    with torch.no_grad():
        heads[0].convs[0].weight.zero_()
    assert same(state(heads[1]), before)
    assert all(p.untyped_storage().nbytes() == p.nbytes for head in heads for p in head.parameters())


def test_an_error_leaves_heads_with_storage_of_their_own(arrangement, monkeypatch):
    heads = [fresh(seed=k) for k in range(2)]
    monkeypatch.setattr(ResidentRows, "gather", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit_heads(heads, problem())
    assert all(p.untyped_storage().nbytes() == p.nbytes for head in heads for p in head.parameters())


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
def test_five_heads_on_any_number_of_cores_restore_the_number_of_threads(cores, monkeypatch):
    data, before = (problem(40)[0].double(), problem(40)[1]), torch.get_num_threads()
    together, alone = ([fresh(seed=k).double() for k in range(5)] for _ in range(2))
    config, taken, real = HeadConfig(recipe="paper", batch_size=1, epochs=2), [], engine._take_turn
    monkeypatch.setattr(engine, "_take_turn", lambda *values: taken.append(values[-1]) or real(*values))
    torch.set_num_threads(cores)
    try:
        histories = fit_heads(together, data, config=config)  # 40 steps: two turns and a shorter one
        threads = []
        thread = threading.Thread(target=lambda: threads.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert torch.get_num_threads() == threads[0] == cores
    finally:
        torch.set_num_threads(before)
    assert set(taken) == {1: {1}, 2: {1, 2}, 3: {1}, 8: {1}}[cores] and len(taken) == 5 * 3 * 2
    for head, twin, history in zip(together, alone, histories, strict=True):
        own = fit_head(twin, data, config=config)
        assert all(relative(a, b) <= 1e-8 for a, b in zip(head.parameters(), twin.parameters(), strict=True))
        assert [r["loss"] for r in history.epochs] == pytest.approx([r["loss"] for r in own.epochs], rel=1e-8)


def test_large_batches_side_by_side_do_not_fill_the_memory():
    few, many = (ResidentRows(torch.zeros(n, 1024), torch.zeros(n, 5, dtype=torch.int8)) for n in (32, 100_000))
    for source, batch_size, turn in ((few, 32, 16), (many, 2048, 4), (many, 100_000, 1)):
        step = Step(SingleHead(fresh()), source, [], [HeadConfig(recipe="paper")])
        assert engine.SideBySide([step] * 2, source, batch_size).turn == turn


def test_clipping_is_torchs_for_each_head():
    heads = [[torch.nn.Parameter(torch.zeros(3, 2)), torch.nn.Parameter(torch.zeros(4))] for _ in range(3)]
    for params in heads:
        for p in params:
            p.grad = torch.randn_like(p)
    expected = []
    for params, norm in zip(heads, (0.1, 1e6, torch.inf), strict=True):
        twins = [torch.nn.Parameter(torch.zeros_like(p)) for p in params]
        for twin, p in zip(twins, params, strict=True):
            twin.grad = p.grad.clone()
        torch.nn.utils.clip_grad_norm_(twins, norm)
        expected += [twin.grad for twin in twins]
    clip_each(heads, torch.tensor([0.1, 1e6, torch.inf]))
    found = [p.grad for params in heads for p in params]
    assert all(torch.allclose(a, b, rtol=1e-6) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("count", [1, 3])
def test_bf16_keeps_master_weights_and_learns_the_same_to_its_precision(arrangement, count):
    heads, twins = ([fresh(seed=k, learn_edges=True) for k in range(count)] for _ in range(2))
    recipe = {"lr": 0.1, "epochs": 3}
    history = fit_heads(heads, problem(), problem(40, seed=1), HeadConfig(recipe="paper", precision="bf16", **recipe))
    plain = fit_heads(twins, problem(), problem(40, seed=1), HeadConfig(recipe="paper", **recipe))
    for head, twin, own, other in zip(heads, twins, history, plain, strict=True):
        assert all(p.dtype == torch.float32 for p in head.parameters())
        assert 0 < relative(head.classifiers(), twin.classifiers()) < 0.03
        assert own.last["loss"] == pytest.approx(other.last["loss"], rel=0.02)


def partly_frozen():
    head = fresh()
    head.convs[0].requires_grad_(False)
    return head


def test_invalid_input():
    data = problem()
    table = [
        ([], None, "heads: expected a sequence of at least one head"),
        (
            [fresh(), fresh(hidden=(8,))],
            None,
            r"heads of equal shape, found hidden_channels \[16\] of head 0 and \[8\] of head 1",
        ),
        ([fresh(), fresh("linear")], None, "found kind MLGCNHead of head 0 and LinearHead of head 1"),
        ([fresh(), fresh(graph_of=graph(one_hot=True))], None, "embedding_dim 6 of head 0 and 5 of head 1"),
        ([fresh(), fresh(learn_p=True)], None, "learn_p False of head 0 and True of head 1"),
        ([fresh("linear"), fresh("linear", bias=False)], None, "bias True of head 0 and False of head 1"),
        ([fresh(), fresh().double()], None, "dtype torch.float32 of head 0 and torch.float64 of head 1"),
        ([fresh()] * 2, None, "heads: expected different heads, found the same head twice"),
        ([fresh(), partly_frozen()], None, "heads without frozen parameters"),
        ([fresh().requires_grad_(False)], None, "heads: expected heads with trainable parameters"),
        (
            [fresh(), fresh()],
            [HeadConfig(recipe="paper")],
            r"config: expected one config, or 2 configs \(one per head\), found 1",
        ),
        (
            [fresh(), fresh()],
            [HeadConfig(recipe="paper"), HeadConfig(recipe="paper", seed=1)],
            "the same seed for all heads, found 0 for head 0 and 1",
        ),
        (
            [fresh(), fresh()],
            [HeadConfig(recipe="paper"), HeadConfig(recipe="paper", batch_size=8)],
            "the same batch_size for all heads",
        ),
    ]
    for heads, config, message in table:
        with pytest.raises(InputError, match=message):
            fit_heads(heads, data, config=config, solver="sgd")
    for names in (["a"], ["a", "a"], ["a", ""], ["a", "b/c"]):
        with pytest.raises(InputError, match="names: expected 2 different file names"):
            fit_heads([fresh(), fresh()], data, names=names)
    with pytest.raises(InputError, match="precision: expected float32 or bf16 on this device, found 'tf32'"):
        fit_head(fresh(), data, config=HeadConfig(recipe="paper", precision="tf32"))
    for name, value in (("precision", "float16"), ("val_every", 0), ("patience", 0), ("views", "all")):
        with pytest.raises(InputError, match=name):
            HeadConfig(recipe="paper", **{name: value})


def test_one_head_diverging_is_named(arrangement):
    configs = [HeadConfig(recipe="paper", epochs=2), HeadConfig(recipe="paper", lr=1e25, epochs=2, clip_norm=None)]
    with pytest.raises(InputError, match=r"found loss \w+ in epoch 1, step \d+ \(wild\) at lr 1e\+25"):
        fit_heads([fresh(), fresh()], problem(), config=configs, names=["tame", "wild"])


def test_frozen_and_unused_parameters_of_one_head_stay_as_they_are():
    head = fresh(hidden=(16,))
    head.convs[0].requires_grad_(False)
    head.idle = torch.nn.Parameter(torch.ones(3))
    before = state(head)
    fit_head(head, problem(), config=HeadConfig(recipe="paper", epochs=2))
    after = state(head)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"convs.1.weight"}

"""The contenders of a study, and their heads."""

import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study import CONTENDERS, SWEEPS, Contender, RunKey, data_of_parts
from mlgcn_pyg.experiments.study.building import build_head, label_graph
from mlgcn_pyg.experiments.study.contenders import find_contender
from mlgcn_pyg.experiments.study.plan import make_plan
from mlgcn_pyg.experiments.study.running import compute_run
from mlgcn_pyg.graph import LabelGraph
from tests.experiments.study.small import ALL, NAMES, cache, drawn, embeddings, make_small, parts

TRAIN_TARGETS = drawn(80, 0)[1]


@pytest.fixture
def quickly(monkeypatch):
    """Heads are narrow and make a few steps."""
    make_small(monkeypatch)


def graph_of(data, name, *, split=0, draw=0):
    return label_graph(CONTENDERS[name], data, TRAIN_TARGETS, RunKey(name, ALL, split, draw))


def same(a, b):
    return torch.equal(a.to_dense(), b.to_dense()) and torch.equal(a.edge_index, b.edge_index)


def test_every_name_of_a_sweep_is_a_contender_with_its_value():
    assert all(CONTENDERS[name].tau == tau for tau, name in SWEEPS["tau"].items())
    assert all(CONTENDERS[name].p == p for p, name in SWEEPS["p"].items())
    assert all(CONTENDERS[name].num_layers == layers for layers, name in SWEEPS["layers"].items())
    assert all(CONTENDERS[name].embeddings == kind for kind, name in SWEEPS["embeddings"].items())
    assert list(SWEEPS["tau"]) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] == list(SWEEPS["p"])


def test_an_unknown_contender_or_choice_is_refused():
    with pytest.raises(InputError, match="contenders: expected names of linear, .*mlgcn p=0.*, found 'mpnn'"):
        find_contender("mpnn")
    for choice in ("kind", "control"):
        with pytest.raises(InputError, match=f"{choice}: expected"):
            Contender("mine", **{"kind": "mlgcn"} | {choice: "other"})


def test_without_a_given_graph_each_contender_mines_its_own_from_its_training_targets(tmp_path):
    data = parts(tmp_path)
    for name in ("mlgcn", "mlgcn p=0", "mlgcn p=0.5", "mlgcn tau=0", "mlgcn tau=0.9", "mlgcn binary", "sharing"):
        c = CONTENDERS[name]
        options = {"label_names": NAMES, "x": data.embeddings, "tau": c.tau, "p": c.p, "weighting": c.weighting}
        assert same(graph_of(data, name), LabelGraph.from_targets(TRAIN_TARGETS, **options))
    assert graph_of(data, "mlgcn tau=0").edge_index.size(1) == 12  # the complete graph
    assert torch.equal(graph_of(data, "mlgcn p=0").to_dense(), torch.eye(4))


def test_a_given_graph_is_used_except_by_the_sweep_over_its_threshold(tmp_path):
    given = LabelGraph.from_targets([[1, 1, 0, 0], [0, 0, 1, 1]], label_names=NAMES, tau=0.9)
    data = parts(tmp_path, graph=given)
    edges = given.edge_index.tolist()
    assert edges == [[0, 1, 2, 3], [1, 0, 3, 2]]
    for name in ("mlgcn", "mlgcn p=0", "mlgcn p=0.5", "mlgcn binary", "mlgcn released", "mlgcn one-hot", "mlp"):
        contender, graph = CONTENDERS[name], graph_of(data, name)
        assert graph.edge_index.tolist() == edges
        assert torch.equal(graph.to_dense(), given.reweighted(p=contender.p, weighting=contender.weighting).to_dense())
    assert torch.equal(graph_of(data, "mlgcn").x, data.embeddings) and graph_of(data, "mlp").x is None
    assert given.x is None  # the given graph is unchanged
    mined = LabelGraph.from_targets(TRAIN_TARGETS, label_names=NAMES, tau=0.1)
    assert same(graph_of(data, "mlgcn tau=0.1"), mined)
    kernel = LabelGraph.from_targets(TRAIN_TARGETS, label_names=NAMES, x=data.embeddings, weighting="kernel")
    assert same(graph_of(data, "sharing"), kernel)
    assert graph_of(data, "sharing paper").edge_index.tolist() == edges


def test_a_given_kernel_graph_is_that_of_sharing_heads(tmp_path):
    given = LabelGraph.from_targets([[1, 1, 0, 0], [0, 0, 1, 1]], label_names=NAMES, x=embeddings(), weighting="kernel")
    data = parts(tmp_path, graph=given)
    assert same(graph_of(data, "sharing"), given)
    assert same(graph_of(data, "mlgcn"), LabelGraph.from_targets(TRAIN_TARGETS, label_names=NAMES, p=0.2))


def test_controls_differ_between_draws_and_splits_and_keep_what_they_should(tmp_path):
    graph = LabelGraph.from_targets([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]], label_names=NAMES)
    data = parts(tmp_path, graph=graph)
    degrees = torch.bincount(graph.edge_index[1], minlength=4).sort().values
    places = [(split, draw) for split in range(3) for draw in range(4)]
    shuffled = [graph_of(data, "mlgcn shuffled", split=split, draw=draw) for split, draw in places]
    for one in shuffled:
        assert torch.equal(torch.bincount(one.edge_index[1], minlength=4).sort().values, degrees)
        assert torch.equal(one.x, data.embeddings)
    assert len({str(one.edge_index.tolist()) for one in shuffled}) > 3
    assert same(shuffled[1], graph_of(data, "mlgcn shuffled", draw=1))
    assert graph_of(data, "mlgcn random graph").edge_index.size(1) == graph.edge_index.size(1)
    permuted = graph_of(data, "mlgcn permuted embeddings")
    assert torch.equal(permuted.edge_index, graph.edge_index) and not torch.equal(permuted.x, data.embeddings)
    assert torch.equal(permuted.x.sort(0).values, data.embeddings.sort(0).values)


def test_random_embeddings_are_as_wide_as_given_ones_and_differ_between_splits(tmp_path):
    data = parts(tmp_path)
    first, second = (graph_of(data, "mlgcn random embeddings", split=split).x for split in range(2))
    assert first.shape == (4, 6) and not torch.equal(first, second)
    assert graph_of(parts(tmp_path, embeddings=None), "mlgcn random embeddings").x.shape == (4, 300)


def test_initial_weights_depend_on_the_split_only_and_leave_the_generator(tmp_path, quickly):
    data, state = parts(tmp_path), torch.get_rng_state()

    def weights(name, split):
        return build_head(CONTENDERS[name], data, TRAIN_TARGETS, RunKey(name, ALL, split)).layers[0].weight

    assert torch.equal(weights("mlgcn", 0), weights("mlgcn shuffled", 0))
    assert torch.equal(weights("mlgcn", 0), weights("mlgcn p=0", 0))
    assert not torch.equal(weights("mlgcn", 0), weights("mlgcn", 1))
    assert torch.equal(torch.get_rng_state(), state)


def test_average_features_are_required_by_their_contender(tmp_path):
    data = parts(tmp_path)
    key = RunKey("linear average", ALL, 0)
    with pytest.raises(InputError, match="average: expected further features of the same images, found none"):
        build_head(CONTENDERS["linear average"], data, TRAIN_TARGETS, key)


def one_hub():
    """Targets in which every label implies the first one, and no label implies another."""
    targets = torch.zeros(80, 4, dtype=torch.int8)
    targets[:, 0] = 1
    targets[60:, 0] = 0
    for label in (1, 2, 3):
        targets[10 * label : 10 * label + 8, label] = 1
    return targets


TARGETS = {
    "drawn": TRAIN_TARGETS,
    "no edges": torch.eye(4, dtype=torch.int8).repeat(20, 1),
    "one hub": one_hub(),
    "a label without positives": TRAIN_TARGETS * torch.tensor([1, 1, 0, 1], dtype=torch.int8),
    "one label": TRAIN_TARGETS[:, :1],
}


@pytest.mark.parametrize("kind", TARGETS)
def test_every_contender_that_the_data_allows_is_built_and_trained(tmp_path, quickly, kind):
    targets = TARGETS[kind]
    train = cache(tmp_path / "train.h5", 80, targets=targets)
    test = cache(tmp_path / "test.h5", 60, 2, targets=drawn(60, 2)[1][:, : targets.size(1)])
    data = data_of_parts(train, test, average={"train": train, "test": test}, embeddings=embeddings(targets.size(1)))
    inner = {f"mlgcn {name}=0.{k}" for name in ("tau", "p") for k in range(1, 10)}  # of the sweeps
    plan = make_plan(data, (), [name for name in CONTENDERS if name not in inner])
    controls = {name for name, contender in CONTENDERS.items() if contender.control}
    assert set(plan.omitted) == (controls if kind == "one label" else set())
    for name, contender in plan.contenders.items():
        run = compute_run(RunKey(name, ALL, 0), contender, data)
        assert run.logits.shape == (60, targets.size(1)) and torch.from_numpy(run.logits).isfinite().all()
        assert run.rows.tolist() == list(range(80, 140)) and run.num_parameters > 0 and run.factor in (1 / 3, 1, 3)


@pytest.mark.parametrize("name", ["gcn", "gat", "sage"])
def test_a_gnn_is_trained_by_sgd_with_the_graph_and_the_embeddings_of_ml_gcn(tmp_path, quickly, name):
    data = parts(tmp_path)
    head = build_head(CONTENDERS[name], data, TRAIN_TARGETS, RunKey(name, ALL, 0))
    assert (head.gnn_name, head.hidden_channels, head.num_layers) == (name, 8, 2)
    assert same(head.base_graph(), graph_of(data, "mlgcn")) and torch.equal(head.x, data.embeddings.float())
    assert not CONTENDERS[name].is_exact
    run = compute_run(RunKey(name, ALL, 0), CONTENDERS[name], data)
    assert run.val_mAP > 0 and run.num_parameters == sum(p.numel() for p in head.parameters()) + 4  # and a bias


def test_the_preset_of_gnns(tmp_path):
    plan = make_plan(parts(tmp_path), ("gnn",))
    assert list(plan.contenders) == ["linear", "sharing", "mlgcn", "mlgcn binary", "gcn", "sage", "gat", "gatv2", "gin"]
    assert not plan.omitted

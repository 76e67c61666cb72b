"""The comparison of heads: one row per kind and seed, resumed runs, refusals, and the summary."""

import signal

import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import MetricDifferences, MetricIntervals, table1_row
from mlgcn_pyg.evaluation.intervals import Difference, Interval
from mlgcn_pyg.experiments import compare_heads
from mlgcn_pyg.experiments.head_comparison import HeadComparison
from mlgcn_pyg.experiments.kinds import HeadDesign
from mlgcn_pyg.experiments.recommendation import Recommendation
from mlgcn_pyg.experiments.summary import describe_setup, summarize_heads
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import HeadConfig, score
from tests.test_html import Parsed

NAMES = ("sky", "sea", "sun", "sand")
CONFIG = HeadConfig(recipe="paper", lr=0.5, epochs=3, batch_size=16)


def cache(path, num_images, seed, names=NAMES):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(num_images, 8, generator=generator)
    truth = torch.randn(8, len(names), generator=torch.Generator().manual_seed(9))
    return FeatureCache.from_arrays(path, features, (features @ truth > 0).to(torch.int8), names, dtype="float32")


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("caches")
    return cache(folder / "train.h5", 64, seed=1), cache(folder / "val.h5", 40, seed=2)


@pytest.fixture(scope="module")
def graph(caches):
    return LabelGraph.from_targets(caches[0].targets, label_names=NAMES)


def compared(caches, graph, **options):
    options = {"config": CONFIG, "hidden_channels": (6,), "replicates": 20} | options
    return compare_heads(*caches, graph, **options).heads


def test_each_kind_and_seed_has_the_row_of_its_head(caches, graph):
    records = []
    fitted = compared(caches, graph, seeds=2, progress=lambda *record: records.append(record))
    assert [(head.kind, head.seed) for head in fitted] == [("linear", 0), ("linear", 1), ("mlgcn", 0), ("mlgcn", 1)]
    assert [type(head.head) for head in fitted] == [LinearHead] * 2 + [MLGCNHead] * 2
    for head in fitted:
        assert head.row == table1_row(*score(head.head, caches[1]), NAMES)
        assert head.row["all"]["mAP"] == head.history.last["mAP"] and list(head.row["AP"]) == list(NAMES)
        reported = [record for kind, seed, record in records if (kind, seed) == (head.kind, head.seed)]
        assert reported == head.history.epochs and len(reported) == 3


def test_a_seed_draws_the_initial_weights_and_is_repeatable(caches, graph):
    first, again = (compared(caches, graph, seeds=2) for _ in range(2))
    for head, other in zip(first, again, strict=True):
        assert torch.equal(head.head.classifiers(), other.head.classifiers())
    assert not torch.equal(first[0].head.classifiers(), first[1].head.classifiers())
    fresh = HeadDesign().build("linear", 8, caches[0].targets, NAMES, seed=1)
    alone = compared(caches, None, kinds=["linear"], seeds=2)[1]
    assert not torch.equal(alone.head.classifiers(), fresh.classifiers())
    assert torch.equal(alone.head.classifiers(), first[1].head.classifiers())  # other kinds change nothing


def test_options_reach_the_heads(caches, graph):
    head = compared(caches, graph, kinds=["mlgcn"], seeds=1, learn_edges=True, learn_p=True)[0].head
    assert head.learn_edges and head.learn_p and head.hidden_channels == (6,)


def test_an_interrupted_comparison_resumes_in_its_folder(caches, graph, tmp_path, monkeypatch):
    expected = compared(caches, graph, seeds=2)
    gather, calls = ResidentRows.gather, iter(range(100))

    def interrupting(self, rows):
        if next(calls) == 5:  # within the run of the first kind
            signal.raise_signal(signal.SIGINT)
        return gather(self, rows)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ResidentRows, "gather", interrupting)
        compared(caches, graph, seeds=2, folder=tmp_path)
    assert (tmp_path / "linear" / "state.pt").exists() and not (tmp_path / "mlgcn").exists()
    resumed = compared(caches, graph, seeds=2, folder=tmp_path)
    assert [head.row for head in resumed] == [head.row for head in expected]
    assert (tmp_path / "mlgcn" / "mlgcn-seed1.jsonl").exists()
    monkeypatch.setattr(ResidentRows, "gather", None)  # complete runs are not trained again
    assert [head.row for head in compared(caches, graph, seeds=2, folder=tmp_path)] == [h.row for h in expected]
    with pytest.raises(InputError, match="folder: expected a run with the same setup, found a different heads"):
        compared(caches, graph, seeds=3, folder=tmp_path)


def test_refusals(caches, graph, tmp_path):
    with pytest.raises(InputError, match="kinds: expected one of linear, sharing, mlgcn, gcn, .*, found 'tree'"):
        compared(caches, graph, kinds=["linear", "tree"])
    with pytest.raises(InputError, match="kinds: expected some of linear, sharing, mlgcn, gcn, .*, found none"):
        compared(caches, graph, kinds=[])
    with pytest.raises(InputError, match="linear or mlgcn for the recipe 'paper', found 'sharing'; pass recipe='auto'"):
        compared(caches, graph, kinds=["sharing"])
    with pytest.raises(InputError, match="seeds: expected an integer ≥ 1"):
        compared(caches, graph, seeds=0)
    other = cache(tmp_path / "other.h5", 20, seed=3, names=("sky", "sea", "moon", "sand"))
    with pytest.raises(InputError, match="val: expected the 4 labels of the head, found 'moon' instead of 'sun'"):
        compared((caches[0], other), None, kinds=["linear"])
    with pytest.raises(InputError, match="'moon'"):
        compared((other, other), graph, kinds=["mlgcn"])
    with pytest.raises(InputError, match="test: expected the 4 labels of the training features, found 'moon'"):
        compared(caches, None, kinds=["linear"], test=other)
    wide = FeatureCache.from_arrays(tmp_path / "wide.h5", torch.zeros(2, 9), torch.ones(2, 4), NAMES)
    with pytest.raises(InputError, match="test: expected features of width 8, as in the training features, found"):
        compared(caches, None, kinds=["linear"], test=wide)
    none = FeatureCache.from_arrays(tmp_path / "none.h5", torch.zeros(0, 8), torch.ones(0, 4), NAMES)
    with pytest.raises(InputError, match="test: expected at least one image, found none"):
        compared(caches, None, kinds=["linear"], test=none)


@pytest.mark.parametrize("seeds", [1, 2])
def test_summary(caches, graph, seeds):
    fitted = compared(caches, graph, seeds=seeds)
    summary = summarize_heads(fitted)
    assert list(summary) == ["linear", "mlgcn"]
    for kind, result in summary.items():
        rows = [head.row for head in fitted if head.kind == kind]
        values = [row["top3"]["CF1"] for row in rows]
        assert [seed["seed"] for seed in result["seeds"]] == list(range(seeds))
        assert result["seeds"][0]["last_epoch"] == fitted[0 if kind == "linear" else seeds].history.last
        assert result["mean"]["top3"]["CF1"] == pytest.approx(sum(values) / seeds)
        std = None if seeds == 1 else pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        assert result["std"]["top3"]["CF1"] == std


def test_the_setup_describes_recipe_and_data(caches):
    setup = describe_setup(*caches, CONFIG, seeds=2)
    assert setup["config"]["epochs"] == 3 and "seed" not in setup["config"] and setup["seeds"] == 2
    assert setup["val"]["file"] == "val.h5" and setup["val"]["images"] == 40
    assert setup["train"]["sha256"] == caches[0].digest() != setup["val"]["sha256"]


def test_exact_heads_have_one_row_and_what_they_selected(caches, graph):
    """λ is selected on folds; without a graph, ML-GCN and sharing heads have graphs of the training targets."""
    config = HeadConfig(epochs=2, batch_size=16)
    fitted = compared(caches, None, config=config, seeds=2)
    assert [(head.kind, head.seed) for head in fitted] == [
        ("linear", 0), ("sharing", 0), ("mlgcn", 0), ("mlgcn", 1),
    ]  # fmt: skip
    linear, sharing, mlgcn, _ = (head.head for head in fitted)
    assert {"l2", "selection_mAP", "gradient"} <= fitted[0].history.last.keys() and linear.has_statistics
    assert sharing.base_graph().alpha == fitted[1].history.last["alpha"]
    counts = LabelGraph.from_targets(caches[0].targets, weighting="kernel")
    assert torch.equal(sharing.base_graph().kernel, counts.kernel)
    assert mlgcn.x is None and torch.equal(mlgcn.edge_index, graph.edge_index)


def test_a_given_graph_and_its_embeddings(caches):
    targets, x = caches[0].targets, torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    sparse = LabelGraph.from_targets(targets, label_names=NAMES, x=x)
    kernel = LabelGraph.from_targets(targets, label_names=NAMES, x=x, weighting="kernel")
    other = LabelGraph.from_targets(targets[:9], label_names=NAMES, weighting="kernel")

    def kernel_of(design, part=targets, whole=None):
        return design.graph_of("sharing", part, NAMES, whole).kernel

    assert torch.equal(kernel_of(HeadDesign(sparse)), kernel.kernel)  # its embeddings, not its weighting
    assert HeadDesign(kernel).graph_of("sharing", targets, NAMES) is kernel
    assert HeadDesign(kernel).graph_of("mlgcn", targets, NAMES) is kernel
    assert HeadDesign(kernel, sparse).graph_of("sharing", targets, NAMES) is sparse
    part = LabelGraph.from_targets(targets[:20], label_names=NAMES, x=x, weighting="kernel")
    assert torch.equal(kernel_of(HeadDesign(kernel), targets[:20], targets), part.kernel)  # no label of other images
    assert torch.equal(kernel_of(HeadDesign(other), targets[:20], targets), other.kernel)  # counts of other data stay


def test_notebooks_show_the_comparison():
    def intervals(value):
        return MetricIntervals(Interval(value, value - 0.1, value + 0.1), Interval(0, 0, 0), ())

    to_linear = Difference(0.05, 0.01, 0.09, 1.0)
    comparison = HeadComparison(
        [],
        Recommendation("mlgcn", "val", "linear", {}, {}),
        {"linear": intervals(0.5), "mlgcn": intervals(0.55)},
        {"mlgcn": MetricDifferences(to_linear, to_linear, (), (), ())},
        1000,
        [],
    )
    texts = Parsed(comparison._repr_html_()).texts
    assert texts[1:8] == ["head", "mAP", "low", "high", "minus linear", "low", "high"]
    assert texts[8:15] == ["linear", "50.0", "40.0", "60.0", "–", "–", "–"]
    assert texts[15:] == ["mlgcn (recommended)", "55.0", "45.0", "65.0", "5.0", "1.0", "9.0"]


def test_gnns_of_pyg_are_kinds_of_heads(caches, graph):
    found = compare_heads(*caches, graph, kinds=("gat", "linear", "gcn"), seeds=2, hidden_channels=(6,), replicates=20)
    assert [(head.kind, head.seed) for head in found.heads] == [
        ("linear", 0), ("gcn", 0), ("gcn", 1), ("gat", 0), ("gat", 1)
    ]  # fmt: skip
    assert [head.head.gnn_name for head in found.heads[1:]] == ["gcn", "gcn", "gat", "gat"]
    assert set(found.differences) == {"gcn", "gat"} and found.recommendation.kind in ("linear", "gcn", "gat")
    assert compare_heads(*caches, graph, kinds=("gin",), seeds=1, config=CONFIG, hidden_channels=(6, 6)).heads
    with pytest.raises(InputError, match="hidden_channels: expected equal widths for a GNN, found \\(6, 5\\)"):
        compare_heads(*caches, graph, kinds=("gin",), hidden_channels=(6, 5))
    with pytest.raises(InputError, match="kinds: expected one of linear, sharing, mlgcn, gcn, sage, gat, gatv2, gin"):
        compare_heads(*caches, graph, kinds=("mpnn",))

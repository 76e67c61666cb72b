"""The recommended head: what selects it, and the rule."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mlgcn_pyg.evaluation import bootstrap_replicates, multilabel_metrics
from mlgcn_pyg.experiments import compare_heads
from mlgcn_pyg.experiments.recommendation import recommend, replicates_over_seeds, standard_error
from mlgcn_pyg.experiments.selection import SelectionScores, fold_config
from mlgcn_pyg.experiments.setup import Setup
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import ExactConfig, HeadConfig, History

SHORT = HeadConfig(epochs=2, batch_size=32)


def found(shift, error):
    """Samples of an mAP of 0.5 + shift, whose differences to a head without error have this standard deviation."""
    return 0.5 + shift + np.concatenate([[0.0], np.resize([error, -error], 400)])


@pytest.mark.parametrize(
    "shift, error, chosen",
    [(0.02, 0.01, "sharing"), (0.02, 0.03, "sharing"), (0.0005, 0.01, "linear"), (-0.1, 0.01, "linear")],
)
def test_the_head_with_the_highest_score_is_recommended(shift, error, chosen):
    scores = {"linear": found(0, 0), "sharing": found(shift, error)}
    result = recommend(scores, "val")
    assert result.kind == chosen and result.reference == "linear" and result.images == "val"
    assert result.mAP["sharing"] == pytest.approx(0.5 + shift) and result.errors["sharing"] == pytest.approx(error)


def test_the_simplest_of_the_heads_that_are_equal_to_the_best_one():
    scores = {"linear": found(0, 0), "sharing": found(0.0595, 0.01), "mlgcn": found(0.06, 0.03)}
    assert recommend(scores, "folds").kind == "sharing"
    assert recommend({**scores, "mlgcn": found(0.09, 0.03)}, "folds").kind == "mlgcn"


def test_without_a_defined_score_the_simplest_head():
    undefined = np.full(5, np.nan)
    assert recommend({"linear": undefined, "mlgcn": undefined}, "val").kind == "linear"
    assert standard_error(undefined, undefined) == float("inf")
    one_image = recommend({"linear": found(0, 0), "mlgcn": found(0.4, 0)}, "val")
    assert one_image.kind == "mlgcn" and one_image.errors == {"mlgcn": float("inf")}


def test_samples_of_several_runs_draw_the_runs_too():
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(60, 3, generator=generator) > 0.6).to(torch.int8)
    runs = [torch.randn(60, 3, generator=generator) for _ in range(2)]
    both = replicates_over_seeds(runs, targets, 300)
    assert both.mAP[0] == pytest.approx(sum(multilabel_metrics(run, targets)["mAP"] for run in runs) / 2)
    fixed = bootstrap_replicates(runs, targets, replicates=300)
    assert both.mAP.std() > fixed.mAP.std() and not np.allclose(both.mAP[1:], fixed.mAP[1:])
    one = replicates_over_seeds(runs[:1], targets, 50)
    assert np.array_equal(one.AP, bootstrap_replicates(runs[0], targets, replicates=50).AP, equal_nan=True)


def related(path, num_images, seed, shared=True, names=24):
    """Images whose labels are in groups of six: labels of a group have nearly equal classifiers if ``shared``."""
    truth = np.random.default_rng(7)
    groups = np.repeat(truth.normal(size=(4, 40)), 6, axis=0) if shared else truth.normal(size=(24, 40))
    weights = groups + 0.3 * truth.normal(size=(24, 40))
    noise = np.random.default_rng(seed)
    x = noise.normal(size=(num_images, 40))
    logits = x @ weights.T + 2.0 * noise.normal(size=(num_images, 24))
    y = (logits > 1.6 * np.linalg.norm(weights, axis=1)).astype(np.int8)
    return FeatureCache.from_arrays(path, x.astype(np.float32), y, [f"l{c}" for c in range(names)], dtype="float32")


def embeddings():
    """Embeddings of the labels that tell the groups."""
    return np.repeat(np.eye(4), 6, axis=0) + 0.05 * np.random.default_rng(3).normal(size=(24, 4))


@pytest.mark.parametrize("with_test", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_sharing_is_recommended_where_labels_are_related(tmp_path, shared, with_test):
    train, val, test = (
        related(tmp_path / f"{name}.h5", size, seed, shared)
        for seed, (name, size) in enumerate((("train", 180), ("val", 300), ("test", 600)))
    )
    graph = LabelGraph.from_targets(train.targets, label_names=train.label_names, x=embeddings(), weighting="kernel")
    result = compare_heads(
        train, val, graph, test=test if with_test else None, kinds=["linear", "sharing"], replicates=200
    )
    assert result.recommendation.kind == ("sharing" if shared else "linear")
    assert result.recommendation.images == ("val" if with_test else "folds")
    change = result.differences["sharing"].mAP
    assert change.low > 0.02 if shared else change.value < 0.01
    assert result.recommended.kind == result.recommendation.kind and result.recommended.seed == 0


def test_the_images_that_select_do_not_report(tmp_path):
    """Other labels of the reported images change the metrics and not the recommendation."""
    train, val = related(tmp_path / "train.h5", 90, 0), related(tmp_path / "val.h5", 100, 1)
    features, targets = val.load()
    wrong = FeatureCache.from_arrays(tmp_path / "w.h5", features, 1 - targets, val.label_names, dtype="float32")
    first, other = (
        compare_heads(train, reported, kinds=["linear", "sharing"], replicates=20) for reported in (val, wrong)
    )
    assert first.recommendation == other.recommendation and first.heads[0].row != other.heads[0].row


def test_every_image_is_scored_by_a_head_of_the_other_folds(tmp_path):
    records = []
    train = related(tmp_path / "train.h5", 60, 0)
    compare_heads(
        train, train, kinds=["linear", "mlgcn"], seeds=1, config=SHORT, exact=ExactConfig(folds=2), replicates=5,
        hidden_channels=(4,), progress=lambda name, number, record: records.append((name, number)),
    )  # fmt: skip
    assert {name for name, _ in records} == {"linear", "mlgcn", "linear folds", "mlgcn folds"}
    assert {number for name, number in records if name == "mlgcn folds"} == {0, 1}


def test_folds_use_the_strength_that_was_selected(tmp_path):
    """λ is proportional to 1/N; λ per label is selected again."""
    train = related(tmp_path / "train.h5", 30, 0)
    setup = Setup(train, train, None, None, HeadConfig(patience=3), ExactConfig(folds=3))
    history = History([{"iteration": 3, "l2": 0.2}])
    assert fold_config(setup, "linear", LinearHead(24, 40), history).l2 == pytest.approx(0.3)
    per_label = replace(setup, exact=ExactConfig(folds=3, per_label=True))
    assert fold_config(per_label, "linear", LinearHead(24, 40), history) == per_label.exact
    assert fold_config(setup, "mlgcn", LinearHead(24, 40), History()).patience is None


def test_folds_are_scored_one_by_one():
    """Logits that tell the folds apart do not matter."""
    targets = torch.tensor([[1], [0], [1], [0]], dtype=torch.int8)
    logits = torch.tensor([[1.0], [0.0], [-8.0], [-9.0]])
    folds = [torch.tensor([0, 1]), torch.tensor([2, 3])]
    assert SelectionScores("folds", {"linear": [logits]}, targets, folds).samples("linear")[0] == 1.0


def awkward(path, num_images, seed, unknown=0.3):
    """Label 0 is never present, label 1 always, and targets are unknown at random."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num_images, 6)).astype(np.float32)
    y = (x[:, :4] > 0).astype(np.int8)
    y[:, 0], y[:, 1] = 0, 1
    y[generator.random(y.shape) < unknown] = -1
    return FeatureCache.from_arrays(path, x, y, list("abcd"), dtype="float32")


@pytest.mark.parametrize("num_images, unknown", [(40, 0.4), (1, 0.0), (2, 1.0)])
def test_labels_without_positives_one_image_and_unknown_targets(tmp_path, num_images, unknown):
    train, val = awkward(tmp_path / "train.h5", num_images, 0, unknown), awkward(tmp_path / "val.h5", 30, 1)
    result = compare_heads(train, val, seeds=1, config=SHORT, hidden_channels=(4,), replicates=10)
    assert [head.kind for head in result.heads] == ["linear", "sharing", "mlgcn"]
    assert result.recommendation.images == ("val" if num_images == 1 else "folds")
    assert all(head.row["AP"]["a"] is None and head.row["AP"]["b"] == 1 for head in result.heads)


def test_the_validation_images_select_if_the_recipe_is_the_paper_s_or_features_are_streamed(tmp_path):
    train, val = related(tmp_path / "train.h5", 40, 0), related(tmp_path / "val.h5", 40, 1)
    paper = HeadConfig(recipe="paper", epochs=1)
    result = compare_heads(train, val, seeds=1, config=paper, hidden_channels=(4,), replicates=5)
    assert result.recommendation.images == "val" and [head.kind for head in result.heads] == ["linear", "mlgcn"]
    result = compare_heads(train, val, kinds=["linear", "sharing"], stream=True, replicates=5)
    assert result.recommendation.images == "val"

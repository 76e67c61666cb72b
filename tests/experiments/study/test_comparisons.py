"""Comparisons: their findings, what is primary, and planted advantages."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation.significance import holm
from mlgcn_pyg.experiments.study.comparisons import PRIMARY, compare, default_pairs, finding
from mlgcn_pyg.experiments.study.effects import Scores
from mlgcn_pyg.graph import LabelGraph
from tests.experiments.study.simulation import simulated_runs, simulated_targets


def study(advantages, *, seed=0, num_images=200, num_labels=4, splits=8, replicates=100, **noise):
    generator = np.random.default_rng(seed)
    targets = simulated_targets(generator, num_images, num_labels)
    runs = simulated_runs(generator, targets, advantages, splits, **noise)
    return Scores(runs, targets, shared_test=True, replicates=replicates)


def runs_of(scores):
    return [run for splits in scores._runs.values() for draws in splits.values() for run in draws]


def positives(scores):
    return (scores.targets == 1).sum(axis=0)


def test_primary_comparisons_are_corrected_and_others_are_not():
    names = ["linear", "mlgcn", "mlgcn p=0", "mlgcn shuffled", "mlp", "mlgcn tau=0.3", "sharing paper"]
    scores = study({name: 0.2 * k for k, name in enumerate(names)})
    found = compare(scores, None, positives(scores))
    assert [(one.a, one.b) for one in found] == [
        ("mlgcn", "mlgcn p=0"),
        ("mlgcn", "mlgcn shuffled"),
        ("mlgcn", "linear"),
        ("mlp", "linear"),
        ("mlgcn tau=0.3", "mlgcn"),
        ("sharing paper", "linear"),
    ]
    assert [one.primary for one in found] == [True] * 3 + [False] * 3
    assert [one.adjusted_p for one in found[:3]] == holm([one.effect.p for one in found[:3]])
    assert [one.adjusted_p for one in found[3:]] == [one.effect.p for one in found[3:]]
    assert found[3].groups == {} and list(found[0].groups) == [
        "frequent labels",
        "labels of medium frequency",
        "rare labels",
    ]


def test_absent_contenders():
    scores = study({"mlgcn": 0.0, "linear": 0.0, "mlp": 0.0})
    assert default_pairs(scores) == [("mlgcn", "linear"), ("mlp", "linear")]
    assert [(one.a, one.b) for one in compare(scores, None, positives(scores), PRIMARY)] == [("mlgcn", "linear")]
    with pytest.raises(InputError, match="^contender: expected one of mlgcn, linear, mlp, found 'mlgcn 3 layers'"):
        compare(scores, None, positives(scores), [("mlgcn 3 layers", "linear")])
    assert compare(scores, None, positives(scores), []) == []
    alone = study({"mlp": 0.0})
    assert compare(alone, None, positives(alone)) == []


def test_pairs_without_a_common_split_are_left_out():
    scores = study({"mlgcn": 0.0, "linear": 0.0})
    apart = [run for run in runs_of(scores) if (run.key.contender == "linear") == (run.key.split < 4)]
    assert default_pairs(Scores(apart, scores.targets, shared_test=True, replicates=10)) == []


def test_findings():
    effect = compare(study({"mlgcn": 1.0, "linear": 0.0}), None, [1] * 4)[0].effect
    lower = replace(effect, value=-effect.value)
    assert finding(effect, 0.05) == "higher" and finding(lower, 0.05) == "lower"
    assert finding(effect, 0.051) == "cannot be told" and finding(effect, math.nan) == "descriptive"
    assert finding(replace(effect, equivalent=True), 0.01) == "equivalent"


def test_large_small_and_unclear_differences():
    def found(advantage, smallest, **options):
        scores = study({"mlgcn": advantage, "linear": 0.0}, **options)
        return compare(scores, None, positives(scores), smallest=smallest)[0].finding

    assert found(1.0, 0.003) == "higher" and found(-1.0, 0.003) == "lower"
    quiet = {"of_images": 0.01, "of_splits": 0.01, "of_runs": 0.01}
    assert found(0.0, 0.02, **quiet) == "equivalent"
    assert found(0.0, 0.003) == "cannot be told"
    assert found(1.0, 0.003, splits=3) == "descriptive"


def test_too_few_splits_name_no_labels():
    scores = study({"mlgcn": 1.0, "linear": 0.0}, splits=3)
    found = compare(scores, None, positives(scores))[0]
    assert (found.gained, found.lost) == ((), ()) and found.effect.descriptive
    assert all(effect.descriptive for effect in found.groups.values())


def test_a_planted_advantage_in_half_the_labels_is_found_there_and_not_elsewhere():
    """Labels 0 to 2 gain, 3 to 5 do not. The graph gives messages to the first half only."""
    gain = np.array([0.8, 0.8, 0.8, 0, 0, 0])
    targets = [[1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]]
    graph = LabelGraph.from_targets(targets)
    scores = study({"mlgcn": gain, "mlgcn p=0": 0.0}, num_images=500, num_labels=6)
    found = compare(scores, graph, [90, 80, 70, 60, 50, 40])[0]
    assert found.finding == "higher" and found.gained == (0, 1, 2) and found.lost == ()
    receivers, others = found.groups["labels that receive messages"], found.groups["labels that receive none"]
    assert receivers.p <= 0.05 and receivers.joint.low > 0.03
    assert others.p > 0.05 and others.joint.low < 0 < others.joint.high
    assert (receivers.num_labels, others.num_labels) == (3, 3)
    back = compare(scores, graph, [90, 80, 70, 60, 50, 40], [("mlgcn p=0", "mlgcn")])[0]
    assert (back.gained, back.lost, back.primary) == ((), (0, 1, 2), False)


def test_a_planted_advantage_in_context_is_found_there():
    """The gain is a higher logit where the partner is present and the label is too."""
    generator = np.random.default_rng(0)
    targets = simulated_targets(generator, 600, 2)
    near = targets[:, ::-1] == 1
    runs = simulated_runs(generator, targets, {"mlgcn": 0.0, "mlgcn p=0": 0.0}, 8)
    runs = [
        replace(run, logits=(run.logits + 2 * near * targets).astype(np.float32))
        if run.key.contender == "mlgcn"
        else run
        for run in runs
    ]
    scores = Scores(runs, targets, shared_test=True, replicates=100)
    found = compare(scores, LabelGraph.from_targets([[1, 1]]), [9, 9])[0].groups
    assert found["images in context"].joint.low > 0.05
    assert found["images out of context"].joint.low < 0 < found["images out of context"].joint.high


def test_labels_with_few_positive_images_are_not_called_gained():
    scores = study({"mlgcn": 3.0, "linear": 0.0}, num_labels=2)
    assert compare(scores, None, [1, 1])[0].gained == (0, 1)
    targets = scores.targets.copy()
    targets[np.flatnonzero(targets[:, 0] == 1)[4:], 0] = 0
    few = Scores(runs_of(scores), targets, shared_test=True, replicates=100)
    assert compare(few, None, [1, 1])[0].gained == (1,)

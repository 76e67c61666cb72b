"""The verdict: the answer for each combination of findings, and sentences with the numbers that they follow from."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from mlgcn_pyg.evaluation import Interval
from mlgcn_pyg.experiments.study.comparisons import PRIMARY, Comparison, compare
from mlgcn_pyg.experiments.study.effects import Scores
from mlgcn_pyg.experiments.study.records import Condition, Run, RunKey
from mlgcn_pyg.experiments.study.uncertainty import Effect
from mlgcn_pyg.experiments.study.verdict import Price, answer, prices, verdict
from tests.experiments.study.simulation import simulated_runs, simulated_targets

FINDINGS = ("higher", "lower", "equivalent", "cannot be told", "descriptive")
EFFECT = Effect(
    value=0.0123,
    images=Interval(0.0123, 0.004, 0.02),
    splits=Interval(0.0123, 0.005, 0.02),
    joint=Interval(0.0123, 0.0031, 0.0215),
    p_images=0.001,
    p_splits=0.002,
    p=0.0024,
    equivalent=False,
    descriptive="",
    num_splits=10,
    num_images=5000,
    num_labels=3,
    error_images=0.004,
    error_splits=0.002,
    least_p=2 / 2**10,
    images_needed=13000,
    splits_needed=20,
)
PRICES = {"linear": Price(0.412, 1000), "mlgcn": Price(12.34, 3_400_000)}


def comparison(a, b, finding="higher", effect=EFFECT, **changes):
    return Comparison(a, b, (a, b) in PRIMARY, effect, changes.pop("p", 0.012), finding, **{
        "groups": {}, "gained": (), "lost": ()} | changes)  # fmt: skip


def found(findings):
    return [comparison(*pair, finding) for pair, finding in findings.items()]


@pytest.mark.parametrize("findings", list(itertools.product(FINDINGS, repeat=2)))
@pytest.mark.parametrize("pairs", [PRIMARY[:2], PRIMARY[3:]])
def test_the_answer_from_one_contender(findings, pairs):
    if set(findings) == {"higher"}:
        expected = "helps"
    elif "equivalent" in findings or "lower" in findings:
        expected = "does not help"
    else:
        expected = "cannot be told"
    assert answer(found(dict(zip(pairs, findings, strict=True)))) == expected


def test_the_answer_from_both_contenders():
    no, yes, open_ = ("equivalent", "higher"), ("higher", "higher"), ("higher", "cannot be told")
    pairs = (*PRIMARY[:2], *PRIMARY[3:])
    for findings, expected in {
        (*no, *yes): "helps",
        (*yes, *open_): "helps",
        (*no, *no): "does not help",
        (*no, *open_): "cannot be told",
        (*open_, *no): "cannot be told",
    }.items():
        assert answer(found(dict(zip(pairs, findings, strict=True)))) == expected


def test_an_absent_control_leaves_the_answer_open():
    assert answer(found({PRIMARY[0]: "higher"})) == "cannot be told"
    assert answer(found({PRIMARY[0]: "equivalent"})) == "does not help"
    assert answer(found({PRIMARY[2]: "higher"})) == answer([]) == "cannot be told"  # linear is no control of mlgcn
    assert "There is no comparison of mlgcn with mlgcn shuffled." in verdict(found({PRIMARY[0]: "higher"}), {}, "ab")
    assert verdict([], {}, "ab")[1:] == [
        "There is no comparison of mlgcn with mlgcn p=0.",
        "There is no comparison of mlgcn with mlgcn shuffled.",
        "There is no comparison of sharing with linear.",
        "There is no comparison of sharing with sharing shuffled.",
    ]


def test_exploratory_comparisons_do_not_count():
    assert answer([replace(one, primary=False) for one in found({PRIMARY[0]: "higher", PRIMARY[1]: "higher"})]) == (
        "cannot be told"
    )


def test_a_graph_that_helps():
    groups = {
        "rare labels": replace(EFFECT, value=0.03, joint=Interval(0.03, 0.01, 0.05)),
        "frequent labels": replace(EFFECT, value=0.001, joint=Interval(0.001, -0.01, 0.012)),
        "images in context": replace(EFFECT, descriptive="a test over splits requires 6 of them, not 3"),
    }
    comparisons = [
        comparison("mlgcn", "mlgcn p=0", groups=groups, gained=(0, 1, 2, 3, 4, 5, 6), lost=(7,)),
        comparison("mlgcn", "mlgcn shuffled", p=0.0004),
        comparison("mlgcn", "linear", "lower", replace(EFFECT, value=-0.02, joint=Interval(-0.02, -0.03, -0.01))),
    ]
    assert verdict(comparisons, PRICES, "abcdefgh") == [
        "The label graph helps on this data.",
        "mlgcn is higher than mlgcn p=0: +1.2 mAP (95 % interval +0.3 to +2.1), adjusted p = 0.012.",
        "mlgcn is higher than mlgcn shuffled: +1.2 mAP (95 % interval +0.3 to +2.1), adjusted p < 0.001.",
        "mlgcn is lower than linear: −2.0 mAP (95 % interval −3.0 to −1.0), adjusted p = 0.012.",
        "A fit of mlgcn takes 12.3 s and 3,400,000 parameters; one of linear 0.412 s and 1,000.",
        "Exploratory, mlgcn against mlgcn p=0 differs on rare labels +3.0 (+1.0 to +5.0).",
        "The AP of mlgcn is higher than that of mlgcn p=0 for a, b, c, d, e and 2 more.",
        "The AP of mlgcn is lower than that of mlgcn p=0 for h.",
    ]


def test_a_gain_that_shuffled_labels_have_too():
    small = replace(EFFECT, value=0.0, joint=Interval(0.0, -0.001, 0.001))
    comparisons = [
        comparison("sharing", "linear"),
        comparison("sharing", "sharing shuffled", "equivalent", small, p=0.9),
    ]
    assert verdict(comparisons, {}, "ab", smallest=0.005) == [
        "The label graph does not help on this data.",
        "sharing is higher than linear: +1.2 mAP (95 % interval +0.3 to +2.1), adjusted p = 0.012.",
        "sharing and sharing shuffled differ by less than 0.5 mAP: 0.0 mAP (95 % interval −0.1 to +0.1), "
        "adjusted p = 0.90.",
        "sharing gains over linear but not over sharing shuffled: the gain does not depend on which labels are "
        "connected.",
    ]


def test_a_loss_that_only_shuffled_labels_have():
    comparisons = [
        comparison("mlgcn", "mlgcn p=0", "equivalent", replace(EFFECT, value=0.0), p=0.9),
        comparison("mlgcn", "mlgcn shuffled"),
    ]
    sentences = verdict(comparisons, {}, "ab")
    assert sentences[0] == "The label graph does not help on this data."
    assert sentences[-1] == (
        "mlgcn gains over mlgcn shuffled but not over mlgcn p=0: wrong edges lower mAP, and the given ones do not "
        "raise it."
    )


def test_what_would_be_needed():
    wide = comparison("mlgcn", "mlgcn p=0", "cannot be told", p=0.2)
    enough = comparison(
        "mlgcn", "mlgcn shuffled", "cannot be told", replace(EFFECT, images_needed=5000, splits_needed=10), p=0.06
    )
    one_split = replace(EFFECT, p=math.nan, descriptive="too few", splits=None)
    few = comparison("mlgcn", "linear", "descriptive", one_split, p=math.nan)
    assert verdict([wide, enough, few], {}, "ab")[1:] == [
        "Whether mlgcn is better than mlgcn p=0 cannot be told: +1.2 mAP (95 % interval +0.3 to +2.1), adjusted p = "
        "0.20. An interval of ± 0.3 mAP takes about 13,000 test images (now 5,000) and 20 splits (now 10).",
        "Whether mlgcn is better than mlgcn shuffled cannot be told: +1.2 mAP (95 % interval +0.3 to +2.1), adjusted "
        "p = 0.060.",
        "mlgcn against linear, without a test: +1.2 mAP (95 % interval over test images +0.3 to +2.1); too few.",
    ]


def test_six_splits_cannot_tell_five_comparisons_apart():
    """2/64 · 5 > 0.05; seven have 2/128 · 5 = 0.08, and eight 2/256 · 5 = 0.04."""
    for splits, coarse in ((6, True), (7, True), (8, False)):
        effect = replace(EFFECT, least_p=2 / 2**splits, num_splits=splits)
        sentences = verdict([comparison(*pair, "cannot be told", effect) for pair in PRIMARY], {}, "ab")
        assert any("the adjusted p of 5 comparisons cannot be below" in one for one in sentences) == coarse
    assert (
        "below 0.16:"
        in verdict([comparison(*pair, effect=replace(EFFECT, least_p=1 / 32)) for pair in PRIMARY], {}, "")[1]
    )


def test_constant_differences_can_be_significant_where_others_cannot():
    """Holm: the two that do not vary over 6 splits have 5 · 0.001 and 4 · 0.001, the others at least 3 · 2/64."""
    few = replace(EFFECT, least_p=2 / 2**6, num_splits=6)
    pairs = {pair: replace(few, least_p=0.001) if pair[0] == "sharing" else few for pair in PRIMARY}
    sentences = verdict([comparison(*pair, "cannot be told", effect) for pair, effect in pairs.items()], {}, "ab")
    assert sentences[1].startswith("With 6 splits, the adjusted p of 3 comparisons cannot be below 0.09:")


def test_prices_are_means_over_runs():
    run = Run(RunKey("mlp", Condition(), 0), np.arange(2), np.zeros((2, 1), np.float32), 0.5, 1.0, 1.0, 7)
    assert prices([run, replace(run, seconds=2.0)]) == {"mlp": Price(1.5, 7)}


def test_from_runs_to_a_verdict():
    generator = np.random.default_rng(0)
    targets = simulated_targets(generator, 500, 3)
    advantages = {"linear": 0.0, "mlgcn": 1.0, "mlgcn p=0": 0.0, "mlgcn shuffled": 0.0}
    runs = simulated_runs(generator, targets, advantages, 8)
    comparisons = compare(Scores(runs, targets, shared_test=True, replicates=100), None, [3, 2, 1])
    sentences = verdict(comparisons, prices(runs), ["a", "b", "c"])
    assert sentences[0] == "The label graph helps on this data." and len(sentences) > 5
    assert all("−" not in sentence and "nan" not in sentence for sentence in sentences)

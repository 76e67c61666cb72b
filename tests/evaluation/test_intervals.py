"""Bootstrap intervals: each sample against the expanded images, and the intervals against known answers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import (
    bootstrap_metrics,
    bootstrap_replicates,
    multilabel_metrics,
    paired_difference,
    resampling,
)
from mlgcn_pyg.evaluation.intervals import Difference, Interval, MetricDifferences, MetricIntervals, changed
from mlgcn_pyg.evaluation.resampling import CHUNK, Ranking, samples
from tests.test_html import Parsed

LOGITS = torch.tensor([[2.0, 1.0, -1.0], [-1.0, 3.0, 2.0], [0.1, -0.2, -0.3], [1.5, 0.4, 0.2]])
TARGETS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, -1, 1]])


def drawn(num_images, replicates, seed=0):
    return np.concatenate(list(samples(num_images, replicates, seed)), axis=1).astype(int)


def scenes(generator, num_images, qualities=(1.5,), prevalence=(0.4, 0.3, 0.25, 0.2)):
    """Returns the logits of one head per quality, which err on the same images, and the targets."""
    targets = (generator.random((num_images, len(prevalence))) < prevalence).astype(np.int8)
    shared = generator.standard_normal(targets.shape)
    return [q * targets - 0.7 + shared + 0.5 * generator.standard_normal(targets.shape) for q in qualities], targets


def test_hand_worked_weighted_ap():
    # by falling score: positive (weight 2), negative (3), then two equal scores, a positive (1) and a negative (0)
    ranking = Ranking.of(np.array([4.0, 3.0, 1.0, 1.0]), np.array([1, 0, 1, 0], np.int8))
    weights = np.array([[2, 0], [3, 1], [1, 2], [0, 1]], np.float32)
    # sample 0: 2/3 · 2/2 + 1/3 · 3/6; sample 1: all of its positives are in the last group, 2 of 4
    assert ranking.average_precision(weights).tolist() == pytest.approx([2 / 3 + 1 / 6, 1 / 2])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4), st.sampled_from([2, 5, 1000]))
def test_every_sample_has_the_metrics_of_its_repeated_images(seed, num_images, num_labels, distinct):
    generator = np.random.default_rng(seed)
    logits = generator.integers(-distinct, distinct, (num_images, num_labels)) / 4  # with many ties or few
    targets = generator.integers(-1, 2, logits.shape)
    found = bootstrap_replicates(logits, targets, replicates=8, seed=seed)
    for r, weight in enumerate(drawn(num_images, 8, seed).T):
        rows = np.repeat(np.arange(num_images), weight)
        expected = multilabel_metrics(torch.tensor(logits[rows]), torch.tensor(targets[rows]))
        assert found.AP[r] == pytest.approx(expected["AP"].numpy(), nan_ok=True)
        assert found.mAP[r] == pytest.approx(expected["mAP"], nan_ok=True)
        assert found.OF1[r] == pytest.approx(expected["OF1"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_weights_are_those_of_scikit_learn(seed, num_images):
    generator = np.random.default_rng(seed)
    scores, targets = generator.integers(0, 20, num_images) / 8, generator.integers(0, 2, num_images)
    targets[0] = 1
    weights = generator.integers(0, 4, (num_images, 3))
    weights[0] = 1
    found = Ranking.of(scores, targets.astype(np.int8)).average_precision(weights.astype(np.float32))
    expected = [average_precision_score(targets, scores, sample_weight=weight) for weight in weights.T]
    assert found == pytest.approx(expected, rel=1e-12)


def test_samples_are_drawn_with_replacement_and_depend_on_the_seed_only(monkeypatch):
    weights = drawn(50, 2 * CHUNK + 3)
    assert (weights[:, 0] == 1).all() and (weights.sum(axis=0) == 50).all() and weights.shape == (50, 2 * CHUNK + 4)
    assert (drawn(50, 5) == weights[:, :6]).all()  # more samples do not change the first
    assert (drawn(50, 5, seed=1) != weights[:, :6]).any()
    monkeypatch.setattr(resampling, "ENTRIES", 350)  # 7 samples at once
    assert (drawn(50, 2 * CHUNK + 3) == weights).all()
    # the count of an image is binomial with mean 1 and variance 1 − 1/N
    many = drawn(50, 2000)[:, 1:]
    assert many.mean() == 1 and many.var() == pytest.approx(1 - 1 / 50, rel=0.02)


def test_values_are_the_metrics_of_all_images():
    result = bootstrap_metrics(LOGITS, TARGETS, replicates=20)
    expected = multilabel_metrics(LOGITS, TARGETS)
    assert result.mAP.value == pytest.approx(expected["mAP"]) and result.OF1.value == pytest.approx(expected["OF1"])
    assert [label.value for label in result.AP] == pytest.approx(expected["AP"].tolist())


def test_thresholds_decide_what_is_predicted():
    cuts = torch.tensor([1.0, 0.5, 0.0])
    expected = multilabel_metrics(LOGITS, TARGETS, thresholds=cuts)
    result = bootstrap_metrics(LOGITS, TARGETS, thresholds=cuts, replicates=20)
    assert result.OF1.value == pytest.approx(expected["OF1"])
    assert expected["OF1"] != multilabel_metrics(LOGITS, TARGETS)["OF1"]
    both = {"thresholds_a": cuts, "thresholds_b": cuts}
    assert paired_difference(LOGITS, LOGITS, TARGETS, **both, replicates=20).OF1.value == 0
    assert paired_difference(LOGITS, LOGITS, TARGETS, thresholds_b=cuts, replicates=20).OF1.value != 0


def test_intervals_contain_the_mean_metric_of_new_images_as_often_as_they_state():
    generator = np.random.default_rng(0)
    heads = [scenes(generator, 80, (1.5, 2.0)) for _ in range(1500)]
    means = np.array([[_of_all(a, y), _of_all(b, y)] for (a, b), y in heads]).mean(axis=0)  # (2 heads, mAP and OF1)
    inside = []
    for k, ((a, b), y) in enumerate(heads[:150]):
        first, second = (bootstrap_replicates(x, y, replicates=100, seed=k) for x in (a, b))
        alone, paired = first.intervals(0.9), second.difference(first, 0.9)
        truths = [*means[0], *(means[1] - means[0])]
        found = (alone.mAP, alone.OF1, paired.mAP, paired.OF1)
        inside.append([one.low <= truth <= one.high for one, truth in zip(found, truths, strict=True)])
    # of 150 intervals with probability 0.9: four standard errors are 0.1
    assert np.mean(inside, axis=0) == pytest.approx([0.9] * 4, abs=0.1)


def _of_all(logits, targets):
    """Returns mAP and OF1, if no two logits are equal."""
    predicted = logits > 0
    of1 = 2 * (predicted & (targets == 1)).sum() / (predicted.sum() + targets.sum())
    logits, targets = (array[:, targets.any(axis=0)] for array in (logits, targets))
    ranked = np.take_along_axis(targets, (-logits).argsort(axis=0), axis=0)
    precision = ranked.cumsum(axis=0) / np.arange(1, len(ranked) + 1)[:, None]
    return ((precision * ranked).sum(axis=0) / ranked.sum(axis=0)).mean(), of1


def test_limits_are_quantiles_of_the_samples_moved_by_their_mean():
    (logits,), targets = scenes(np.random.default_rng(1), 40)
    sample = bootstrap_replicates(logits, targets, replicates=100)
    result = sample.intervals(0.8)
    for found, values in ((result.mAP, sample.mAP), (result.OF1, sample.OF1), (result.AP[0], sample.AP[:, 0])):
        errors = np.sort(values[1:] - values[1:].mean())
        expected = values[0] + np.interp([9.9, 89.1], np.arange(100), errors)
        assert [found.value, found.low, found.high] == pytest.approx([values[0], *expected])


def test_limits_of_an_ap_near_1_are_not_above_1():
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 40)) < 0.15).astype(int)
    logits = 4.0 * targets + rng.normal(size=targets.shape)
    sample = bootstrap_replicates(logits, targets, replicates=200)
    moved = sample.AP[0] + np.nanquantile(sample.AP[1:], 0.975, axis=0) - np.nanmean(sample.AP[1:], axis=0)
    limits = np.array([(found.low, found.high) for found in sample.intervals().AP])
    assert (moved > 1.001).any() and np.nanmax(limits) == 1 and np.nanmin(limits) >= 0


def test_a_head_does_not_differ_from_itself():
    (logits,), targets = scenes(np.random.default_rng(2), 60)
    result = paired_difference(logits, logits, targets, replicates=50)
    for difference in (result.mAP, result.OF1, *result.AP):
        assert (difference.value, difference.low, difference.high, difference.above) == (0, 0, 0, 0)
    assert result.gained == result.lost == ()


def test_a_difference_changes_its_sign_with_the_order():
    (a, b), targets = scenes(np.random.default_rng(3), 60, (1.5, 2.5))
    forth, back = paired_difference(b, a, targets, replicates=100), paired_difference(a, b, targets, replicates=100)
    assert forth.mAP.value == pytest.approx(-back.mAP.value) and forth.mAP.low == pytest.approx(-back.mAP.high)
    assert forth.mAP.above == pytest.approx(1 - back.mAP.above) and forth.mAP.above > 0.9


def test_pairs_are_compared_on_the_same_samples():
    (a, b), targets = scenes(np.random.default_rng(4), 200, (1.5, 1.7))
    first, second = (bootstrap_replicates(x, targets, replicates=200) for x in (a, b))
    found = paired_difference(b, a, targets, replicates=200).mAP
    assert found == second.difference(first).mAP
    alone = first.intervals().mAP
    assert found.high - found.low < 0.7 * (alone.high - alone.low)


def test_metrics_of_several_runs_are_averaged():
    runs, targets = scenes(np.random.default_rng(5), 30, (1.0, 1.5, 2.0))
    each = [bootstrap_replicates(run, targets, replicates=20) for run in runs]
    for several in (runs, [torch.tensor(run) for run in runs], torch.tensor(np.stack(runs))):
        together = bootstrap_replicates(several, targets, replicates=20)
        assert pytest.approx(np.mean([one.AP for one in each], axis=0), nan_ok=True) == together.AP
        assert together.mAP == pytest.approx(np.mean([one.mAP for one in each], axis=0))
        assert pytest.approx(np.mean([one.OF1 for one in each], axis=0)) == together.OF1
    result = paired_difference(runs[1:], runs[0], targets, replicates=20)
    assert result.mAP.value == pytest.approx(each[1].mAP[0] / 2 + each[2].mAP[0] / 2 - each[0].mAP[0])


def test_labels_that_gained_and_lost_are_found_and_others_are_not():
    generator, false = np.random.default_rng(6), 0
    for k in range(40):
        (a,), targets = scenes(generator, 300)
        b = a + 0.3 * generator.standard_normal(a.shape)  # as good as a, nearly
        b[:, 0], b[:, 1] = a[:, 0] + 3 * targets[:, 0], a[:, 1] - 2 * targets[:, 1]
        result = paired_difference(b, a + 0.3 * generator.standard_normal(a.shape), targets, replicates=200, seed=k)
        assert 0 in result.gained and 1 in result.lost
        false += bool({2, 3} & {*result.gained, *result.lost})
    assert false <= 7  # at a level of 0.95, 8 of 40 have a probability of 0.001


def test_labels_with_few_positive_images_neither_gain_nor_lose():
    targets = np.zeros((200, 2), np.int8)
    targets[:4, 0] = targets[:5, 1] = 1
    result = paired_difference(2.0 * targets - 1, np.random.default_rng(7).random((200, 2)), targets, replicates=200)
    assert result.gained == (1,) and result.lost == ()


def test_a_single_label_has_gained_where_it_is_several_standard_errors_above_0():
    errors = np.random.default_rng(8).standard_normal(4000)
    errors = (errors - errors.mean()) / errors.std()
    for value, sign in ((1.8, 0), (2.1, 1), (-2.1, -1)):  # 1.96 is the quantile of a normal distribution
        assert changed(np.append(value, value + errors)[:, None], level=0.95).tolist() == [sign]


def test_a_label_without_positives_has_no_interval_and_leaves_map():
    result = bootstrap_metrics(LOGITS[:3], TARGETS[:3], replicates=50)
    assert np.isnan([result.AP[2].value, result.AP[2].low, result.AP[2].high]).all()
    without = bootstrap_metrics(LOGITS[:3, :2], TARGETS[:3, :2], replicates=50)
    assert result.mAP == without.mAP and result.AP[:2] == without.AP


def test_a_label_that_some_samples_lack_leaves_their_map():
    sample = bootstrap_replicates(LOGITS, TARGETS, replicates=50)
    lacking = np.isnan(sample.AP[:, 2])  # label 2 has one positive image
    assert 5 < lacking.sum() < 35
    for r in np.flatnonzero(lacking):
        assert sample.mAP[r] == pytest.approx(np.nanmean(sample.AP[r, :2]), nan_ok=True)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("num_images", [0, 1])
def test_no_image_and_one_image_have_no_interval(num_images):
    logits, targets = LOGITS[:num_images], TARGETS[:num_images]
    result, expected = bootstrap_metrics(logits, targets, replicates=5), multilabel_metrics(logits, targets)
    assert result.mAP.value == pytest.approx(expected["mAP"], nan_ok=True)
    assert result.OF1.value == pytest.approx(expected["OF1"])
    difference = paired_difference(logits, -logits, targets, replicates=5)
    for one in (result.mAP, result.OF1, *result.AP, difference.mAP, difference.OF1, *difference.AP):
        assert np.isnan([one.low, one.high]).all()
    assert np.isnan(difference.mAP.above) and difference.gained == difference.lost == ()


@pytest.mark.filterwarnings("error")
def test_unknown_targets_only():
    result = bootstrap_metrics(LOGITS, torch.full_like(TARGETS, -1), replicates=5)
    assert np.isnan(result.mAP.value) and np.isnan(result.mAP.low) and result.OF1.value == result.OF1.high == 0


@pytest.mark.filterwarnings("error")
def test_no_label():
    result = bootstrap_metrics(torch.zeros(3, 0), torch.zeros(3, 0), replicates=5)
    assert np.isnan(result.mAP.value) and result.AP == ()
    assert paired_difference(torch.zeros(3, 0), torch.zeros(3, 0), torch.zeros(3, 0), replicates=5).gained == ()


def test_equal_scores_have_the_share_of_positives():
    targets = (np.random.default_rng(9).random((50, 1)) < 0.3).astype(int)
    sample = bootstrap_replicates(np.zeros((50, 1)), targets, replicates=10)
    assert sample.AP[:, 0] == pytest.approx(targets[:, 0] @ drawn(50, 10) / 50)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_point_type(dtype):
    assert bootstrap_metrics(LOGITS.to(dtype), TARGETS, replicates=9).mAP.value == pytest.approx(
        multilabel_metrics(LOGITS.to(dtype), TARGETS)["mAP"]
    )


def test_progress_counts_the_replicates_of_all_runs():
    seen = []
    paired_difference([LOGITS, LOGITS], LOGITS, TARGETS, replicates=CHUNK + 1, progress=seen.append)
    assert seen == [k * (CHUNK + 1) + done for k in range(3) for done in (CHUNK, CHUNK + 1)]


@pytest.mark.parametrize(
    "argument, values",
    [
        ("logits", {"logits": LOGITS[:, :2]}),
        ("logits", {"logits": []}),
        ("logits", {"logits": [LOGITS, LOGITS[:2]]}),
        ("logits", {"logits": LOGITS / 0}),
        ("targets", {"targets": TARGETS * 2}),
        ("replicates", {"replicates": 0}),
        ("seed", {"seed": -1}),
        ("level", {"level": 0}),
        ("level", {"level": 95}),
        ("thresholds", {"thresholds": [0.0]}),
        ("progress", {"progress": 3}),
    ],
)
def test_wrong_arguments_are_named(argument, values):
    with pytest.raises(InputError) as error:
        bootstrap_metrics(**{"logits": LOGITS, "targets": TARGETS, "replicates": 3} | values)
    assert error.value.argument == argument


def test_the_wrong_side_of_a_pair_is_named():
    with pytest.raises(InputError, match="logits_b"):
        paired_difference(LOGITS, LOGITS[:2], TARGETS, replicates=3)
    with pytest.raises(InputError, match="thresholds_a"):
        paired_difference(LOGITS, LOGITS, TARGETS, thresholds_a=[1.0], replicates=3)


def test_replicates_of_other_images_or_seeds_are_not_compared():
    sample = bootstrap_replicates(LOGITS, TARGETS, replicates=3)
    for other in (
        bootstrap_replicates(LOGITS, TARGETS, replicates=3, seed=1),
        bootstrap_replicates(LOGITS, TARGETS, replicates=4),
        bootstrap_replicates(LOGITS[:3], TARGETS[:3], replicates=3),
        bootstrap_replicates(LOGITS, 1 - TARGETS.clamp(min=0), replicates=3),
    ):
        with pytest.raises(InputError, match="other"):
            sample.difference(other)


def test_notebooks_show_intervals_in_per_cent():
    def interval(value):
        return Interval(value, value - 0.1, value + 0.1)

    two = MetricIntervals(interval(0.5), interval(0.25), (interval(0.125), interval(float("nan"))))
    shown = Parsed(two._repr_html_())
    assert shown.texts[1:5] == ["metric", "%", "low", "high"]
    assert shown.texts[5:13] == ["mAP", "50.0", "40.0", "60.0", "OF1", "25.0", "15.0", "35.0"]
    assert shown.texts[-4:] == ["AP of label 1", "–", "–", "–"]
    many = MetricIntervals(interval(0.5), interval(0.5), (interval(0.5),) * 200)._repr_html_()
    assert "the first 102 of 202" in many and many.count("<tr>") == 103


def test_notebooks_show_differences_in_points():
    found = Difference(-0.02, -0.03, -0.01, 0.0)
    shown = Parsed(MetricDifferences(found, found, (found, found), (), (1,))._repr_html_())
    assert shown.texts[-6:] == ["AP of label 1", "−2.0", "−3.0", "−1.0", "0.0", "lower"]

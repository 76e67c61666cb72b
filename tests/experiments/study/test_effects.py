"""Effects between contenders: against metrics of the images themselves, and in the awkward cases."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import paired_difference
from mlgcn_pyg.evaluation.significance import mean_interval, mean_test, sign_flip_test
from mlgcn_pyg.experiments.study import image_samples
from mlgcn_pyg.experiments.study.effects import Scores
from mlgcn_pyg.experiments.study.records import Condition, Run, RunKey
from tests.experiments.study.simulation import simulated_runs, simulated_targets

GENERATOR = np.random.default_rng(0)
TARGETS = simulated_targets(GENERATOR, 80, 3)
RUNS = simulated_runs(GENERATOR, TARGETS, {"a": 0.5, "b": 0.0}, 7)


def scores(runs=RUNS, targets=TARGETS, **options):
    return Scores(runs, targets, **{"shared_test": True, "replicates": 60} | options)


def only(runs, contender):
    return [run for run in runs if run.key.contender == contender]


def renamed(run, **changes):
    return replace(run, key=replace(run.key, **changes))


def overlapping_splits(generator, num_images, splits, share=0.25):
    return [np.sort(generator.permutation(num_images)[: int(share * num_images)]) for _ in range(splits)]


def test_metrics_are_those_of_scikit_learn():
    expected = [[average_precision_score(TARGETS[:, c], run.logits[:, c]) for c in range(3)] for run in only(RUNS, "a")]
    assert scores().AP("a") == pytest.approx(np.array(expected))
    assert scores().per_split("a") == pytest.approx(np.mean(expected, axis=1))


def test_an_effect_has_the_intervals_of_its_parts():
    found = scores().effect("a", "b")
    differences = scores().per_split("a") - scores().per_split("b")
    over_splits = mean_interval(differences)
    assert found.value == pytest.approx(differences.mean())
    assert (found.splits.low, found.splits.high) == pytest.approx((over_splits.low, over_splits.high))
    assert found.p_splits == sign_flip_test(differences)
    logits = [[run.logits for run in only(RUNS, name)] for name in "ab"]
    over_images = paired_difference(*logits, TARGETS, replicates=60).mAP
    assert (found.images.low, found.images.high) == pytest.approx((over_images.low, over_images.high))
    assert found.p >= max(found.p_images, found.p_splits) and found.descriptive == ""
    assert (found.num_splits, found.num_images, found.num_labels) == (7, 80, 3)
    assert math.hypot(found.error_images, found.error_splits) * 1.96 < found.joint.high - found.value
    assert {"value", "images", "p"} <= asdict(found).keys()


def test_the_opposite_effect():
    forth, back = scores().effect("a", "b"), scores().effect("b", "a")
    assert back.value == -forth.value and back.joint.low == pytest.approx(-forth.joint.high)
    assert (back.p_images, back.p_splits) == (forth.p_images, forth.p_splits)


def test_samples_of_overlapping_splits_follow_the_images():
    """Each sample weighs an image equally in all splits: an oracle that repeats the images."""
    generator = np.random.default_rng(1)
    rows = overlapping_splits(generator, 80, 3)
    runs = simulated_runs(generator, TARGETS, {"a": 0.5}, 3, rows=rows)
    whole = np.unique(np.concatenate(rows))
    kept = scores(runs, shared_test=False, overlap=0.5, replicates=5)
    weights = np.concatenate(list(kept.samples._all_weights()), axis=1).astype(int)
    assert weights.shape == (len(whole), 6)
    for split, run in enumerate(runs):
        for sample in range(6):
            chosen = np.repeat(np.arange(len(run.rows)), weights[np.searchsorted(whole, run.rows), sample])
            truth, logits = TARGETS[run.rows[chosen]], run.logits[chosen]
            for label in np.flatnonzero(truth.any(axis=0)):
                expected = average_precision_score(truth[:, label], logits[:, label])
                assert kept._resampled("a", None)[split, sample, label] == pytest.approx(expected)


def test_weights_that_are_drawn_again_are_the_same(monkeypatch):
    kept = scores().effect("a", "b")
    monkeypatch.setattr(image_samples, "KEPT", 0)
    assert scores().effect("a", "b") == kept


def test_bca_intervals_from_500_images_on():
    targets = simulated_targets(GENERATOR, 500, 2)
    runs = simulated_runs(GENERATOR, targets, {"a": 0.5, "b": 0.0}, 6)
    few = [Run(r.key, r.rows[:499], r.logits[:499], 0, 0, 0, 0) for r in runs]
    assert scores(runs, targets).samples.num_groups == 100 and scores(few, targets).samples.num_groups == 0
    groups = np.concatenate(list(scores(runs, targets).samples._without_groups()), axis=1)
    assert (groups.sum(axis=0) == 495).all() and (groups.sum(axis=1) == 99).all()  # 5 images each, each once
    assert scores(runs, targets).effect("a", "b").images != scores(few, targets).effect("a", "b").images


def test_draws_of_a_control_are_averaged():
    draws = [renamed(run, contender="a", draw=draw) for draw in (0, 1) for run in only(RUNS, "ab"[draw])]
    mean = (scores().AP("a") + scores().AP("b")) / 2
    assert scores(draws).AP("a") == pytest.approx(mean)
    missing = scores([run for run in draws if (run.key.split, run.key.draw) != (2, 1)])
    assert missing.AP("a")[2] == pytest.approx(scores().AP("a")[2]) and missing.AP("a")[3] == pytest.approx(mean[3])


def test_splits_that_one_contender_lacks_are_left_out_of_the_pair():
    some = [run for run in RUNS if run.key.contender == "a" or run.key.split >= 3]
    found = scores(some).effect("a", "b")
    assert found.num_splits == 4 and found.value == pytest.approx(
        (scores().per_split("a") - scores().per_split("b"))[3:].mean()
    )
    with pytest.raises(InputError, match="^b: expected a contender with runs on the splits of a, found b, which"):
        scores([run for run in RUNS if (run.key.contender == "a") == (run.key.split < 3)]).effect("a", "b")


def test_deterministic_fits_have_no_variation_over_splits():
    """All splits of both contenders are equal: the interval over splits is the value, and only the images count."""
    equal = [renamed(only(RUNS, name)[0], split=split) for name in "ab" for split in range(3)]
    found = scores(equal, shared_training=1.0).effect("a", "b")
    assert found.splits.low == found.splits.high == pytest.approx(found.value)
    assert math.isnan(found.p_splits) and found.p >= found.p_images and found.descriptive == ""
    one_differs = scores([*equal[:-1], renamed(only(RUNS, "b")[1], split=2)]).effect("a", "b")
    assert one_differs.descriptive == "a test over splits requires 6 of them, not 3"


def test_equal_contenders():
    same = [renamed(run, contender=name) for name in "ab" for run in only(RUNS, "a")]
    found = scores(same).effect("a", "b")
    assert (found.value, found.images.low, found.images.high, found.joint.low, found.joint.high) == (0,) * 5
    assert (found.p_images, found.p_splits, found.p, found.equivalent) == (1, 1, 1, True)


def test_a_constant_difference():
    """Each run of a is perfect, each run of b ranks all images equally: the difference is one minus the prevalence."""
    perfect = [replace(run, logits=TARGETS.astype(np.float32)) for run in only(RUNS, "a")]
    equal = [replace(run, logits=0 * run.logits) for run in only(RUNS, "b")]
    found = scores(perfect + equal).effect("a", "b")
    assert found.value == pytest.approx(1 - TARGETS.mean()) and found.splits.low == found.splits.high
    assert found.p == pytest.approx(1 / 60)  # p is at least one over the number of samples


def test_one_split_is_descriptive():
    found = scores([run for run in RUNS if run.key.split == 0]).effect("a", "b")
    assert found.splits is None and math.isnan(found.p) and math.isnan(found.error_splits)
    assert not found.equivalent and found.descriptive == "a test over splits requires 6 of them, not 1"
    assert found.images.low < found.value < found.images.high


def test_five_splits_of_shared_test_images_are_too_few_and_two_overlapping_splits_are_enough():
    five = scores([run for run in RUNS if run.key.split < 5]).effect("a", "b")
    assert math.isnan(five.p) and five.splits is not None
    generator = np.random.default_rng(1)
    rows = overlapping_splits(generator, 80, 2)
    runs = simulated_runs(generator, TARGETS, {"a": 0.5, "b": 0.0}, 2, rows=rows)
    two = scores(runs, shared_test=False, overlap=1 / 3)
    found, differences = two.effect("a", "b"), two.per_split("a") - two.per_split("b")
    assert found.p_splits == pytest.approx(mean_test(differences, overlap=1 / 3)) and found.descriptive == ""
    assert found.joint == found.splits and found.splits.high > found.images.high  # the wider one


def test_more_splits_than_sign_flips_are_tested_by_t():
    runs = simulated_runs(GENERATOR, TARGETS, {"a": 0.1, "b": 0.0}, 21)
    found = scores(runs)
    expected = stats.ttest_rel(found.per_split("a"), found.per_split("b")).pvalue
    assert found.effect("a", "b").p_splits == pytest.approx(expected)


@pytest.mark.parametrize("share, descriptive", [(0.0, False), (0.1, False), (0.25, True), (1.0, False)])
def test_splits_that_share_training_images_are_descriptive(share, descriptive):
    found = scores(shared_training=share).effect("a", "b")
    assert bool(found.descriptive) == math.isnan(found.p) == descriptive
    if descriptive:
        assert found.descriptive == "the splits share 25 % of their training images"


def test_a_label_without_positives_in_one_split_is_left_out_there():
    targets = TARGETS.copy()
    targets[:40, 0] = 0
    rows = [np.arange(40), np.arange(40, 80)]
    runs = simulated_runs(GENERATOR, targets, {"a": 0.5, "b": 0.0}, 2, rows=rows)
    found = scores(runs, targets, shared_test=False, overlap=1.0)
    assert np.isnan(found.AP("a")).tolist() == [[True, False, False], [False] * 3]
    assert found.per_split("a")[0] == pytest.approx(found.AP("a")[0, 1:].mean())
    assert found.undefined().tolist() == [1, 0, 0]
    whole = found.effect("a", "b")
    assert whole.num_labels == 3 and whole.num_splits == 2
    first = found.effect("a", "b", labels=[0])  # it has only one split
    assert (
        first.num_splits == 1
        and first.descriptive
        and first.value == pytest.approx(found.AP("a")[1, 0] - found.AP("b")[1, 0])
    )


def test_a_label_without_positives_at_all():
    targets = TARGETS.copy()
    targets[:, 2] = 0
    found = scores(targets=targets)
    effect = found.effect("a", "b", labels=[2])
    assert math.isnan(effect.value) and math.isnan(effect.p) and math.isnan(effect.joint.low)
    assert effect.descriptive == "no label has a positive test image" and not effect.equivalent
    assert (effect.num_splits, effect.num_labels) == (0, 0) and found.effect("a", "b").num_labels == 2
    values, p_values = found.label_tests("a", "b")
    assert np.isnan(values).tolist() == np.isnan(p_values).tolist() == [False, False, True]


def test_unknown_targets_are_ignored():
    targets = TARGETS.copy()
    targets[::5] = -1
    known = np.flatnonzero(targets[:, 0] >= 0)
    few = [replace(run, rows=known, logits=run.logits[known]) for run in RUNS]
    assert scores(targets=targets).AP("a") == pytest.approx(scores(few).AP("a"))


def test_an_effect_on_some_labels_is_their_mean():
    found = scores()
    expected = (found.AP("a") - found.AP("b"))[:, [0, 2]].mean()
    assert found.effect("a", "b", labels=[0, 2]).value == pytest.approx(expected)
    whole, single = found.effect("a", "b"), [found.effect("a", "b", labels=[c]).value for c in range(3)]
    assert np.mean(single) == pytest.approx(whole.value)


def test_a_context_ignores_the_other_targets():
    context = GENERATOR.random(TARGETS.shape) < 0.5
    masked = np.where(context, TARGETS, -1)
    found = scores()
    assert found.effect("a", "b", context=context) == scores(targets=masked).effect("a", "b")
    everything = np.ones(TARGETS.shape, bool)
    assert found.effect("a", "b", context=everything) == found.effect("a", "b")


def test_one_label_and_one_image():
    targets = np.array([[1], [0]], np.int8)
    keys = [RunKey(name, Condition(), split) for name in "ab" for split in range(6)]
    runs = [Run(key, np.array([0]), np.zeros((1, 1), np.float32), 0.5, 1.0, 1.0, 1) for key in keys]
    found = scores(runs, targets).effect("a", "b")
    assert (found.value, found.p) == (0, 1) and found.num_images == 1


def test_label_tests_are_those_of_single_labels():
    values, p_values = scores().label_tests("a", "b")
    single = [scores().effect("a", "b", labels=[c]) for c in range(3)]
    assert values == pytest.approx([effect.value for effect in single])
    for p, effect in zip(p_values, single, strict=True):
        assert p <= effect.p and (p <= 0.05) == (not effect.joint.low <= 0 <= effect.joint.high)


@pytest.mark.parametrize(
    "runs, options, message",
    [
        ([], {}, "runs: expected at least one run, found none"),
        ([RUNS[0], RUNS[0]], {}, "runs: expected different runs, found two of RunKey"),
        (
            [RUNS[0], renamed(RUNS[1], condition=Condition(10))],
            {},
            "runs of one condition, found 10 images; all images",
        ),
        (
            [replace(RUNS[0], logits=RUNS[0].logits[:, :2])],
            {},
            r"finite logits of shape \(80, 3\), found shape \(80, 2\)",
        ),
        ([replace(RUNS[0], logits=np.nan * RUNS[0].logits)], {}, "finite logits"),
        ([replace(RUNS[0], rows=RUNS[0].rows + 1)], {}, "ascending numbers of the 80 images of targets, found others"),
        ([replace(RUNS[0], rows=RUNS[0].rows[::-1])], {}, "ascending numbers"),
        (
            [RUNS[0], replace(RUNS[1], rows=RUNS[1].rows[1:], logits=RUNS[1].logits[1:])],
            {},
            "the same test images on all splits, found other images in a on split 1 than in a",
        ),
        (RUNS, {"overlap": -1}, "^overlap"),
        (RUNS, {"shared_training": 2}, "^shared_training"),
        (RUNS, {"replicates": 0}, "^replicates"),
        (RUNS, {"targets": TARGETS + 2}, "^targets"),
    ],
)
def test_wrong_runs(runs, options, message):
    with pytest.raises(InputError, match=message):
        scores(runs, **options)


def test_different_test_images_on_one_split():
    other = renamed(RUNS[0], contender="b")
    with pytest.raises(InputError, match="the same test images on one split, found other images in b on split 0 than"):
        scores([RUNS[0], replace(other, rows=other.rows[1:], logits=other.logits[1:])], shared_test=False)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": []}, "^labels: expected a list of label numbers"),
        ({"labels": [0.5]}, "^labels"),
        ({"labels": [3]}, r"^labels: expected different numbers in 0…2, found \[3\]"),
        ({"labels": [1, 1]}, "^labels"),
        ({"context": np.ones((2, 3), bool)}, r"^context: expected booleans of the shape of targets, \(80, 3\)"),
        ({"smallest": 0}, "^smallest"),
    ],
)
def test_wrong_parts(options, message):
    with pytest.raises(InputError, match=message):
        scores().effect("a", "b", **options)


def test_an_absent_contender_is_named():
    with pytest.raises(InputError, match="^contender: expected one of a, b, found 'mlgcn'"):
        scores().effect("a", "mlgcn")

"""Precision-recall curves against scikit-learn; what thinning keeps; packed arrays."""

import base64

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_curve

from mlgcn_pyg.report.page.curve_data import POINTS, curve, curve_values, thinned
from mlgcn_pyg.report.page.packing import as_units
from tests.report.page.pages import made_targets


def scores(num_images: int, seed: int = 0):
    generator = np.random.default_rng(seed)
    targets = generator.random(num_images) < 0.3
    return targets + generator.normal(size=num_images), targets.astype(np.int8)


def area(found) -> float:
    return float((np.diff(found.recall, prepend=0) * found.precision).sum())


@pytest.mark.parametrize("decimals", [8, 1], ids=["distinct", "tied"])
def test_a_short_curve_has_the_points_of_scikit_learn(decimals):
    logits, targets = scores(120)
    logits = logits.round(decimals)
    found = curve(logits, targets)
    precision, recall, _ = precision_recall_curve(targets, logits)
    expected = {(round(r, 9), round(p, 9)) for r, p in zip(recall[:-1], precision[:-1], strict=True)}
    assert {(round(r, 9), round(p, 9)) for r, p in zip(found.recall, found.precision, strict=True)} <= expected
    assert area(found) == pytest.approx(average_precision_score(targets, logits))


def test_a_long_curve_is_thinned_without_changing_its_look():
    logits, targets = scores(20_000)
    whole, found = curve(logits, targets, 1_000_000), curve(logits, targets)
    assert len(found.recall) <= POINTS < len(whole.recall)
    assert (found.recall[0], found.recall[-1]) == (whole.recall[0], whole.recall[-1])
    assert found.precision.max() == whole.precision.max()
    # a pixel is about 1/400: at each recall, the thinned curve is within what the whole one covers nearby
    for r, p in zip(whole.recall, whole.precision, strict=True):
        near = np.abs(found.recall - r) <= 0.025
        assert found.precision[near].min() - 0.0025 <= p <= found.precision[near].max() + 0.0025


def test_thinning_keeps_the_highest_and_the_lowest_of_each_part():
    recall = np.linspace(0.001, 1, 1000)
    precision = np.full(1000, 0.5)
    precision[[333, 777]] = 0.9, 0.1
    kept = thinned(recall, precision, 20)
    assert {0, 333, 777, 999} <= set(kept.tolist())
    assert len(kept) <= 20


def test_no_positive_image():
    found = curve([1.0, 2.0], [0, 0])
    assert len(found.recall) == 0
    assert np.isnan(found.at_cut).all()


def test_one_positive_image():
    found = curve([1.0, 2.0], [1, 0])
    assert (found.recall.tolist(), found.precision.tolist()) == ([1.0], [0.5])


def test_unknown_targets_are_ignored():
    found, known = curve([3.0, 9.0, 1.0], [1, -1, 0]), curve([3.0, 1.0], [1, 0])
    assert found.precision.tolist() == known.precision.tolist()
    assert found.at_cut == known.at_cut == (1.0, 0.5)


def test_nothing_is_predicted():
    found = curve([-1.0, -2.0], [1, 0])
    assert found.at_cut[0] == 0
    assert np.isnan(found.at_cut[1])


def test_packed_curves_are_those_of_each_label():
    targets = made_targets(60, 3)
    logits = targets + 0.1 * torch.randn(60, 3)
    values = curve_values([logits, -logits], targets)
    start = np.frombuffer(base64.b64decode(values["start"]), "<u4")
    recall = np.frombuffer(base64.b64decode(values["recall"]), "<u2")
    assert len(start) == 2 * 4 + 1
    second = curve(-logits[:, 2].double().numpy(), targets[:, 2].numpy())
    assert recall[start[7] : start[8]].tolist() == as_units(second.recall).tolist()


def test_many_curves_have_fewer_points():
    targets = made_targets(400, 1000)
    values = curve_values([torch.randn(400, 1000)] * 4, targets)
    assert len(values["recall"]) + len(values["precision"]) < 4 * 400_000 * 4 / 3

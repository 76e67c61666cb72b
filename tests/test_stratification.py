"""Splits and folds: sizes, label shares, rare labels, groups, and the published algorithm as an oracle."""

import numpy as np
import pytest
import torch

from mlgcn_pyg.datasets import stratified_folds, stratified_split
from mlgcn_pyg.errors import InputError


def generated(num_images=2000, num_labels=30, seed=0):
    """Targets with label shares from 30 % to less than 1 %, and images without labels."""
    share = 0.3 / np.arange(1, num_labels + 1) ** 1.2
    return (np.random.default_rng(seed).random((num_images, num_labels)) < share).astype(np.int8)


def deviation(targets, parts):
    """Mean absolute deviation of the label shares in the parts from those in all images."""
    present = targets == 1
    return np.mean([np.abs(present[part].mean(axis=0) - present.mean(axis=0)).mean() for part in parts])


def random_parts(num_images, sizes, seed):
    return np.split(np.random.default_rng(seed).permutation(num_images), np.cumsum(sizes)[:-1])


def published(targets, shares, rng):
    """Algorithm 1 of Sechidis et al. (2011), line by line; its parts have about the requested sizes."""
    present, left = targets == 1, np.ones(len(targets), dtype=bool)
    wanted = np.array(shares) * len(targets)
    wanted_of_label = np.outer(present.sum(axis=0), shares)
    part = np.full(len(targets), -1)

    def place(image, candidates):
        candidates = candidates[wanted[candidates] == wanted[candidates].max()]
        part[image] = chosen = rng.choice(candidates)
        wanted[chosen] -= 1
        wanted_of_label[present[image], chosen] -= 1
        left[image] = False

    while (counts := present[left].sum(axis=0)).any():
        label = np.flatnonzero(counts == counts[counts > 0].min())[0]
        for image in np.flatnonzero(left & present[:, label]):
            place(image, np.flatnonzero(wanted_of_label[label] == wanted_of_label[label].max()))
    for image in np.flatnonzero(left):
        place(image, np.arange(len(shares)))
    return [np.flatnonzero(part == j) for j in range(len(shares))]


def check_parts(parts, num_images):
    """Every image is in one part, and each part is an ascending array of indices."""
    assert sorted(np.concatenate(parts).tolist()) == list(range(num_images))
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)


@pytest.mark.parametrize(
    "num_images, sizes, expected",
    [
        (10, (0.7, 0.3), [7, 3]),
        (10, (0.7, 0.15, 0.15), [7, 2, 1]),  # equal remainders: the first is rounded up
        (5, (0.7, 0.15, 0.15), [3, 1, 1]),  # 3.5, 0.75, 0.75
        (1000, (1 - 0.15 - 0.15, 0.15, 0.15), [700, 150, 150]),
        (7, (3, 2, 2), [3, 2, 2]),
        (2, (0.5, 0.5), [1, 1]),
        (4, torch.tensor([0.25, 0.75]), [1, 3]),
    ],
)
def test_sizes_are_exact(num_images, sizes, expected):
    parts = stratified_split(generated(num_images), sizes)
    check_parts(parts, num_images)
    assert [len(part) for part in parts] == expected


def test_one_label_per_image_is_divided_as_by_hand():
    """8, 4 and 2 images of three labels and 2 without any, half of them in each part."""
    targets = np.repeat(np.vstack([np.eye(3, dtype=np.int8), np.zeros((1, 3), np.int8)]), [8, 4, 2, 2], axis=0)
    for seed in range(5):
        for part in stratified_split(targets, (0.5, 0.5), seed=seed):
            assert targets[part].sum(axis=0).tolist() == [4, 2, 1] and (targets[part].sum(axis=1) == 0).sum() == 1


@pytest.mark.parametrize("shares", [(0.7, 0.15, 0.15), (0.2,) * 5, (0.9, 0.1)])
def test_shares_are_closer_than_in_random_parts_and_as_close_as_published(shares):
    targets = generated()
    ours = deviation(targets, stratified_split(targets, shares))
    sizes = np.round(np.array(shares) * len(targets)).astype(int)
    chance = np.mean([deviation(targets, random_parts(len(targets), sizes, seed)) for seed in range(10)])
    oracle = np.mean([deviation(targets, published(targets, shares, np.random.default_rng(k))) for k in range(3)])
    assert ours < chance / 3 and ours < 1.2 * oracle
    if len(shares) == 5:
        folds = stratified_folds(targets, 5)
        assert deviation(targets, folds) < chance / 3 and deviation(targets, folds) < 1.2 * oracle


def test_images_without_labels_are_spread_evenly():
    targets = generated(1000, 4)
    empty = (targets == 0).all(axis=1)
    parts = stratified_split(targets, (0.6, 0.2, 0.2))
    assert [abs(empty[part].sum() - empty.sum() * len(part) / 1000) <= 3 for part in parts] == [True] * 3
    targets[:] = 0
    assert [len(part) for part in stratified_folds(targets, 4)] == [250] * 4


def test_a_label_with_one_image_is_trained_on():
    """Also with a training part that is much smaller than the others."""
    for seed in range(20):
        targets = np.vstack([np.eye(6, dtype=np.int8), np.zeros((24, 6), np.int8)])
        train, _, _ = stratified_split(targets, (7, 13, 10), seed=seed)
        assert targets[train].sum(axis=0).tolist() == [1] * 6


def test_every_label_has_a_training_image_if_there_are_more_training_images_than_labels():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        targets = (rng.random((30, 10)) < rng.uniform(0.05, 0.5, 10)).astype(np.int8)
        train, _ = stratified_split(targets, (11, 19), seed=seed)
        assert targets[train].any(axis=0).tolist() == targets.any(axis=0).tolist()


def test_the_images_of_a_label_are_in_two_folds():
    """Labels with two images, which they share with each other and with frequent labels."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        targets = np.zeros((30, 8), dtype=np.int8)
        targets[:, 6:] = rng.random((30, 2)) < 0.5
        for label in range(6):
            targets[rng.choice(10, 2, replace=False), label] = 1
        for num_folds in (3, 5):  # with 2 folds, three labels can share three images such that none is possible
            folds = stratified_folds(targets, num_folds, seed=seed)
            held = np.array([targets[fold].any(axis=0) for fold in folds])
            assert (held.sum(axis=0) >= 2).all() and [len(fold) for fold in folds] == [30 // num_folds] * num_folds


def test_two_images_of_a_label_are_in_two_of_two_folds():
    targets = np.repeat(np.eye(5, dtype=np.int8), 2, axis=0)
    for seed in range(10):
        for fold in stratified_folds(targets, 2, seed=seed):
            assert targets[fold].sum(axis=0).tolist() == [1] * 5


def test_unknown_labels_count_as_absent():
    targets = generated(300, 6)
    unknown = np.where((np.random.default_rng(1).random(targets.shape) < 0.5) & (targets == 0), -1, targets)
    for a, b in zip(stratified_split(targets, (0.8, 0.2)), stratified_split(unknown, (0.8, 0.2)), strict=True):
        assert a.tolist() == b.tolist()


@pytest.mark.parametrize("largest", [1, 4, 40])
def test_groups_are_not_divided_and_sizes_differ_by_less_than_the_largest(largest):
    targets = generated(600, 10)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, largest + 1, 600)
        groups = np.repeat(np.arange(600), sizes)[:600]
        biggest = np.bincount(groups).max()
        names = np.array([f"photographer {g}" for g in groups])
        for parts, wanted in (
            (stratified_split(targets, (0.7, 0.15, 0.15), groups=names, seed=seed), (420, 90, 90)),
            (stratified_folds(targets, 4, groups=groups.tolist(), seed=seed), (150,) * 4),
        ):
            check_parts(parts, 600)
            assert sum(len(set(groups[part])) for part in parts) == len(set(groups))
            assert all(abs(len(part) - size) < biggest for part, size in zip(parts, wanted, strict=True))


def test_needs_count_the_images_of_a_group():
    """10 of 20 images with the label are in one group; the others are single images, as are 100 without the label."""
    targets, groups = np.zeros((120, 1), dtype=np.int8), [0] * 10 + list(range(1, 111))
    targets[:20] = 1
    for seed in range(5):
        parts = stratified_split(targets, (0.5, 0.5), groups=groups, seed=seed)
        assert [targets[part].sum() for part in parts] == [10, 10]


def test_groups_without_a_value_are_single_images():
    """None in all rows gives the parts that no groups give; one group of ten images stays together."""
    targets = generated(50, 3)
    plain = [part.tolist() for part in stratified_folds(targets, 5)]
    assert [part.tolist() for part in stratified_folds(targets, 5, groups=[None] * 50)] == plain
    folds = stratified_folds(targets, 5, groups=["a"] * 10 + [None] * 40)
    assert [len(fold) for fold in folds] == [10] * 5 and sum(0 in fold for fold in folds) == 1
    assert any(fold.tolist()[:10] == list(range(10)) for fold in folds)


def test_a_label_of_one_group_is_trained_on():
    targets, groups = np.zeros((40, 2), dtype=np.int8), np.repeat(np.arange(10), 4)
    targets[:20, 0], targets[20:24, 1] = 1, 1
    for seed in range(10):
        train, _ = stratified_split(targets, (0.4, 0.6), groups=groups, seed=seed)
        assert targets[train, 1].sum() == 4


def test_the_seed_decides():
    targets = generated(200, 5)
    first, again, other = (stratified_split(targets, (0.5, 0.5), seed=seed)[0].tolist() for seed in (3, 3, 4))
    assert first == again != other
    assert stratified_split(torch.tensor(targets), (0.5, 0.5), seed=3)[0].tolist() == first
    assert stratified_split(targets == 1, (0.5, 0.5), seed=3)[0].tolist() == first


@pytest.mark.parametrize("targets", [np.zeros((6, 0)), np.zeros((6, 3)), np.ones((6, 3)), np.full((6, 1), -1)])
def test_labels_that_no_image_or_every_image_has(targets):
    assert [len(part) for part in stratified_split(targets, (4, 2))] == [4, 2]
    assert [len(fold) for fold in stratified_folds(targets, 6)] == [1] * 6


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda t: stratified_split(t, (0.7, 0.2)), "fractions that sum to 1, or numbers of images that sum to 6"),
        (lambda t: stratified_split(t, (4, 3)), "sizes: expected fractions that sum to 1, or .*, which sum to 7"),
        (lambda t: stratified_split(t, (1.5, -0.5)), "sizes: expected two or more numbers ≥ 0"),
        (lambda t: stratified_split(t, (float("nan"), 1)), "sizes: expected two or more numbers ≥ 0"),
        (lambda t: stratified_split(t, (float("inf"), 1)), "sizes: expected two or more numbers ≥ 0"),
        (lambda t: stratified_split(t, 0.5), "sizes: expected two or more numbers ≥ 0, found 0.5"),
        (lambda t: stratified_split(t, "ab"), "sizes: expected two or more numbers ≥ 0, found 'ab'"),
        (
            lambda t: stratified_split(t, (0.99, 0.01)),
            "sizes: expected at least one image in every part, found none in",
        ),
        (lambda t: stratified_split(t, (0.5, 0.5), groups=["a"] * 6), "found none in part 1, which has room for 3"),
        (lambda t: stratified_split(t, (0.5, 0.5), groups=["a"]), "groups: expected 6 values, one per image, found 1"),
        (lambda t: stratified_split(t, (0.5, 0.5), groups=[[]] * 6), "groups: expected one text or number for each"),
        (lambda t: stratified_split(t, (0.5, 0.5), groups=3), "groups: expected one text or number for each image"),
        (lambda t: stratified_split(t, (0.5, 0.5), seed=-1), "seed: expected an integer ≥ 0, found -1"),
        (lambda t: stratified_split(t[0], (0.5, 0.5)), "targets: expected a matrix"),
        (lambda t: stratified_split(t[:0], (0.5, 0.5)), "sizes: expected at least one image in every part"),
        (lambda t: stratified_split(t + 2, (0.5, 0.5)), "targets: expected values in"),
        (
            lambda t: stratified_folds(t, 7),
            "num_folds: expected at least 2 and at most the number of images, 6, found 7",
        ),
        (lambda t: stratified_folds(t, 3, groups=list("aabbbb")), "at most the number of groups, 2, found 3"),
        (lambda t: stratified_folds(t, 1), "num_folds: expected at least 2"),
        (lambda t: stratified_folds(t, 2.0), "num_folds: expected an integer ≥ 1"),
        (lambda t: stratified_folds(t[:0], 2), "num_folds: expected at least 2 and at most the number of images, 0"),
    ],
)
def test_errors(call, text):
    with pytest.raises(InputError, match=text):
        call(generated(6, 2))


def test_coco(coco_targets):
    """The 82,081 training images of COCO 2014, in seconds, and a sample of 412 of them."""
    targets = coco_targets["train_y"]
    sample = targets[np.random.default_rng(0).choice(len(targets), 412, replace=False)]
    for some, factor in ((targets, 10), (sample, 2)):
        parts = stratified_split(some, (0.7, 0.15, 0.15))
        chance = random_parts(len(some), [len(part) for part in parts], seed=0)
        assert deviation(some, parts) < deviation(some, chance) / factor
        assert (some[parts[0]].any(axis=0) == some.any(axis=0)).all()
    for seed in range(8):  # hardly more training images than labels
        train, _ = stratified_split(sample, (82, 330), seed=seed)
        assert (sample[train].any(axis=0) == sample.any(axis=0)).all()

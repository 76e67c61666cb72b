"""The images of a study and its splits."""

import numpy as np
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study import Condition, data_of_parts, data_of_pool
from mlgcn_pyg.graph import LabelGraph
from tests.experiments.study.small import ALL, NAMES, SIZES, WIDTH, cache, drawn, embeddings, parts, pool

NUM_TRAIN, NUM_VAL, NUM_TEST = SIZES.values()
FEW = Condition(30)


def test_parts_are_numbered_one_after_another(tmp_path):
    data = parts(tmp_path)
    split = data.splits[1]
    assert split.train.tolist() == list(range(NUM_TRAIN))
    assert split.val.tolist() == list(range(NUM_TRAIN, NUM_TRAIN + NUM_VAL))
    assert split.test.tolist() == list(range(NUM_TRAIN + NUM_VAL, sum(SIZES.values())))
    assert data.shared_test and data.overlap(ALL) == 0 and data.num_train(ALL) == NUM_TRAIN
    features, targets = drawn(NUM_TEST, seed=2)
    found = data.pools["features"].first_views(split.test)
    assert torch.equal(found, features[:, 0].half().float()) and torch.equal(data.targets[split.test], targets)


def test_features_of_several_caches_are_read_in_the_order_of_the_rows(tmp_path):
    whole = parts(tmp_path).pools["features"]
    rows = np.array([3, 79, 80, 119, 120, 179])
    expected = torch.cat([cache.load()[0][:, 0].float() for cache in whole.caches])[rows]
    assert torch.equal(whole.first_views(rows), expected) and len(whole) == len(whole.ids) == 180


def test_few_images_are_drawn_with_the_shares_of_the_labels(tmp_path):
    data = parts(tmp_path, num_splits=3)
    found = [data.part(split, FEW) for split in range(3)]
    for split, part in enumerate(found):
        assert len(part.train) == 30 and len(part.val) == 30
        assert set(part.train) <= set(data.splits[split].train) and set(part.val) <= set(data.splits[split].val)
        share = (part.train_targets == 1).double().mean(0)
        assert ((share - (data.targets[:NUM_TRAIN] == 1).double().mean(0)).abs() <= 1 / 30).all()
        assert (np.diff(part.train) > 0).all()
    assert len({tuple(part.train) for part in found}) == 3
    again = parts(tmp_path / "again", num_splits=3).part(1, FEW)
    assert again.train.tolist() == found[1].train.tolist()
    other = parts(tmp_path / "other", seed=1).part(1, FEW)
    assert other.train.tolist() != found[1].train.tolist()


def test_more_images_than_there_are_take_all(tmp_path):
    data = parts(tmp_path)
    assert len(data.part(0, Condition(50)).val) == NUM_VAL
    assert len(data.part(0, Condition(5000)).train) == data.num_train(Condition(5000)) == NUM_TRAIN


def test_hidden_targets_grow_with_the_share_and_are_never_those_of_test_images(tmp_path):
    data = parts(tmp_path)
    before, split = data.targets.clone(), data.splits[0]
    masks = []
    for share in (0.0, 0.3, 0.5, 0.9):
        part = data.part(0, Condition(unknown=share))
        hidden = torch.cat([part.train_targets, part.val_targets]) == -1
        assert hidden.double().mean().item() == pytest.approx(share, abs=0.05)
        known = part.train_targets >= 0
        assert torch.equal(part.train_targets[known], before[split.train][known])
        masks.append(hidden)
    assert all((small <= large).all() for small, large in zip(masks, masks[1:], strict=False))
    assert not torch.equal(masks[2], torch.cat([
        data.part(1, Condition(unknown=0.5)).train_targets, data.part(1, Condition(unknown=0.5)).val_targets
    ]) == -1)  # fmt: skip
    assert torch.equal(data.targets, before)


def test_a_target_is_hidden_whatever_the_number_of_images(tmp_path):
    data = parts(tmp_path)
    whole, few = data.part(0, Condition(unknown=0.5)), data.part(0, Condition(30, 0.5))
    assert torch.equal(few.train_targets, whole.train_targets[few.train])


def test_targets_that_are_unknown_stay_so(tmp_path):
    targets = drawn(NUM_TRAIN, 0)[1]
    targets[::3, 1] = -1
    train = cache(tmp_path / "train.h5", NUM_TRAIN, targets=targets)
    data = data_of_parts(train, cache(tmp_path / "test.h5", NUM_TEST, 2), cache(tmp_path / "val.h5", NUM_VAL, 1))
    assert torch.equal(data.part(0, ALL).train_targets, targets)
    assert (data.part(0, Condition(unknown=0.5)).train_targets[targets == -1] == -1).all()


def test_without_validation_images_a_fifth_of_the_training_images_validates(tmp_path):
    data = parts(tmp_path, val=False, num_splits=3)
    for split in data.splits:
        assert len(split.val) == NUM_TRAIN / 5 and sorted([*split.train, *split.val]) == list(range(NUM_TRAIN))
        assert split.test.tolist() == list(range(NUM_TRAIN, NUM_TRAIN + NUM_TEST))
        assert (np.diff(split.train) > 0).all() and (np.diff(split.val) > 0).all()
    assert len({tuple(split.val) for split in data.splits}) == 3 and data.shared_test


def test_few_training_images_require_validation_images(tmp_path):
    test = cache(tmp_path / "test.h5", 5)
    for count in (1, 2):
        train = cache(tmp_path / f"train{count}.h5", count, seed=1)
        with pytest.raises(
            InputError, match=f"train: expected at least three images, to validate too, found {count}; pass val"
        ):
            data_of_parts(train, test)
    three = data_of_parts(cache(tmp_path / "train3.h5", 3, seed=1), test)
    assert len(three.splits[0].train) == 2 and len(three.splits[0].val) == 1
    train = cache(tmp_path / "train1.h5", 1, seed=1)
    assert data_of_parts(train, test, cache(tmp_path / "val.h5", 3)).part(0, ALL).train.tolist() == [0]


def test_one_cache_is_split_into_60_20_and_20_per_cent(tmp_path):
    data = pool(tmp_path, num_splits=3)
    for split in data.splits:
        assert [len(split.train), len(split.val), len(split.test)] == [60, 20, 20]
        assert sorted([*split.train, *split.val, *split.test]) == list(range(100))
        assert (np.diff(split.test) > 0).all()
    assert len({tuple(split.test) for split in data.splits}) == 3
    assert not data.shared_test and data.overlap(ALL) == pytest.approx(20 / 60)
    assert data.overlap(Condition(num_images=10)) == 2.0


def test_splits_do_not_depend_on_their_number(tmp_path):
    three, five = (pool(tmp_path / str(n), num_splits=n) for n in (3, 5))
    assert all(a.test.tolist() == b.test.tolist() for a, b in zip(three.splits, five.splits, strict=False))


def test_a_label_without_positives_among_test_images_is_allowed(tmp_path):
    targets = drawn(100, 0)[1]
    targets[:, 2] = 0
    targets[5, 2] = 1  # trains in every split
    data = data_of_pool(cache(tmp_path / "all.h5", 100, targets=targets), num_splits=4)
    assert all(5 in split.train and not data.targets[split.test][:, 2].any() for split in data.splits)


def test_all_views_train_and_the_first_is_scored(tmp_path):
    train = cache(tmp_path / "train.h5", NUM_TRAIN, views=3)
    data = data_of_parts(train, cache(tmp_path / "test.h5", NUM_TEST, 2), cache(tmp_path / "val.h5", NUM_VAL, 1))
    whole = data.pools["features"]
    assert whole.views(data.splits[0].train).shape == (NUM_TRAIN, 3, WIDTH)
    rows = np.array([0, NUM_TRAIN])
    assert torch.equal(whole.first_views(rows)[0], train.load()[0][0, 0].float())


def test_embeddings_are_those_of_the_graph_unless_given(tmp_path):
    x = embeddings()
    graph = LabelGraph.from_targets(drawn(NUM_TRAIN, 0)[1], label_names=NAMES, x=2 * x)
    assert torch.equal(parts(tmp_path, graph=graph, embeddings=None).embeddings, 2 * x)
    assert torch.equal(parts(tmp_path, graph=graph).embeddings, x)
    assert parts(tmp_path, embeddings=None).embeddings is None


def test_caches_that_do_not_fit_together_are_refused(tmp_path):
    train, test = cache(tmp_path / "train.h5", NUM_TRAIN), cache(tmp_path / "test.h5", NUM_TEST)
    fewer = cache(tmp_path / "fewer.h5", 10, num_labels=3)
    with pytest.raises(InputError, match="test: expected .*labels"):
        data_of_parts(train, fewer)
    empty = cache(tmp_path / "empty.h5", 0)
    with pytest.raises(InputError, match="test: expected at least one image, found none"):
        data_of_parts(train, empty)
    with pytest.raises(InputError, match="test: expected other images than train, found the same"):
        data_of_parts(train, train)
    without = cache(tmp_path / "without.h5", 8, targets=torch.tensor([[0, -1, 0, 0]] * 8, dtype=torch.int8))
    with pytest.raises(InputError, match="test: expected an image with at least one label"):
        data_of_parts(train, without)
    narrow = type(train).from_arrays(tmp_path / "narrow.h5", torch.ones(3, 2), torch.ones(3, 4), NAMES)
    with pytest.raises(InputError, match=f"val: expected features of width {WIDTH}, as in train, found width 2"):
        data_of_parts(train, test, narrow)
    with pytest.raises(InputError, match="num_splits: expected"):
        data_of_parts(train, test, num_splits=0)
    with pytest.raises(InputError, match=r"embeddings: expected shape \(4, F\), found shape \(3, 6\)"):
        data_of_parts(train, test, embeddings=embeddings(3))
    graph = LabelGraph.from_targets(torch.eye(4), label_names=["w", "x", "y", "z"])
    with pytest.raises(InputError, match="graph: expected"):
        data_of_parts(train, test, graph=graph)


def test_further_features_are_those_of_the_same_images(tmp_path):
    (tmp_path / "average").mkdir()
    train, test = cache(tmp_path / "train.h5", NUM_TRAIN), cache(tmp_path / "test.h5", NUM_TEST, 2)
    same = {"train": cache(tmp_path / "average" / "train.h5", NUM_TRAIN)}
    with pytest.raises(InputError, match="average: expected features of the same images.*found none for test"):
        data_of_parts(train, test, average=same)
    same["test"] = cache(tmp_path / "average" / "test.h5", NUM_TEST, 2)
    data = data_of_parts(train, test, average=same)
    assert set(data.pools) == {"features", "average"}
    assert data_of_pool(train, average=same["train"]).pools["average"].caches == (same["train"],)
    for other in (cache(tmp_path / "other.h5", NUM_TEST, 2), cache(tmp_path / "average" / "test.h5", NUM_TEST, 3)):
        with pytest.raises(InputError, match="average: expected features of the same images.*found other images"):
            data_of_parts(train, test, average=same | {"test": other})


def test_one_cache_requires_four_images_and_a_label(tmp_path):
    for count in (0, 3):
        with pytest.raises(InputError, match=f"cache: expected at least 4 images.*, found {count}"):
            data_of_pool(cache(tmp_path / f"{count}.h5", count))
    assert [len(part) for part in vars(data_of_pool(cache(tmp_path / "4.h5", 4)).splits[0]).values()] == [2, 1, 1]
    unlabelled = cache(tmp_path / "none.h5", 30, targets=torch.zeros(30, 4, dtype=torch.int8))
    with pytest.raises(InputError, match="cache: expected an image with at least one label"):
        data_of_pool(unlabelled)

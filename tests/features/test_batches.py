"""Batches: every row once per epoch, the same loaded and streamed, and from any step on."""

import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache, batches, epochs
from mlgcn_pyg.features.batches import ResidentRows, StreamedRows, open_rows
from mlgcn_pyg.features.epochs import epoch_order, epoch_views


def make_cache(tmp_path, num_images=101, num_views=1, width=3, dtype="float32"):
    """Feature 0 of every row is its image, feature 1 its view; the targets spell the image in binary."""
    images = torch.arange(num_images).view(-1, 1).expand(-1, num_views)
    features = torch.zeros(num_images, num_views, width)
    features[..., 0], features[..., 1] = images, torch.arange(num_views)
    targets = (torch.arange(num_images).view(-1, 1) >> torch.arange(10)) & 1
    return FeatureCache.from_arrays(tmp_path / "c.h5", features, targets, list("abcdefghij"), dtype=dtype)


def spelled(targets):
    return (targets.long() << torch.arange(10)).sum(1)


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(epochs, "WINDOW", 40)
    monkeypatch.setattr(epochs, "BLOCK", 4)


@pytest.mark.parametrize("num_rows", [0, 1, 31, 16_384, 16_385, 50_001])
def test_an_epoch_contains_every_image_once_in_an_order_that_depends_on_seed_and_epoch(num_rows):
    order = epoch_order(num_rows, seed=3, epoch=2)
    assert torch.equal(order.sort().values, torch.arange(num_rows))
    assert torch.equal(order, epoch_order(num_rows, seed=3, epoch=2))
    if num_rows > 1:
        others = [epoch_order(num_rows, 3, 1), epoch_order(num_rows, 2, 3), epoch_order(num_rows, 4, 2)]
        assert all(not torch.equal(order, other) for other in others)


def test_windows_mix_rows_of_the_whole_file_and_are_read_in_runs():
    order = epoch_order(100_000, seed=0, epoch=1)
    window = order[: epochs.WINDOW]
    assert abs(float(window.double().mean()) / 50_000 - 1) < 0.05 and not torch.equal(window, window.sort().values)
    runs = (window.sort().values.diff() != 1).sum() + 1
    assert runs <= epochs.WINDOW / epochs.BLOCK + 2


def test_views_are_drawn_uniformly_and_differ_between_epochs():
    views = torch.stack([epoch_views(9_000, 3, seed=0, epoch=epoch) for epoch in (1, 2)])
    counts = torch.stack([(views == v).sum(1) for v in range(3)])
    assert counts.min() > 2_800 and counts.max() < 3_200  # 5 standard deviations are 224
    assert (views[0] == views[1]).double().mean() < 0.4


@pytest.mark.parametrize(
    "num_images, num_views, batch_size", [(101, 1, 7), (101, 3, 7), (40, 2, 40), (1, 1, 5), (5, 1, 9)]
)
def test_streamed_batches_equal_resident_batches_from_any_step(
    small_windows, tmp_path, num_images, num_views, batch_size
):
    cache = make_cache(tmp_path, num_images, num_views)
    loaded, streamed = ResidentRows(*cache.load()), StreamedRows(cache, window=max(40, batch_size))
    whole = list(loaded.batches(batch_size, 5, 2))
    assert torch.equal(torch.cat([f[:, 0] for f, _ in whole]).sort().values, torch.arange(float(num_images)))
    for features, targets in whole:  # a row and its targets are of one image
        assert torch.equal(features[:, 0].long(), spelled(targets))
    for start in range(len(whole) + 2):
        for source in (loaded, streamed):
            found = list(source.batches(batch_size, 5, 2, start))
            assert len(found) == max(0, len(whole) - start)
            for (f, t), (g, u) in zip(found, whole[start:], strict=True):
                assert torch.equal(f, g) and torch.equal(t, u)


def test_batches_cut_targets_gathered_for_many(tmp_path):
    source = ResidentRows(*make_cache(tmp_path, 600).load())
    for start in (0, 1, 63, 64, 65, 130):
        found = list(source.batches(4, 0, 1, start))
        one_by_one = [source.gather(rows) for rows in source.row_batches(4, 0, 1, start)]
        assert len(found) == 150 - start
        assert all(torch.equal(f, g) and torch.equal(t, u) for (f, t), (g, u) in zip(found, one_by_one, strict=True))


def test_every_view_of_an_image_is_seen_in_some_epoch(small_windows, tmp_path):
    cache = make_cache(tmp_path, num_views=2)
    for source in (ResidentRows(*cache.load()), StreamedRows(cache, window=40)):
        seen = {(int(i), int(v)) for e in range(20) for f, _ in source.batches(16, 0, e) for i, v in f[:, :2].tolist()}
        assert len(seen) == 2 * 101


def test_scoring_takes_the_first_view_or_the_mean(tmp_path):
    cache = make_cache(tmp_path, num_views=3, dtype="float16")
    for source in (ResidentRows(*cache.load()), StreamedRows(cache)):
        for views, value in (("first", 0.0), ("mean", 1.0)):
            blocks = list(source.blocks(views, size=30))
            features, targets = (torch.cat(parts) for parts in zip(*blocks, strict=True))
            assert [len(block) for block, _ in blocks] == [30, 30, 30, 11]
            assert torch.equal(features[:, 0].float(), torch.arange(101.0)) and bool((features[:, 1] == value).all())
            assert torch.equal(spelled(targets), torch.arange(101))
        features = torch.cat([block for block, _ in source.blocks("all", size=30)])
        assert torch.equal(features, torch.from_numpy(cache.features[:]))
    with pytest.raises(InputError, match="views: expected one of first, mean, all"):
        next(source.blocks("last"))


def test_rows_keep_their_stored_type(tmp_path):
    cache = make_cache(tmp_path, dtype="float16")
    for source in (ResidentRows(*cache.load()), StreamedRows(cache)):
        features, targets = next(iter(source.batches(4, 0, 1)))
        assert features.dtype == torch.float16 and targets.dtype == torch.int8


def test_no_images_give_no_batches(tmp_path):
    cache = make_cache(tmp_path, 0)
    for source in (ResidentRows(*cache.load()), StreamedRows(cache)):
        assert list(source.batches(4, 0, 1)) == [] and list(source.blocks()) == []


def test_a_cache_too_large_for_memory_is_streamed(tmp_path, monkeypatch):
    cache = make_cache(tmp_path)
    assert isinstance(open_rows(cache), ResidentRows)
    assert isinstance(open_rows(cache, stream=True), StreamedRows)

    class Little:
        available = 2 * 101 * 3 * 4 - 1

    monkeypatch.setattr(batches.psutil, "virtual_memory", lambda: Little)
    assert isinstance(open_rows(cache), StreamedRows)
    assert isinstance(open_rows(cache, stream=False), ResidentRows)


class OnlyRows:
    """Features that are indexed by slices and lists of images only, as several joined files are."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, rows):
        assert not isinstance(rows, tuple)
        return self.array[rows]


def test_features_indexed_by_image_only_can_be_streamed(small_windows, tmp_path):
    cache = make_cache(tmp_path, num_views=2)
    expected = list(StreamedRows(cache, window=40).batches(8, 0, 1))
    cache.features = OnlyRows(cache.features)
    found = list(StreamedRows(cache, window=40).batches(8, 0, 1))
    assert all(torch.equal(f, g) for (f, _), (g, _) in zip(found, expected, strict=True)) and len(found) == 13


def test_invalid_input(tmp_path):
    cache = make_cache(tmp_path)
    with pytest.raises(InputError, match="batch_size: expected at most 40 if features are streamed, found 41"):
        next(StreamedRows(cache, window=40).row_batches(41, 0, 1))
    for source in (ResidentRows(*cache.load()), StreamedRows(cache)):
        with pytest.raises(InputError, match="batch_size: expected an integer ≥ 1"):
            next(source.row_batches(0, 0, 1))


def test_the_error_names_a_streamed_row_that_is_not_finite(tmp_path):
    cache = make_cache(tmp_path)
    damaged = cache.features.copy()
    damaged[17, 0, 2] = float("nan")
    cache.features = damaged
    for read in (lambda s: s.batches(8, 0, 1), lambda s: s.blocks(size=10)):
        with pytest.raises(
            InputError, match=r"cache: expected finite numbers, found NaN or Inf in 1 of .* row 17\) in .*c.h5"
        ):
            list(read(StreamedRows(cache)))

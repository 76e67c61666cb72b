"""Several files as one cache."""

import pickle

import numpy as np
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache, extract_features
from mlgcn_pyg.features.shards import shard_rows
from tests.features.small import SmallBackbone, small_scenes


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    scenes = small_scenes(folder / "scenes")
    whole = extract_features(SmallBackbone(), scenes, folder / "whole.h5", batch_size=4)
    for i in range(3):
        # names whose order is not that of the shards
        extract_features(SmallBackbone(), scenes, folder / f"part-{9 - i}.h5", batch_size=4, shard=(i, 3))
    return folder, whole


def test_shards_opened_as_one_are_the_whole(shards):
    folder, whole = shards
    for source in (f"{folder}/part-*.h5", [folder / f"part-{k}.h5" for k in (8, 7, 9)]):
        cache = FeatureCache(source)
        assert cache.ids == whole.ids and torch.equal(cache.targets, whole.targets) and len(cache) == 22
        assert torch.equal(cache.load()[0], whole.load()[0]) and len(cache.paths) == 3
        rows = np.array([21, 0, 7, 8, 7, -1])
        assert np.array_equal(cache.features[rows], whole.features[rows])
        assert np.array_equal(cache.features[5:19:3], whole.features[5:19:3])
        assert np.array_equal(np.asarray(cache.features), whole.features)
        assert repr(cache) == repr(whole)
        assert torch.equal(pickle.loads(pickle.dumps(cache)).load()[0], whole.load()[0])
        batches = list(cache.batches(5, shuffle=True, generator=torch.Generator().manual_seed(1)))
        twins = list(whole.batches(5, shuffle=True, generator=torch.Generator().manual_seed(1)))
        assert all(torch.equal(a[0], b[0]) for a, b in zip(batches, twins, strict=True))
    with pytest.raises(IndexError):
        cache.features[np.array([22])]


def test_a_missing_shard_is_named(shards):
    folder, _ = shards
    with pytest.raises(InputError, match=r"each of the 3 shards once, found shards \[0, 2\] without \[1\]"):
        FeatureCache([folder / "part-9.h5", folder / "part-7.h5"])
    with pytest.raises(InputError, match=r"each of the 3 shards once"):
        FeatureCache([folder / "part-9.h5", folder / "part-9.h5", folder / "part-7.h5"])
    assert len(FeatureCache(folder / "part-9.h5")) == 8  # a part alone is a cache of its images


def test_files_that_do_not_fit_together(tmp_path):
    def cache(name, width=3, names="ab", ids="xy", **options):
        targets = torch.ones(len(ids), len(names), dtype=torch.int8)
        FeatureCache.from_arrays(
            tmp_path / name, torch.randn(len(ids), width), targets, list(names), ids=list(ids), **options
        )
        return tmp_path / name

    first = cache("a.h5")
    joined = FeatureCache([first, cache("b.h5", ids="z")])
    assert joined.ids == ("x", "y", "z") and joined.load()[0].shape == (3, 1, 3)
    for other, message in [
        (cache("c.h5", names="ba", ids="q"), "the same labels in a different order"),
        (cache("d.h5", width=4, ids="q"), "views, features and dtype"),
        (cache("e.h5", dtype="float32", ids="q"), "views, features and dtype"),
        (cache("f.h5", ids="yq"), "each image in one file, found y in"),
        (cache("g.h5", ids="q", meta={"backbone": "dino"}), "computed in the same way, found .*backbone"),
    ]:
        with pytest.raises(InputError, match=message):
            FeatureCache([first, other])
    with pytest.raises(InputError, match="at least one feature file"):
        FeatureCache(f"{tmp_path}/no-*.h5")
    with pytest.raises(InputError, match="at least one feature file"):
        FeatureCache([])


def test_a_part_without_rows(tmp_path):
    for name, rows in (("a", 0), ("b", 2)):
        features = torch.ones(rows, 3)
        ids = [f"{name}{k}" for k in range(rows)]
        FeatureCache.from_arrays(tmp_path / f"{name}.h5", features, torch.zeros(rows, 1), ["l"], ids=ids)
    cache = FeatureCache(f"{tmp_path}/*.h5")
    assert len(cache) == 2 and torch.equal(cache.load()[0], torch.ones(2, 1, 3).half())


def test_numbers_in_names_count_by_value(tmp_path):
    for k in (2, 10, 1):
        FeatureCache.from_arrays(tmp_path / f"p{k}.h5", torch.ones(1, 2), torch.zeros(1, 1), ["l"], ids=[str(k)])
    assert FeatureCache(f"{tmp_path}/p*.h5").ids == ("1", "2", "10")


@pytest.mark.parametrize("num_images, batch_size, n", [(10, 4, 3), (1, 4, 3), (0, 4, 2), (100, 7, 8)])
def test_shards_hold_each_row_once_in_whole_batches(num_images, batch_size, n):
    runs = [shard_rows(num_images, batch_size, (i, n)) for i in range(n)]
    assert [row for run in runs for row in run] == list(range(num_images))
    assert all(run.start % batch_size == 0 for run in runs)


@pytest.mark.parametrize("shard", [(3, 3), (-1, 2), (0, 0), (0,), "0/2"])
def test_no_such_shard(tmp_path, shard):
    with pytest.raises(InputError, match="shard"):
        extract_features(SmallBackbone(), small_scenes(tmp_path / "s", 2), tmp_path / "s.h5", shard=shard)


def test_the_same_file_twice_is_refused(tmp_path):
    path = FeatureCache.from_arrays(tmp_path / "a.h5", torch.ones(2, 3), [[1], [0]], ["x"]).path
    with pytest.raises(InputError, match="each image in one file, found 0 in"):
        FeatureCache([path, path])


def tiny(path, **meta):
    ids = [f"{path.name} {k}" for k in range(2)]
    return FeatureCache.from_arrays(path, torch.ones(2, 3), [[1], [0]], ["a"], ids=ids, meta=meta)


def test_features_of_other_origin_may_call_anything_a_shard(tmp_path):
    for shard in (3, "k", [0, 2], None, {"i": 0}):
        for k in range(2):
            tiny(tmp_path / f"{k}.h5", shard=shard)
        assert len(FeatureCache(f"{tmp_path}/*.h5")) == 4


def test_superscripts_in_names_are_no_numbers(tmp_path):
    for name in ("1²3.h5", "1²2.h5"):
        tiny(tmp_path / name)
    assert [path.name for path in FeatureCache(f"{tmp_path}/1*").paths] == ["1²2.h5", "1²3.h5"]


def test_a_pattern_does_not_find_files_in_the_making(tmp_path):
    tiny(tmp_path / "a.h5")
    for name in ("b.h5.partial", "b.h5.partial.rank1", "b.h5.partial.rank-before"):
        (tmp_path / name).write_bytes(b"half")
    assert len(FeatureCache(f"{tmp_path}/*").paths) == 1

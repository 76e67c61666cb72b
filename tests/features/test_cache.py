import pickle

import h5py
import numpy as np
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.verification import verify
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import fit_head, score


@pytest.fixture
def tiny(tmp_path):
    features = torch.randn(7, 2, 5)
    targets = torch.randint(-1, 2, (7, 3))
    return FeatureCache.from_arrays(tmp_path / "t.h5", features, targets, ["a", "b", "ü"]), features, targets


def test_written_and_read_is_equal_to_float16_rounding(tiny, tmp_path):
    cache, features, targets = tiny
    stored, known = cache.load()
    assert torch.equal(stored, features.half()) and torch.equal(known.long(), targets)
    assert cache.label_names == ("a", "b", "ü") and cache.ids == tuple("0123456")
    assert (cache.num_images, cache.num_views, cache.num_features, cache.num_labels) == (7, 2, 5, 3)
    exact = FeatureCache.from_arrays(tmp_path / "e.h5", features, targets, ["a", "b", "c"], dtype="float32")
    assert torch.equal(exact.load()[0], features)


def test_any_hdf5_reader_sees_the_documented_file(tiny):
    cache, features, targets = tiny
    with h5py.File(cache.path) as file:
        assert file.attrs["format"] == "mlgcn_pyg.features" and file.attrs["version"] == 2
        assert file["features"].chunks is None and file["features"].dtype == np.float16
        assert (file["features"][...] == features.half().numpy()).all()


def test_features_are_mapped_and_read_only(tiny):
    cache, features, _ = tiny
    assert isinstance(cache.features, np.memmap)
    with pytest.raises(ValueError):
        cache.features[0] = 0


def test_a_cache_travels_to_another_process_as_its_path(tiny):
    sent = pickle.dumps(tiny[0])
    assert len(sent) < 1000 and (pickle.loads(sent).features == tiny[0].features).all()


def test_batches_show_every_row_once(tiny):
    cache, features, targets = tiny
    plain = list(cache.batches(3))
    assert [len(f) for f, _ in plain] == [3, 3, 1]
    assert torch.equal(torch.cat([f for f, _ in plain]), features[:, 0].half().float())
    shuffled = list(cache.batches(3, shuffle=True, generator=torch.Generator().manual_seed(1)))
    again = list(cache.batches(3, shuffle=True, generator=torch.Generator().manual_seed(1)))
    rows = torch.cat([f for f, _ in shuffled])
    assert torch.equal(rows, torch.cat([f for f, _ in again]))
    assert not torch.equal(rows, features[:, 0].half().float())
    order = [next(n for n in range(7) if torch.equal(features[n, 0].half().float(), row)) for row in rows]
    assert sorted(order) == list(range(7))
    assert torch.equal(torch.cat([t for _, t in shuffled]).long(), targets[order])


def test_no_image(tmp_path):
    cache = FeatureCache.from_arrays(tmp_path / "n.h5", torch.zeros(0, 4), torch.zeros(0, 2), ["a", "b"])
    assert len(cache) == 0 and cache.load()[0].shape == (0, 1, 4)
    assert list(cache.batches(2)) == list(cache.batches(2, shuffle=True)) == []


@pytest.mark.parametrize(
    "value, dtype, message",
    [
        (70000.0, "float16", r"at most 65504\), found 70000 in row 1 \(image 1\); store float32 instead"),
        (float("nan"), "float16", r"found nan in row 1 \(image 1\)"),
        (float("inf"), "float32", r"found inf in row 1"),
    ],
)
def test_values_that_do_not_fit_are_refused_and_no_file_is_left(tmp_path, value, dtype, message):
    features = torch.zeros(3, 2)
    features[1, 1] = value
    with pytest.raises(InputError, match=message):
        FeatureCache.from_arrays(tmp_path / "x.h5", features, torch.zeros(3, 1), ["a"], dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_nan_in_a_finished_file_is_noticed_before_it_is_used(tiny):
    cache, _, _ = tiny
    with h5py.File(cache.path, "r+") as file:
        file["features"][4, 0, 2] = np.nan
    head = LinearHead(3, 5, cache.label_names)
    for use in (lambda: score(head, cache), lambda: fit_head(head, cache)):
        with pytest.raises(InputError, match=r"NaN or Inf in 1 of 7 rows \(first: row 4\)"):
            use()
    assert verify(cache.path).not_finite == [4]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((torch.zeros(3), torch.zeros(3, 1), ["a"]), r"shape \(N, D\) or \(N, V, D\), found shape \(3,\)"),
        ((torch.zeros(3, 2), torch.zeros(2, 1), ["a"]), "targets: expected 3 rows, one per image, found 2"),
        ((torch.zeros(3, 2), torch.full((3, 1), 2), ["a"]), r"values in \{-1, 0, 1\}"),
        ((torch.zeros(3, 2), torch.zeros(3, 2), ["a"]), "label_names: expected 2 names"),
    ],
)
def test_arrays_that_do_not_fit_together(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        FeatureCache.from_arrays(tmp_path / "x.h5", *arguments)
    with pytest.raises(InputError, match="a different id for every image, found 1 repeated"):
        FeatureCache.from_arrays(tmp_path / "x.h5", torch.zeros(2, 1), torch.zeros(2, 1), ["a"], ids=["i", "i"])
    assert list(tmp_path.iterdir()) == []


def damage(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def replace(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda f: f.attrs.__setitem__("format", "other"), "a feature file written by this package"),
        (lambda f: f.attrs.__setitem__("version", 99), "format version 2 or older, found version 99"),
        (lambda f: f.__delitem__("targets"), "found no targets"),
        (lambda f: f.attrs.__delitem__("meta"), "found no meta"),
        (replace("features", np.zeros((7, 5), np.float16)), r"features \(N, V, D\)"),
        (replace("features", np.zeros((7, 1, 5), np.int32)), "float16 or float32, found shape"),
        (replace("features", np.zeros((6, 1, 5), np.float16)), "that fit the features, found targets"),
        (replace("targets", np.full((7, 3), 5, np.int8)), r"values in \{-1, 0, 1\}, found 5"),
        (replace("label_names", [1, 2, 3]), "a feature file in the documented format"),
        (replace("features", np.zeros((7, 1, 5), ">f4")), "float16 or float32, found shape"),
        (lambda f: f.attrs.__setitem__("meta", "{"), "a feature file in the documented format"),
        (lambda f: (f.__delitem__("features"), f.create_group("features")), "a feature file in the documented format"),
    ],
)
def test_foreign_newer_and_inconsistent_files(tiny, change, message):
    damage(tiny[0].path, change)
    with pytest.raises(InputError, match=message):
        FeatureCache(tiny[0].path)


def test_files_that_are_no_cache(tmp_path, tiny):
    (tmp_path / "text.h5").write_text("no HDF5")
    content = tiny[0].path.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[:-20])
    for name in ("text.h5", "cut.h5", "absent.h5", "."):
        with pytest.raises(InputError, match="path: expected"):
            FeatureCache(tmp_path / name)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_infinity_in_a_half_type_is_refused(tmp_path, kind, dtype):
    features = torch.tensor([[1.0, 2.0], [float("inf"), 0.0]]).to(kind)
    with pytest.raises(InputError, match=r"found inf in row 1 \(image 1\)"):
        FeatureCache.from_arrays(tmp_path / "t.h5", features, [[1], [0]], ["a"], dtype=dtype)
    assert not (tmp_path / "t.h5").exists()


def test_bfloat16_features_are_written_exactly_or_refused(tmp_path):
    features = torch.tensor([[1.0, -2.5], [65024.0, 0.0]]).bfloat16()
    cache = FeatureCache.from_arrays(tmp_path / "t.h5", features, [[1], [0]], ["a"])
    assert torch.equal(cache.load()[0][:, 0].float(), features.float())
    with pytest.raises(InputError, match="found 65536 in row 0"):  # the limit itself is 65536 in bfloat16
        FeatureCache.from_arrays(tmp_path / "u.h5", torch.tensor([[65536.0]]).bfloat16(), [[1]], ["a"])


@pytest.mark.parametrize("ids", [[139, 285], np.array([139, 285])])
def test_ids_that_are_numbers_are_refused_by_name(tmp_path, ids):
    with pytest.raises(InputError, match="ids: expected strings that name the images, found .*139"):
        FeatureCache.from_arrays(tmp_path / "t.h5", torch.ones(2, 3), [[1], [0]], ["a"], ids=ids)


@pytest.mark.parametrize(
    ("features", "what"), [(torch.ones(1, 0, 3), "features"), (torch.ones(1, 3, dtype=torch.complex64), "features")]
)
def test_no_view_and_complex_numbers_are_refused(tmp_path, features, what):
    with pytest.raises(InputError, match=f"{what}: expected"):
        FeatureCache.from_arrays(tmp_path / "t.h5", features, [[1]], ["a"])


def test_the_digest_is_that_of_features_targets_and_names(tmp_path):
    features, targets = torch.randn(6, 3), torch.tensor([[1], [0]] * 3)
    first = FeatureCache.from_arrays(tmp_path / "a.h5", features, targets, ["x"])
    assert FeatureCache.from_arrays(tmp_path / "b.h5", features, targets, ["x"]).digest() == first.digest()
    others = [(features + 1, targets, ["x"]), (features, 1 - targets, ["x"]), (features, targets, ["y"])]
    found = {FeatureCache.from_arrays(tmp_path / "c.h5", *other).digest() for other in others}
    assert len(found | {first.digest()}) == 4


@pytest.mark.parametrize(
    ("what", "value", "message"),
    [
        ("ids", ["a\0b", "c"], "ids: expected text without NUL characters"),
        ("ids", ["a\udcff", "c"], "ids: expected text that can be encoded in UTF-8"),  # a file name that is not UTF-8
        ("label_names", ["a\0b"], "label_names: expected text without NUL characters"),
        ("meta", {"scale": np.float32(1)}, "meta: expected a dict that JSON can hold, found TypeError"),
        ("meta", [1], "meta: expected a dict that JSON can hold, found list"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_by_name(tmp_path, what, value, message):
    options = {"label_names": ["a"]} | {what: value}
    with pytest.raises(InputError, match=message):
        FeatureCache.from_arrays(tmp_path / "t.h5", torch.ones(2, 3), [[1], [0]], **options)
    assert list(tmp_path.iterdir()) == []


def test_provenance_may_be_long(tmp_path):
    meta = {"skipped": [f"train_{k:06}" for k in range(20_000)]}
    cache = FeatureCache.from_arrays(tmp_path / "t.h5", torch.ones(2, 3), [[1], [0]], ["a"], meta=meta)
    assert cache.meta == meta

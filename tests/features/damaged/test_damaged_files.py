"""Damaged and hostile feature files, each with the outcome expected: a clear refusal, or a report that finds it."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache, extract_features
from mlgcn_pyg.features.reading import read_contents
from mlgcn_pyg.features.verification import repair, verify
from mlgcn_pyg.features.writer import FeatureWriter
from tests.features.small import SmallBackbone, small_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return small_scenes(tmp_path_factory.mktemp("scenes"), 10)


@pytest.fixture(scope="module")
def good(tmp_path_factory, scenes):
    path = tmp_path_factory.mktemp("good") / "s.h5"
    return extract_features(SmallBackbone(), scenes, path, batch_size=4).path.read_bytes()


@pytest.fixture
def path(tmp_path, good):
    (tmp_path / "s.h5").write_bytes(good)
    return tmp_path / "s.h5"


def flip(path, offset, bits=0x10):
    with open(path, "rb+") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bits]))


def place(path, name):
    """The offset of a part, as HDF5 reports it."""
    with h5py.File(path, "r") as file:
        return file[name].id.get_offset()


def test_cut_anywhere(path, good):
    """Every truncated file is refused, and none of them hangs or crashes the reader."""
    for size in {0, 1, 7, 8, 96, 512, 2048, len(good) // 2, len(good) - 100, len(good) - 1}:
        path.write_bytes(good[:size])
        with pytest.raises(InputError, match="path: expected"):
            FeatureCache(path)


def test_any_single_flipped_byte_is_refused_or_found_or_harmless(path, good):
    """For every byte of the file: a file that opens has the content that was written, or verify reports damage."""
    whole = FeatureCache(path)
    expected = (whole.features.tobytes(), whole.targets.numpy().tobytes(), whole.ids, whole.label_names)
    refused = found = harmless = 0
    for offset in range(0, len(good), 7):
        flip(path, offset)
        try:
            cache = FeatureCache(path)
            same = (cache.features.tobytes(), cache.targets.numpy().tobytes(), cache.ids, cache.label_names) == expected
            report = verify(path)
            assert same or not report.good, offset
            harmless, found = harmless + report.good, found + (not report.good)
        except InputError:
            refused += 1
        flip(path, offset)
    assert refused > 20 and found > 20 and harmless > 20


def test_a_flipped_byte_in_features_is_found_and_its_batch_computed_again(path, scenes, good):
    contents = read_contents(path)
    flip(path, contents.offset + 9 * contents.row_bytes)
    assert len(FeatureCache(path)) == 10  # opening does not read features
    report = verify(path)
    assert not report.good and report.damaged == [2] and report.unfinished == []
    assert repair(path).damaged == [2] and not path.exists()  # nothing unfinished keeps the final name
    calls, backbone = [], SmallBackbone()
    backbone.register_forward_hook(lambda *_: calls.append(1))
    extract_features(backbone, scenes, path, batch_size=4)
    assert len(calls) == 1 and verify(path).good and path.read_bytes() == good


def test_a_flipped_byte_in_targets_is_refused_when_opened(path):
    offset = place(path, "targets")
    for bits in (0x01, 0x10):  # another target that is allowed, and one that is not
        flip(path, offset, bits)
        with pytest.raises(InputError, match="as they were written|values in"):
            FeatureCache(path)
        with pytest.raises(InputError):
            repair(path)
        assert path.exists()
        flip(path, offset, bits)
    assert FeatureCache(path)


@pytest.mark.parametrize("bits", [0x01, 0x10])
def test_a_flipped_byte_in_the_done_map_is_refused_and_repaired_without_computing(path, scenes, good, bits):
    flip(path, place(path, "done") + 1, bits)
    with pytest.raises(
        InputError, match="a finished file, found 1 of 3 batches missing .*; repair the file, then extract it again"
    ):
        FeatureCache(path)
    assert verify(path).unfinished == [1]
    repair(path)
    backbone, calls = SmallBackbone(), []
    backbone.register_forward_hook(lambda *_: calls.append(1))
    extract_features(backbone, scenes, path, batch_size=4)
    assert not calls and path.read_bytes() == good  # its checksum proves the batch


def test_a_flipped_byte_in_a_checksum(path, scenes, good):
    flip(path, place(path, "checksums") + 5)
    assert verify(path).damaged == [0]
    repair(path)
    extract_features(SmallBackbone(), scenes, path, batch_size=4)
    assert path.read_bytes() == good


def rewrite(path, **changes):
    """Replaces parts of the file, as another program might write it."""
    with h5py.File(path, "r+") as file:
        for name, value in changes.items():
            if name in file.attrs:
                file.attrs[name] = value
            else:
                del file[name]
                if value is not None:
                    file[name] = value


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"version": 3}, "format version 2 or older, found version 3 .* use a newer mlgcn_pyg"),
        ({"version": "two"}, "format version 2 or older"),
        ({"format": "elsewhere"}, "a feature file written by this package"),
        ({"done": None}, "found no done"),
        ({"checksums": None}, "found no checksums"),
        ({"targets": np.zeros((10, 15), np.int8)}, "that fit the features"),
        ({"targets": np.zeros((10, 16), np.int8)}, "as they were written"),
        ({"targets": np.zeros((10, 16), np.int64)}, "targets of type int8"),
        ({"label_names": [f"x{k}" for k in range(16)]}, "as they were written"),
        ({"label_names": ["same"] * 16}, "unique names"),
        ({"ids": ["same"] * 10}, "unique ids, found 9 repeated"),
        ({"done": np.ones(2, np.uint8)}, "done and checksums of 3 batches"),
        ({"done": np.ones(3, np.int64)}, "done and checksums of 3 batches"),
        ({"checksums": np.zeros((3, 16), np.uint8)}, "done and checksums of 3 batches"),
        ({"features": np.zeros((10, 1, 8), np.float64)}, "float16 or float32"),
        ({"features": np.zeros((10, 8), np.float16)}, r"features \(N, V, D\)"),
        ({"features": np.zeros((10, 1, 9), np.float16)}, "as they were written"),
        ({"batch_size": 5}, "done and checksums of 2 batches"),
        ({"batch_size": 0}, "batch_size of at least 1"),
        ({"batch_size": -4}, "batch_size of at least 1"),
        ({"meta": json.dumps({"backbone": "another"})}, "as they were written"),
        ({"meta": "[]"}, "a JSON object as meta"),
        ({"meta": "{"}, "in the documented format"),
        ({"header": "0" * 64}, "as they were written"),
    ],
)
def test_parts_that_do_not_fit(path, changes, message):
    rewrite(path, **changes)
    with pytest.raises(InputError, match=message):
        FeatureCache(path)


def test_a_chunked_and_a_compressed_features_part(path):
    for options in ({"chunks": (1, 1, 8)}, {"compression": "gzip"}):
        with h5py.File(path, "r+") as file:
            del file["features"]
            file.create_dataset("features", data=np.zeros((10, 1, 8), np.float16), **options)
        with pytest.raises(InputError, match="contiguous features .* chunked"):
            FeatureCache(path)


def test_features_kept_in_another_file_are_not_followed(path, tmp_path):
    """HDF5 can keep a part in another file of any name, which this format forbids."""
    (tmp_path / "secret").write_bytes(bytes(160))
    with h5py.File(path, "r+") as file:
        del file["features"]
        file.create_dataset("features", (10, 1, 8), np.float16, external=[(str(tmp_path / "secret"), 0, 160)])
    with pytest.raises(InputError):
        FeatureCache(path)
    with h5py.File(path, "r+") as file:
        del file["features"]
        file["features"] = h5py.ExternalLink("elsewhere.h5", "features")
    with pytest.raises(InputError):
        FeatureCache(path)


def test_no_rows(tmp_path):
    empty = FeatureCache.from_arrays(tmp_path / "e.h5", torch.zeros(0, 4), torch.zeros(0, 2), ["a", "b"])
    assert verify(empty.path).good and empty.load()[0].shape == (0, 1, 4) and list(empty.batches(3)) == []
    scenes = small_scenes(tmp_path / "none", 0)
    assert len(extract_features(SmallBackbone(), scenes, tmp_path / "n.h5")) == 0
    assert repair(tmp_path / "n.h5").good


def test_infinity_under_a_matching_checksum(path, scenes, good):
    with FeatureWriter(path) as writer:
        rows = np.frombuffer(writer.read_batch(1), np.float16).reshape(4, 1, 8).copy()
        rows[2, 0, 3] = np.inf
        writer.write_batch(1, rows)
    report = verify(path)
    assert report.not_finite == [6] and report.damaged == [] and not report.good
    repair(path)
    extract_features(SmallBackbone(), scenes, path, batch_size=4)
    assert path.read_bytes() == good


def test_the_same_image_under_two_names_is_reported(tmp_path):
    features = torch.randn(5, 3)
    features[4] = features[1]
    cache = FeatureCache.from_arrays(tmp_path / "f.h5", features, torch.zeros(5, 1), ["a"], ids=list("vwxyz"))
    report = verify(cache.path)
    assert report.good and report.repeated == [["w", "z"]]


def test_repair_leaves_a_file_that_it_cannot_repair(path, tmp_path):
    flip(path, read_contents(path).offset)
    (tmp_path / "s.h5.partial").write_text("in the way")
    with pytest.raises(InputError, match="finish or remove the unfinished file"):
        repair(path)
    assert path.exists() and (tmp_path / "s.h5.partial").read_text() == "in the way"


def write_version_1(path, features, targets, names, ids):
    """Writes a file as the package did before there were checksums."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "mlgcn_pyg.features", "version": 1, "meta": json.dumps({"backbone": "old"})})
        file["targets"], file["features"] = targets, features
        for name, values in (("label_names", names), ("ids", ids)):
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())


def test_version_1_stays_readable(tmp_path):
    features, targets = np.random.default_rng(0).normal(size=(700, 1, 4)).astype(np.float16), np.ones((700, 2), np.int8)
    write_version_1(tmp_path / "old.h5", features, targets, ["a", "b"], [str(k) for k in range(700)])
    cache = FeatureCache(tmp_path / "old.h5")
    assert np.array_equal(cache.load()[0], features) and cache.meta == {"backbone": "old"}
    report = verify(tmp_path / "old.h5")
    assert report.good and not report.checked
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file["features"][600, 0, 1] = np.nan
    assert verify(tmp_path / "old.h5").not_finite == [600]
    with pytest.raises(InputError, match="version 2, with checksums"):
        repair(tmp_path / "old.h5")
    before = (tmp_path / "old.h5").read_bytes()
    with pytest.raises(InputError, match="with checksums, of format version 2, found version 1"):
        FeatureWriter(tmp_path / "old.h5")
    assert (tmp_path / "old.h5").read_bytes() == before


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(InputError, match="a regular file, found the pipe"):
        FeatureCache(tmp_path / "pipe.h5")


def test_repair_leaves_features_that_no_extraction_made(tmp_path):
    """No extraction could compute them again, and a renamed file would lose its good rows too."""
    cache = FeatureCache.from_arrays(tmp_path / "clip.h5", torch.randn(5, 3), torch.zeros(5, 1), ["a"])
    flip(cache.path, read_contents(cache.path).offset)
    before = cache.path.read_bytes()
    message = "that no extraction can compute again, in .*; write it again with FeatureCache.from_arrays"
    with pytest.raises(InputError, match=message):
        repair(cache.path)
    assert cache.path.read_bytes() == before and list(tmp_path.iterdir()) == [cache.path]


def test_repair_of_an_unfinished_file(path, scenes, good):
    with FeatureWriter(path) as writer:
        rows = np.frombuffer(writer.read_batch(1), np.float16).reshape(4, 1, 8).copy()
        rows[2, 0, 3] = np.nan  # under a checksum that fits: nothing else would find it
        writer.write_batch(1, rows)
    partial = path.rename(path.with_name("s.h5.partial"))
    assert repair(partial).not_finite == [6] and partial.exists()
    extract_features(SmallBackbone(), scenes, path, batch_size=4)
    assert path.read_bytes() == good


def test_groups_of_equal_images_among_many(tmp_path):
    features = torch.randn(300, 3)
    features[[7, 120, 299]], features[[5, 6]] = torch.zeros(3), torch.ones(3)  # all zeros are a feature like others
    cache = FeatureCache.from_arrays(tmp_path / "f.h5", features, torch.zeros(300, 1), ["a"])
    assert verify(cache.path).repeated == [["5", "6"], ["7", "120", "299"]]


def test_a_size_in_a_heap_of_texts_that_makes_hdf5_loop_forever(path, good):
    """The last text extends into the free space behind it. A new process runs HDF5's endless loop."""
    heap = good.index(b"GCOL")
    place, last = heap + 16, None
    while good[place] or good[place + 1]:  # the object's index; 0 is the free space
        last, place = place, place + 16 + -(-int.from_bytes(good[place + 8 : place + 16], "little") // 8) * 8
    flip(path, last + 8)
    code = f"from mlgcn_pyg.features import FeatureCache; FeatureCache({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "strings that can be read, found damaged strings in" in done.stderr


def test_a_damaged_type_of_an_attribute_does_not_crash_hdf5(path, good):
    """The text becomes a sequence; a new process reads it, which a crash would end."""
    flip(path, good.index(b"meta\0\0\0\0\x19") + 9, 0xFF)
    code = f"from mlgcn_pyg.features import FeatureCache; FeatureCache({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "attribute meta is neither text nor an integer" in done.stderr

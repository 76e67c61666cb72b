"""Reads the rows of a file that was opened before, to any device."""

import os

import numpy as np
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache, rows
from mlgcn_pyg.features.reading import read_contents


def write(path, value, count=4):
    targets = torch.full((count, 1), int(value))
    return FeatureCache.from_arrays(path, torch.full((count, 3), float(value)), targets, ["a"])


@pytest.mark.parametrize("count", [2, 4, 9])
def test_the_rows_of_a_replaced_file_are_not_used_with_the_old_targets(tmp_path, count):
    cache = write(tmp_path / "f.h5", 0)
    write(tmp_path / "f.h5", 1, count)
    with pytest.raises(
        InputError,
        match="the file that was opened, found a different file, which has replaced .*; open the cache again",
    ):
        cache.load()
    assert np.array_equal(cache.features, np.zeros((4, 1, 3)))  # what is mapped stays what it was
    assert len(FeatureCache(tmp_path / "f.h5")) == count


def test_a_file_that_was_removed_or_cut_meanwhile(tmp_path):
    cache = write(tmp_path / "f.h5", 1)
    os.truncate(cache.path, read_contents(cache.path).offset + 10)
    for device in ("cpu", "meta"):
        with pytest.raises(InputError, match="a complete file, found .*, which is truncated"):
            cache.load(device)
    cache.path.unlink()
    with pytest.raises(InputError, match="found no file .*f.h5"):
        cache.load()


@pytest.mark.parametrize("size", [1, 7, 24, 1000])
def test_rows_read_in_pieces_of_any_size(tmp_path, monkeypatch, size):
    monkeypatch.setattr(rows, "CHUNK", size)
    features = torch.randn(5, 2, 3)
    cache = FeatureCache.from_arrays(tmp_path / "f.h5", features, torch.zeros(5, 1), ["a"], dtype="float32")
    assert torch.equal(cache.load()[0], features)


def test_no_rows_onto_another_device(tmp_path):
    """Rows pass through a buffer as for a GPU; the meta device shows their shapes only."""
    for name, count in (("a", 0), ("b", 2)):
        ids = [f"{name}{k}" for k in range(count)]
        FeatureCache.from_arrays(tmp_path / f"{name}.h5", torch.ones(count, 3), torch.zeros(count, 1), ["l"], ids=ids)
    for source, count in (("a.h5", 0), ("b.h5", 2), ("*.h5", 2)):
        features, targets = FeatureCache(tmp_path / source).load("meta")
        assert features.shape == (count, 1, 3) and features.dtype == torch.float16 and features.is_meta

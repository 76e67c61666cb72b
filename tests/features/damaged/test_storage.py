"""Feature files whose content is elsewhere, or that claim more than they hold: they are refused, and not followed."""

import os
import resource
import struct
import time

import h5py
import numpy as np
import psutil
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.heaps import SIGNATURE
from mlgcn_pyg.features.verification import repair, verify


@pytest.fixture
def path(tmp_path):
    targets = torch.ones(20, 3, dtype=torch.int8)
    return FeatureCache.from_arrays(tmp_path / "s.h5", torch.randn(20, 1, 8), targets, ["a", "b", "c"]).path


def replaced(path, name, create):
    """Replaces a part by what ``create(file, shape, dtype)`` puts at its place."""
    with h5py.File(path, "r+") as file:
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        create(file, name, shape, dtype)


def external_link(file, name, shape, dtype):
    file[name] = h5py.ExternalLink("other.h5", f"/{name}")


def soft_link_to_an_external_link(file, name, shape, dtype):
    file["elsewhere"] = h5py.ExternalLink("other.h5", f"/{name}")
    file[name] = h5py.SoftLink("/elsewhere")


def external_storage(file, name, shape, dtype):
    file.create_dataset(name, shape, "i1", external=[("secret.txt", 0, h5py.h5f.UNLIMITED)])


def virtual(file, name, shape, dtype):
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource("other.h5", name, shape)
    file.create_virtual_dataset(name, layout)


KINDS = [external_link, soft_link_to_an_external_link, external_storage, virtual]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["features", "targets", "done", "checksums"])
@pytest.mark.parametrize("read", [FeatureCache, verify, repair])
def test_content_in_other_files_is_not_followed(path, tmp_path, kind, name, read):
    (tmp_path / "other.h5").write_bytes(path.read_bytes())
    (tmp_path / "secret.txt").write_bytes(b"\1" * 1000)
    replaced(path, name, kind)
    with pytest.raises(InputError, match=f"within one file, found {name} of .*s.h5 in a different file"):
        read(path)


@pytest.mark.parametrize("name", ["features", "targets", "label_names", "ids", "done", "checksums", "extra"])
def test_links_to_a_fifo_do_not_wait(path, tmp_path, name):
    os.mkfifo(tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        file[name] = h5py.ExternalLink("other.h5", "/x")
    if name == "extra":  # not a part of the format: it is not opened
        assert len(FeatureCache(path)) == 20
    else:
        with pytest.raises(InputError, match="a different file"):
            FeatureCache(path)


@pytest.mark.parametrize(
    "name, shape",
    [
        ("targets", (3 << 30, 3)),
        ("targets", (20, 1 << 40)),
        ("label_names", (400 << 20,)),
        ("ids", (400 << 20,)),
        ("done", (8 << 30,)),
        ("checksums", (1 << 30, 32)),
        ("features", (1 << 40, 1, 8)),
        ("features", (20, 1 << 30, 8)),
    ],
)
def test_sizes_that_the_file_cannot_hold_are_refused_before_reading(path, name, shape):
    """HDF5 stores nothing for what was never written, and would return zeros."""

    def claim(file, name, _, dtype):
        space, options = h5py.h5s.create_simple(shape), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype, logical=True), space, options)

    replaced(path, name, claim)
    before = psutil.Process().memory_info().rss
    for read in (FeatureCache, verify):
        with pytest.raises(InputError, match="path: expected"):
            read(path)
    assert psutil.Process().memory_info().rss - before < 100 << 20


def test_all_parts_may_claim_the_same_size(tmp_path):
    """Shapes that fit each other, but not the file."""
    path, many = tmp_path / "s.h5", 1 << 31
    FeatureCache.from_arrays(path, torch.randn(2, 1, 8), torch.ones(2, 1), ["a"])
    with h5py.File(path, "r+") as file:
        for name, shape in (("features", (many, 1, 8)), ("targets", (many, 1)), ("ids", (many,))):
            dtype = file[name].id.get_type()
            del file[name]
            h5py.h5d.create(file.id, name.encode(), dtype, h5py.h5s.create_simple(shape))
        file.attrs["batch_size"] = many
    with pytest.raises(InputError, match=r"a complete file, found .*s.h5, which is truncated: [\d,]+ bytes"):
        FeatureCache(path)


def test_texts_that_refer_to_one_long_text_again_and_again(tmp_path):
    """Each id of 16 bytes claims the same text of a megabyte."""
    path, count = tmp_path / "s.h5", 2000
    ids = ["x" * (1 << 20), *map(str, range(count))]
    FeatureCache.from_arrays(path, torch.zeros(count + 1, 1), torch.ones(count + 1, 1), ["a"], ids=ids)
    with h5py.File(path, "r") as file:
        start = file["ids"].id.get_offset()
    data = bytearray(path.read_bytes())
    for row in range(1, count + 1):
        data[start + 16 * row : start + 16 * (row + 1)] = data[start : start + 16]
    path.write_bytes(data)
    before = psutil.Process().memory_info().rss
    with pytest.raises(InputError, match=r"ids of 2,?\d+,?\d* bytes|documented format"):
        FeatureCache(path)
    assert psutil.Process().memory_info().rss - before < 300 << 20


def test_ids_in_chunks_are_read_and_limited_too(path):
    def chunked(file, name, shape, dtype):
        values = [str(k) for k in range(20)]
        file.create_dataset(name, data=values, dtype=h5py.string_dtype(), chunks=(5,))

    replaced(path, "ids", chunked)
    assert FeatureCache(path).ids == tuple(str(k) for k in range(20))


def test_a_long_row_of_heaps_within_heaps_takes_no_quadratic_time(path):
    """A quarter of a megabyte of signatures, each of a heap that reaches to the end of the file."""
    data = path.read_bytes()
    count = 1 << 14
    heaps = b"".join(SIGNATURE + struct.pack("<Q", 16 * (count - k)) for k in range(count))
    start = time.monotonic()
    path.write_bytes(data + heaps)
    with pytest.raises(InputError, match="damaged strings"):
        FeatureCache(path)
    assert time.monotonic() - start < 5


def test_many_separate_heaps_are_read(tmp_path):
    """An ordinary file, whose ids fill many heaps."""
    ids = [f"COCO_train2014_{k:012d}.jpg" for k in range(20_000)]
    targets = np.ones((20_000, 1), np.int8)
    cache = FeatureCache.from_arrays(tmp_path / "s.h5", np.zeros((20_000, 1)), targets, ["a"], ids=ids)
    assert cache.path.read_bytes().count(SIGNATURE) > 10
    assert cache.ids == tuple(ids)


@pytest.mark.parametrize("name", ["format", "meta", "header"])
def test_a_text_attribute_that_claims_gigabytes(path, name):
    """HDF5 would allocate them before it compares the length with the text."""
    data = bytearray(path.read_bytes())
    start = data.index(name.encode() + b"\0")
    sizes = struct.unpack_from("<HHH", data, start - 6)
    place = start + sum(-(-size // 8) * 8 for size in sizes)
    assert int.from_bytes(data[place : place + 4], "little") in (64, len("mlgcn_pyg.features"), len("{}"))
    data[place + 3] = 0x7F
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="damaged strings"):
        FeatureCache(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10

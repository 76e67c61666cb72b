"""Files of torch.save: plain content is read as torch reads it; other files are refused in one line."""

import argparse
import io
import random
import zipfile
from collections import OrderedDict

import numpy as np
import psutil
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.plain import load_plain, save_plain
from mlgcn_pyg.files.torch_archives import DIGEST

BASE = torch.arange(24.0)
CONTENT = {
    "format": "test",
    "numbers": [1, 2.5, True, None, 10**30, 1 + 2j],
    "texts": ("a", "ü", b"\0\xff", bytearray(b"q")),
    "dict": OrderedDict(a={1: {2, 3}}, b=torch.Size([2, 3]), c=torch.float16, d=torch.device("cpu")),
    "transposed": BASE.view(4, 6).t(),
    "slice": BASE[3:9:2],
    "scalar": torch.tensor(3),
    "empty": torch.zeros(0, 300),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "expanded": torch.tensor([1.0]).expand(5, 3),
    "types": [torch.ones(3).to(dtype) for dtype in (torch.bfloat16, torch.int8, torch.bool, torch.complex64)],
    "new types": [torch.ones(3, dtype=torch.uint16), torch.ones(3).to(torch.float8_e4m3fn)],
}


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and a.tolist() == b.tolist()
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_plain_content_comes_back(tmp_path, zip_format, protocol):
    path = tmp_path / "a.pt"
    torch.save(CONTENT, path, _use_new_zipfile_serialization=zip_format, pickle_protocol=protocol)
    assert equal(load_plain("path", path), CONTENT)


def test_tensors_that_share_a_storage_share_it_again(tmp_path):
    shared = torch.zeros(4)
    torch.save([shared, shared[1:]], tmp_path / "a.pt")
    first, second = load_plain("path", tmp_path / "a.pt")
    second[0] = 7
    assert first[1] == 7


def test_a_saved_file_has_a_digest_and_torch_reads_it(tmp_path):
    save_plain(tmp_path / "a.pt", CONTENT)
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert sum(name.endswith(f"/{DIGEST}") for name in archive.namelist()) == 1
    assert equal(load_plain("path", tmp_path / "a.pt"), CONTENT)
    save_plain(tmp_path / "b.pt", {"weights": torch.ones(3)})
    for options in ({}, {"mmap": True}):
        assert torch.load(tmp_path / "b.pt", weights_only=True, **options)["weights"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("save", [save_plain, lambda path, content: torch.save(content, path)], ids=["digest", "CRC"])
def test_no_flipped_bit_is_read_as_other_content(tmp_path, save):
    """Files of earlier versions have no digest, but torch has always written a CRC-32 of each member."""
    path = tmp_path / "a.pt"
    save(path, CONTENT)
    raw, whole = path.read_bytes(), load_plain("path", path)
    generator, refused = random.Random(0), 0
    for _ in range(250):
        bit = generator.randrange(8 * len(raw))
        data = bytearray(raw)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            read = load_plain("path", path)
        except InputError as error:
            refused += "\n" not in str(error)
            continue
        assert equal(read, whole), bit
    assert refused > 80


@pytest.mark.parametrize("pairs", [{"data/0": "data/1", "data/1": "data/0"}, {"data/1": "data/0"}])
def test_members_that_another_program_has_exchanged_are_detected(tmp_path, pairs):
    """The CRC-32 of each member is right."""
    path = tmp_path / "a.pt"
    save_plain(path, {"a": torch.ones(3), "b": torch.zeros(3)})
    members = _members(path)
    folder = next(iter(members)).partition("/")[0]
    exchanged = {f"{folder}/{to}": members[f"{folder}/{source}"] for to, source in pairs.items()}
    _write(path, members | exchanged)
    with pytest.raises(InputError, match="the checksum does not match"):
        load_plain("path", path)


def test_a_file_without_checksums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(CONTENT, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert equal(load_plain("path", tmp_path / "a.pt"), CONTENT)


def aliased(size, stride, values=1):
    return torch.zeros(values).as_strided(size, stride)


def claimed_numel(path):
    """The pickle claims a storage of 2^30 entries."""
    torch.save({"a": torch.zeros(100)}, path)
    _change_pickle(path, lambda data: data.replace(b"Kdtq", b"J\0\0\0@tq", 1))


def beyond_the_storage(path):
    torch.save({"a": torch.zeros(100)}, path)
    _change_pickle(path, lambda data: data.replace(b"Kd\x85q", b"J\0\0\0@\x85q", 1))


def negative_stride(path):
    torch.save({"a": torch.zeros(100)}, path)
    _change_pickle(path, lambda data: data.replace(b"K\1\x85q", b"J\xff\xff\xff\xff\x85q", 1))


def compressed(path):
    torch.save({"a": torch.zeros(1 << 20)}, path)
    _write(path, _members(path), zipfile.ZIP_DEFLATED)


def twice_the_same_member(path):
    torch.save({"a": torch.zeros(3)}, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"N.")


def _change_pickle(path, change):
    members = _members(path)
    name = next(name for name in members if name.endswith("data.pkl"))
    assert change(members[name]) != members[name]
    _write(path, members | {name: change(members[name])})


def _members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


HOSTILE = {
    "stride 0": lambda path: torch.save({"a": aliased((1 << 29,), (0,))}, path),
    "stride 0 in an old file": lambda path: torch.save(
        {"a": aliased((1 << 29,), (0,))}, path, _use_new_zipfile_serialization=False
    ),
    "overlapping rows": lambda path: torch.save({"a": aliased((50_000, 50_000), (1, 1), 100_000)}, path),
    "many aliases": lambda path: torch.save([aliased((1000, 1000), (0, 0)) for _ in range(1000)], path),
    "an absurd empty tensor": lambda path: torch.save({"a": torch.empty_strided((0, 1 << 40), (1, 1))}, path),
    "a claimed storage": claimed_numel,
    "beyond the storage": beyond_the_storage,
    "a negative stride": negative_stride,
    "compressed members": compressed,
    "two members of one name": twice_the_same_member,
    "another class": lambda path: torch.save({"a": argparse.Namespace(b=1)}, path),
    "a NumPy array": lambda path: torch.save({"a": np.ones(3)}, path),
    "a conjugated tensor": lambda path: torch.save({"a": torch.ones(3, dtype=torch.complex64).conj()}, path),
    "a quantised tensor": lambda path: torch.save(torch.quantize_per_tensor(torch.ones(3), 1, 0, torch.qint8), path),
    "a sparse tensor": lambda path: torch.save(torch.ones(2, 2).to_sparse(), path),
    "a program": lambda path: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path),
    "another archive": lambda path: zipfile.ZipFile(path, "w").writestr("a/b.txt", "x"),
    "text": lambda path: path.write_text("no tensors"),
    "nothing": lambda path: path.write_bytes(b""),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_line_before_any_work(tmp_path, name):
    HOSTILE[name](tmp_path / "h.pt")
    before = psutil.Process().memory_info().rss
    with pytest.raises(InputError, match=r"weights: expected a file of plain tensors .*h\.pt \(") as caught:
        load_plain("weights", tmp_path / "h.pt")
    assert "\n" not in str(caught.value) and psutil.Process().memory_info().rss - before < 200 << 20


def test_an_old_file_cut_short_anywhere(tmp_path):
    buffer = io.BytesIO()
    torch.save(CONTENT, buffer, _use_new_zipfile_serialization=False)
    data = buffer.getvalue()
    for size in range(0, len(data), len(data) // 60):
        (tmp_path / "h.pt").write_bytes(data[:size])
        with pytest.raises(InputError):
            load_plain("path", tmp_path / "h.pt")

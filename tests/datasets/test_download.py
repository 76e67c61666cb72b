"""Archives from a local server are complete or absent, resume, and never write outside their folder."""

import gzip
import hashlib
import io
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from mlgcn_pyg.datasets.archives import extract
from mlgcn_pyg.datasets.download import Archive, download_and_extract
from mlgcn_pyg.datasets.sources import COCO_ARCHIVES, VOC_ARCHIVES
from mlgcn_pyg.errors import InputError
from tests.datasets.server import make_tar, make_zip, serve

FILES = {f"data/{n}.bin": os.urandom(5000 + n) for n in range(5)} | {"data/empty": b""}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serve() as files:
        yield files


@pytest.fixture
def away(tmp_path):
    """A folder outside the one that archives are extracted to."""
    (tmp_path / "away").mkdir()
    return tmp_path / "away"


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_files_are_extracted_and_progress_ends_at_the_total(tmp_path, away, server, make):
    made, progress, root = make(away / "a.arc", FILES), {}, tmp_path / "root"
    archive = Archive(server.offer(made), md5(made))
    kept = download_and_extract(archive, root, lambda what, done, total: progress.update({what: (done, total)}))
    assert tree(root) == FILES | {"a.arc": made.read_bytes()} and kept == root / "a.arc"
    size, inner = made.stat().st_size, sum(map(len, FILES.values()))
    assert progress == {"downloading a.arc": (size, size), "extracting a.arc": (inner, inner)}
    download_and_extract(archive, root)
    assert len(server.requests) == 1  # the archive is there


def test_a_broken_transfer_leaves_no_archive_and_resumes(tmp_path, away, server):
    made, root = make_zip(away / "a.zip", FILES), tmp_path / "root"
    archive = Archive(server.offer(made))
    server.cut["/a.zip"] = 7000
    with pytest.raises(InputError, match=r"archive: expected \d+ bytes of .*a.zip, found 7000; run again to resume"):
        download_and_extract(archive, root)
    assert [p.name for p in root.iterdir()] == [".a.zip.partial"]
    download_and_extract(archive, root)
    assert tree(root) == FILES | {"a.zip": made.read_bytes()}
    assert server.requests == [("/a.zip", None), ("/a.zip", "bytes=7000-")]


def test_a_server_without_ranges_sends_everything_again(tmp_path, away, server):
    made, root = make_zip(away / "a.zip", FILES), tmp_path / "root"
    archive, server.ranges, server.cut["/a.zip"] = Archive(server.offer(made), md5(made)), False, 7000
    with pytest.raises(InputError, match="found 7000"):
        download_and_extract(archive, root)
    download_and_extract(archive, root)
    assert tree(root) == FILES | {"a.zip": made.read_bytes()}


def test_an_invalid_content_length_is_ignored(tmp_path, away, server):
    made, server.announced = make_zip(away / "a.zip", FILES), "many"
    download_and_extract(Archive(server.offer(made)), tmp_path / "root")
    assert tree(tmp_path / "root") == FILES | {"a.zip": made.read_bytes()}


@pytest.mark.parametrize("more", [b"", b"bytes of another file"])
def test_a_partial_file_that_is_complete_or_too_long(tmp_path, away, server, more):
    made, root = make_zip(away / "a.zip", FILES), tmp_path / "root"
    root.mkdir()
    (root / ".a.zip.partial").write_bytes(made.read_bytes() + more)
    download_and_extract(Archive(server.offer(made)), root)
    assert tree(root) == FILES | {"a.zip": made.read_bytes()}


def test_an_interrupt_while_downloading_keeps_the_received_bytes(tmp_path, away, server):
    made, root = make_zip(away / "a.zip", {"big": os.urandom(3 << 20)}), tmp_path / "root"

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_and_extract(Archive(server.offer(made)), root, interrupt)
    assert [p.name for p in root.iterdir()] == [".a.zip.partial"]
    download_and_extract(Archive(server.offer(made)), root)
    assert len(server.requests) == 2 and server.requests[1][1] is not None and (root / "big").stat().st_size == 3 << 20


OTHER = """
import sys
from mlgcn_pyg.datasets.download import Archive, download_and_extract
download_and_extract(Archive(sys.argv[1]), sys.argv[2])
"""


def test_two_processes_do_not_download_into_one_folder(tmp_path, away, server):
    """Both would append to one partial file."""
    made, root, errors = make_zip(away / "a.zip", {"big": os.urandom(3 << 20)}), tmp_path / "root", []
    archive = Archive(server.offer(made), md5(made))
    words = [sys.executable, "-W", "ignore", "-c", OTHER, archive.url, str(root)]

    def meanwhile(*_):
        if not errors:
            done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
            errors.append(done.stderr.strip().splitlines()[-1])

    download_and_extract(archive, root, meanwhile)
    assert (
        "folder: expected a folder that no other process downloads into" in errors[0]
        and "wait for that process to end" in errors[0]
    )
    assert len(server.requests) == 1 and sorted(p.name for p in root.iterdir()) == ["a.zip", "big"]
    assert subprocess.run(words, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL).returncode == 0


def test_an_interrupt_while_extracting_leaves_complete_files_only_and_the_next_run_resumes(tmp_path, away):
    for make in (make_zip, make_tar):
        made, root = make(away / "a.arc", FILES), tmp_path / make.__name__
        root.mkdir()

        def interrupt(what, done, total):
            if done > total / 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            extract(made, root, interrupt)
        half = tree(root)
        assert 0 < len(half) < len(FILES) and half.items() <= FILES.items()
        times = {name: (root / name).stat().st_mtime_ns for name in half}
        assert extract(made, root) == len(FILES) - len(half) and tree(root) == FILES
        assert times == {name: (root / name).stat().st_mtime_ns for name in half}


def test_a_file_whose_writing_was_killed_is_written_again(tmp_path, away):
    made, root = make_zip(away / "a.zip", FILES), tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / "data/.a.zip.01234567.partial").write_bytes(b"x")  # what a killed run leaves
    (root / "data/2.bin").touch()  # what a power cut may leave
    extract(made, root)
    assert tree(root) == FILES


def test_wrong_md5_sums(tmp_path, away, server):
    made, root = make_zip(away / "a.zip", FILES), tmp_path / "root"
    archive = Archive(server.offer(made), "0" * 32)
    with pytest.raises(InputError, match="expected the MD5 sum 0+, found a different sum for the download from"):
        download_and_extract(archive, root)
    assert list(root.iterdir()) == []
    shutil.copy(made, root / "a.zip")
    with pytest.raises(InputError, match="archive: expected the MD5 sum 0+, found a different sum for .*a.zip; move"):
        download_and_extract(archive, root)
    assert [p.name for p in root.iterdir()] == ["a.zip"]  # it may be somebody's: it is not removed


def test_no_answer_is_one_error_that_names_the_address(tmp_path, server):
    with pytest.raises(InputError, match="archive: expected .*/a.zip to be available, found HTTPError: HTTP Error 404"):
        download_and_extract(Archive(server.url + "/a.zip"), tmp_path / "root")
    with pytest.raises(InputError, match="to be available, found URLError.*run again to resume the download"):
        download_and_extract(Archive("http://127.0.0.1:9/a.zip"), tmp_path / "root")


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["../out.bin", "/tmp/mlgcn-out.bin", "a/../../out.bin", "..\\out.bin", "C:\\out.bin"])
def test_archives_that_write_outside_are_refused_with_nothing_written(tmp_path, make, name):
    made, root = make(tmp_path / "bad.arc", {"good.bin": b"x", name: b"y"}), tmp_path / "root"
    root.mkdir()
    before = tree(tmp_path)
    with pytest.raises(InputError, match="archive: expected a file below .*root, found"):
        extract(made, root)
    assert tree(tmp_path) == before and list(root.iterdir()) == [] and not Path("/tmp/mlgcn-out.bin").exists()


def test_links_and_devices_are_refused_with_nothing_written(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    made = make_tar(tmp_path / "link.tar", {"good.bin": b"x"}, way="..")
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr("good.bin", b"x")
        info = zipfile.ZipInfo("way")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "..")
    with tarfile.open(tmp_path / "fifo.tar", "w") as archive:
        info = tarfile.TarInfo("pipe")
        info.type = tarfile.FIFOTYPE
        archive.addfile(info)
        hard = tarfile.TarInfo("hard")
        hard.type, hard.linkname = tarfile.LNKTYPE, "/etc/passwd"
        archive.addfile(hard)
    for path in (made, tmp_path / "link.zip", tmp_path / "fifo.tar"):
        with pytest.raises(InputError, match="archive: expected files and folders only, found '(way|pipe)', a link"):
            extract(path, root)
    assert list(root.iterdir()) == []


def test_an_existing_file_is_not_overwritten(tmp_path):
    made, root = make_zip(tmp_path / "a.zip", FILES), tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / "data/3.bin").write_bytes(b"mine")
    with pytest.raises(InputError, match="folder: expected no file that a.zip would overwrite, found .*3.bin"):
        extract(made, root)
    assert tree(root) == {"data/3.bin": b"mine"}


def test_a_file_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", b"1")
        archive.writestr("x", b"2")
    with pytest.raises(InputError, match="archive: expected unique file names"):
        extract(tmp_path / "a.zip", tmp_path)


def test_damaged_archives_are_refused_and_no_damaged_file_appears(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    whole = make_zip(tmp_path / "a.zip", FILES).read_bytes()
    info = zipfile.ZipFile(tmp_path / "a.zip").getinfo("data/2.bin")
    flipped = bytearray(whole)
    flipped[info.header_offset + 1000] ^= 0xFF  # within the file's content: its checksum no longer holds
    tar = make_tar(tmp_path / "a.tar", FILES).read_bytes()
    for content in (bytes(flipped), whole[:-100], whole[:3000], b"", b"no archive at all" * 100, tar[:9000], tar[:700]):
        (tmp_path / "bad.arc").write_bytes(content)
        with pytest.raises(
            InputError, match="archive: expected a complete zip or tar archive, found .*bad.arc .*remove it"
        ):
            extract(tmp_path / "bad.arc", root)
        assert tree(root).items() <= FILES.items() and (tmp_path / "bad.arc").exists()


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_files_with_the_names_of_temporary_files(tmp_path, make):
    files = {".a.partial": b"1", "a": b"22", ".a.arc.01234567.partial": b"333", ".a.arc.partial": b"4444"}
    (tmp_path / "root").mkdir()
    assert extract(make(tmp_path / "a.arc", files), tmp_path / "root") == 4 and tree(tmp_path / "root") == files


def test_a_planted_link_with_the_name_of_a_temporary_file_is_not_followed(tmp_path, away, server):
    made, root = make_zip(away / "a.zip", FILES), tmp_path / "root"
    (away / "mine").write_bytes(b"mine")
    (root / "data").mkdir(parents=True)
    for name in (".a.zip.partial", "data/.1.bin.partial", "data/.a.zip.01234567.partial"):
        (root / name).symlink_to(away / "mine")
    download_and_extract(Archive(server.offer(made), md5(made)), root)
    assert (away / "mine").read_bytes() == b"mine" and (root / "data/1.bin").read_bytes() == FILES["data/1.bin"]


def test_an_empty_name_in_a_zip_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"x": b"1"})
    content = path.read_bytes()
    entry = content.rindex(b"PK\x01\x02")
    start = bytearray(content[entry:])
    start[28:30] = b"\0\0"  # the length of the name
    del start[46:47]
    size = len(start) - 22
    start[-10:-6] = size.to_bytes(4, "little")
    path.write_bytes(content[:entry] + start)
    with pytest.raises(InputError, match="archive: expected a file below .*, found ''"):
        extract(path, tmp_path)


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("x/a/b/c", "x/a")])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_file_in_the_place_of_a_folder_is_refused_with_nothing_written(tmp_path, make, names):
    (tmp_path / "root").mkdir()
    with pytest.raises(InputError, match="archive: expected each name as a file or as a folder, found '.*a' as both"):
        extract(make(tmp_path / "a.arc", dict.fromkeys(names, b"x")), tmp_path / "root")
    assert not list((tmp_path / "root").iterdir())


SPARSE = ["GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.numblocks", "GNU.sparse.realsize", "size"]


@pytest.mark.parametrize("value", ["", "x", "-1", "1,", "9" * 30, "-9223372036854775808"])
@pytest.mark.parametrize("key", SPARSE)
def test_malformed_headers_of_a_tar_are_one_error(tmp_path, key, value):
    headers = {key: value} if key == "size" else {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", key: value}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a")
        info.size, info.pax_headers = 3, headers
        archive.addfile(info, io.BytesIO(b"abc"))
    (tmp_path / "root").mkdir()
    try:
        extract(tmp_path / "a.tar", tmp_path / "root")  # some of these headers say nothing
    except InputError as error:
        assert error.argument in ("archive", "folder") and "\n" not in str(error)
    assert set(tree(tmp_path / "root")) <= {"a"}


def test_a_header_of_negative_size_does_not_loop(tmp_path):
    info = tarfile.TarInfo("a")
    header = bytearray(info.tobuf())
    header[124:136] = (256**12 - 512).to_bytes(12, "big")  # −512 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(header + bytes(10240))
    with pytest.raises(InputError, match="archive: expected a complete zip or tar archive"):
        extract(tmp_path / "a.tar", tmp_path)


def test_compressed_tars_that_expand_without_end_are_refused(tmp_path):
    """A long header is held in memory, and what follows the last file is decompressed to verify its checksum."""
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 100 << 20
    file = tarfile.TarInfo("a")
    for name, content in (("header", long.tobuf() + bytes(100 << 20)), ("end", file.tobuf() + bytes(50 << 20))):
        with gzip.open(tmp_path / f"{name}.tar.gz", "wb", compresslevel=1) as archive:
            archive.write(content)
        with pytest.raises(
            InputError, match="archive: expected a complete zip or tar archive, found .*tar.gz .*ReadError"
        ):
            extract(tmp_path / f"{name}.tar.gz", tmp_path)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_a_damaged_compressed_tar_is_refused_with_nothing_written(tmp_path, compression):
    with tarfile.open(tmp_path / "a.tar", f"w:{compression}") as archive:
        archive.add(make_zip(tmp_path / "some.bin", FILES), "data.bin")
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "root").mkdir()
    assert extract(tmp_path / "a.tar", tmp_path / "root") == 1
    (tmp_path / "root/data.bin").unlink()
    for at in range(len(whole) // 4, len(whole), len(whole) // 5):
        (tmp_path / "a.tar").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(InputError, match="archive: expected a complete zip or tar archive"):
            extract(tmp_path / "a.tar", tmp_path / "root")
        assert not tree(tmp_path / "root")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_any_damage_is_one_error_about_the_archive(tmp_path, make):
    whole = make(tmp_path / "a.arc", {"d/a": b"a" * 300, "b": b"b" * 20}).read_bytes()
    rng = random.Random(0)
    for number in range(200):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(content))
            change = rng.randrange(3)
            content[at : at + 1 + change * rng.randrange(9)] = rng.randbytes(rng.choice((0, 1, 1, 7)))
        (tmp_path / "a.arc").write_bytes(content)
        (tmp_path / str(number)).mkdir()
        try:
            extract(tmp_path / "a.arc", tmp_path / str(number))
        except InputError as error:
            assert error.argument in ("archive", "folder") and "\n" not in str(error)


def test_special_files_in_place_of_an_archive_are_refused(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(InputError, match="archive: expected a regular file, found the pipe"):
        extract(tmp_path / "a.zip", tmp_path)


def test_a_damaged_archive_of_any_compression(tmp_path):
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
            archive.writestr("a", os.urandom(3000))
        content = bytearray((tmp_path / "a.zip").read_bytes())
        content[60:90] = b"\xff" * 30
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(InputError, match="archive: expected a complete zip"):
            extract(tmp_path / "a.zip", tmp_path)
        assert not (tmp_path / "a").exists()


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch):
    made, root = make_zip(tmp_path / "bomb.zip", {"zeros": bytes(50 << 20)}), tmp_path / "root"
    root.mkdir()
    assert made.stat().st_size < 100_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 30, 1 << 30, 10 << 20))
    with pytest.raises(InputError, match="folder: expected 50 MiB of free disk space, found 10 MiB in"):
        extract(made, root)
    assert list(root.iterdir()) == []


def test_a_zip_that_understates_its_files_is_refused(tmp_path):
    """The disk space was computed from the stated size."""
    content = bytearray(make_zip(tmp_path / "a.zip", {"zeros": bytes(1 << 20)}).read_bytes())
    size = (1 << 20).to_bytes(4, "little")
    place = content.index(size, content.rindex(b"PK\x01\x02"))
    content[place : place + 4] = (10).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    (tmp_path / "root").mkdir()
    with pytest.raises(InputError, match="archive: expected a complete zip"):
        extract(tmp_path / "a.zip", tmp_path / "root")
    assert tree(tmp_path / "root") == {}


def test_the_published_addresses():
    assert VOC_ARCHIVES["trainval"].md5 == "c52e279531787c972589f7e41ab4ae64"
    assert VOC_ARCHIVES["test"].name == "VOCtest_06-Nov-2007.tar" and len(VOC_ARCHIVES["test"].md5) == 32
    assert [a.name for a in COCO_ARCHIVES.values()] == ["annotations_trainval2014.zip", "train2014.zip", "val2014.zip"]


KILLED = """
import os, shutil, signal, sys
from mlgcn_pyg.datasets.archives import extract

def half_and_die(source, file, seen=[]):
    content = source.read()
    seen.append(content)
    file.write(content if len(seen) < 3 else content[: len(content) // 2])
    file.flush()
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

shutil.copyfileobj = half_and_die
extract(*sys.argv[1:])
"""


def test_a_kill_while_extracting_leaves_no_partial_file_under_its_name(tmp_path):
    made, root = make_zip(tmp_path / "a.zip", FILES), tmp_path / "root"
    root.mkdir()
    words = [sys.executable, "-W", "ignore", "-c", KILLED, str(made), str(root)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = tree(root)
    half = [name for name in left if name.endswith(".partial")]
    assert len(half) == 1 and re.fullmatch(r"data/\.a\.zip\.[0-9a-f]{8}\.partial", half[0])
    assert {name: left[name] for name in left if name not in half} == {n: FILES[n] for n in list(FILES)[:2]}
    assert extract(made, root) == len(FILES) - 2 and tree(root) == FILES

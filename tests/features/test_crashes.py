"""An extraction that ends at any moment is finished by the next one, byte for byte."""

import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache, extract_features
from mlgcn_pyg.features import writer as writer_module
from mlgcn_pyg.features.verification import verify
from mlgcn_pyg.files.locks import locked
from tests.features.small import SmallBackbone, small_scenes


class Killed(BaseException):
    """Stands for a process that is killed: the test must not depend on code that runs afterwards."""


class Disk:
    """Counts file operations, ends the process at a chosen one, and records what a power failure would undo."""

    def __init__(self, monkeypatch, ends_at: int | None, torn: bool = False):
        self.count, self.ends_at, self.torn, self.unsynced = 0, ends_at, torn, []
        self.real = {name: getattr(os, name) for name in ("pwrite", "fdatasync", "fsync", "replace")}
        for name in self.real:
            monkeypatch.setattr(os, name, getattr(self, name))

    def _tick(self) -> bool:
        self.count += 1
        return self.ends_at is not None and self.count >= self.ends_at

    def pwrite(self, handle, data, offset):
        ends = self._tick()
        if ends and not (self.torn and self.count == self.ends_at):
            raise Killed
        data = bytes(data)[: len(data) // 2] if ends else data
        self.unsynced.append((offset, os.pread(handle, len(data), offset)))
        written = self.real["pwrite"](handle, data, offset)
        if ends:
            raise Killed
        return written

    def _sync(self, name, handle):
        if self._tick():
            raise Killed
        self.real[name](handle)
        self.unsynced.clear()

    def fdatasync(self, handle):
        self._sync("fdatasync", handle)

    def fsync(self, handle):
        self._sync("fsync", handle)

    def replace(self, source, target):
        if self._tick():
            raise Killed
        self.real["replace"](source, target)

    def lose_power(self, path: Path, seed: int) -> None:
        """Undoes a random subset of the writes since the last flush, since disks reorder writes."""
        if not path.exists():
            return
        chance = random.Random(seed)
        with open(path, "rb+") as file:
            for offset, old in reversed(self.unsynced):
                if chance.random() < 0.5:
                    file.seek(offset)
                    file.write(old)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return small_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, scenes):
    return extract_features(SmallBackbone(), scenes, tmp_path_factory.mktemp("whole") / "s.h5", batch_size=4)


def extract(scenes, path, **options):
    return extract_features(SmallBackbone(), scenes, path, batch_size=4, **options)


def same(a: FeatureCache, b: FeatureCache) -> bool:
    return bytes(a.features) == bytes(b.features) and a.ids == b.ids and torch.equal(a.targets, b.targets)


@pytest.mark.parametrize("how", ["killed", "torn", "power"])
def test_a_process_that_ends_at_any_file_operation_is_resumed(tmp_path, scenes, whole, how, monkeypatch):
    monkeypatch.setattr(writer_module, "SYNC_SECONDS", 0.0 if how != "power" else 1e9)
    monkeypatch.setattr(writer_module, "SYNC_BYTES", 1 << 28 if how != "power" else 150)  # every third batch
    moment, finished = 1, False
    while not finished:
        path = tmp_path / f"{moment}.h5"
        with monkeypatch.context() as patch:
            disk = Disk(patch, moment, torn=how == "torn")
            try:
                extract(scenes, path)
                finished = True
            except Killed:
                pass
        if how == "power":
            disk.lose_power(tmp_path / f"{moment}.h5.partial", seed=moment)
        if path.exists():  # whatever has the final name is whole, whenever it got it
            assert same(FeatureCache(path), whole) and verify(path).good
        cache = extract(scenes, path)
        assert same(cache, whole) and verify(path).good, moment
        assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]
        path.unlink()
        moment += 1
    assert moment > 20  # it did end at many moments


def test_only_batches_that_are_not_verified_are_computed_again(tmp_path, scenes, whole, monkeypatch):
    path, calls, notes = tmp_path / "s.h5", [], []
    with monkeypatch.context() as patch:
        Disk(patch, 9, torn=True)  # the folder's sync, then rows and checksum of three batches, then half of some rows
        with pytest.raises(Killed):
            extract(scenes, path)
    backbone = SmallBackbone()
    backbone.register_forward_hook(lambda *_: calls.append(1))
    extract_features(backbone, scenes, path, batch_size=4, notify=notes.append)
    assert notes[0].endswith("3 of 6 batches are verified") and len(calls) == 3


def test_a_damaged_batch_is_found_and_computed_again(tmp_path, scenes, whole):
    path = tmp_path / "s.h5"
    extract(scenes, path)
    contents = writer_module.read_contents(path)
    path.rename(tmp_path / "s.h5.partial")
    with open(tmp_path / "s.h5.partial", "rb+") as file:
        file.seek(contents.offset + 5 * contents.row_bytes)
        file.write(b"\x00\x01")
    notes = []
    assert same(extract(scenes, path, notify=notes.append), whole)
    assert notes[0].startswith("1 finished batches of") and "5 of 6 batches are verified" in notes[1]


def test_a_full_disk_is_detected_before_the_work(tmp_path, scenes, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    backbone = SmallBackbone()
    backbone.register_forward_hook(lambda *_: pytest.fail("an image was computed"))
    with pytest.raises(
        InputError, match=r"disk space for .*s.h5.partial, found No space left on device; free disk space"
    ):
        extract_features(backbone, scenes, tmp_path / "s.h5", batch_size=4)


def test_a_disk_that_fills_during_the_work_keeps_finished_batches(tmp_path, scenes, whole, monkeypatch):
    real, room = os.pwrite, [9]

    def fills(handle, data, offset):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fills)
        with pytest.raises(InputError, match="No space left on device; free disk space and run again"):
            extract(scenes, tmp_path / "s.h5")
    notes = []
    assert (
        same(extract(scenes, tmp_path / "s.h5", notify=notes.append), whole)
        and "4 of 6 batches are verified" in notes[0]
    )


def test_a_real_small_disk_that_fills(tmp_path, scenes):
    """A file system of 256 KiB, if this machine allows one to be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system can be made here ({done.stderr.decode().strip()})")
    try:
        data = torch.zeros(4000, 256)
        with pytest.raises((InputError, OSError), match="[Nn]o space left|space"):
            FeatureCache.from_arrays(disk / "f.h5", data, torch.zeros(4000, 1), ["a"])
        assert list(disk.iterdir()) == []
        assert len(extract(scenes, disk / "s.h5")) == 22
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("kilobytes", [4, 8, 16, 24])
def test_a_real_disk_without_room_for_anything(tmp_path, scenes, kilobytes, capfd):
    """HDF5 on a full disk raises errors of many kinds and prints more. The disk is checked before HDF5 writes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", disk], capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system can be made here ({done.stderr.decode().strip()})")
    try:
        with pytest.raises(InputError, match="No space left on device; free disk space and run again"):
            extract(scenes, disk / "s.h5")
        with pytest.raises(InputError, match="No space left on device; free disk space and run again$"):
            FeatureCache.from_arrays(disk / "f.h5", torch.zeros(4000, 16), torch.zeros(4000, 9), list("abcdefghi"))
        assert not (disk / "s.h5").exists() and not (disk / "f.h5").exists()
        assert capfd.readouterr().err == ""
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_an_unfinished_file_without_a_structure_is_begun_again(tmp_path, scenes, whole):
    for start in (b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(3000), bytes(500)):
        (tmp_path / "s.h5.partial").write_bytes(start)
        assert same(extract(scenes, tmp_path / "s.h5"), whole)
        (tmp_path / "s.h5").unlink()


def test_a_different_file_with_the_unfinished_name_is_kept(tmp_path, scenes):
    (tmp_path / "s.h5.partial").write_text("somebody's notes")
    with pytest.raises(InputError, match="an unfinished feature file, found a different file"):
        extract(scenes, tmp_path / "s.h5")
    assert (tmp_path / "s.h5.partial").read_text() == "somebody's notes"


def test_two_writers_at_once(tmp_path, scenes, whole):
    refused = pytest.raises(InputError, match="a file that no other process is writing")
    with locked(tmp_path / "s.h5.partial"), refused:
        extract(scenes, tmp_path / "s.h5")
    assert list(tmp_path.iterdir()) == []  # the lock leaves no empty file
    assert same(extract(scenes, tmp_path / "s.h5"), whole)


def test_a_second_process_is_refused_while_the_first_writes(tmp_path, scenes):
    backbone = SmallBackbone()
    code = (
        "import sys; from tests.features.small import *; from mlgcn_pyg.features import extract_features\n"
        f"extract_features(SmallBackbone(), drawn_scenes({str(scenes.image_paths[0].parent.parent)!r}), "
        f"{str(tmp_path / 's.h5')!r}, batch_size=4)"
    )
    outcome = []

    def interfere(*_):
        if not outcome:
            outcome.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True))

    backbone.register_forward_hook(interfere)
    extract_features(backbone, scenes, tmp_path / "s.h5", batch_size=4)
    assert outcome[0].returncode == 1 and "a file that no other process is writing" in outcome[0].stderr


def test_killed_fifty_times_at_random_moments(tmp_path, scenes, whole):
    """The next process resumes after SIGKILL. No row is lost, repeated or changed."""
    script = Path(__file__).with_name("kill_many.py")
    done = subprocess.run(
        [sys.executable, str(script), str(scenes.image_paths[0].parent.parent), str(tmp_path), "50"],
        capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    killed, files_finished = map(int, done.stdout.split()[-2:])
    assert killed == 50 and files_finished >= 1
    for path in tmp_path.glob("*.h5"):
        assert same(FeatureCache(path), whole) and verify(path).good
    assert not list(tmp_path.glob("*.partial"))


def test_sigkill_releases_the_lock(tmp_path):
    child = os.fork()
    if child == 0:
        try:
            with locked(tmp_path / "x"):
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)  # an error must not continue the test run in the child
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    with locked(tmp_path / "x"):
        pass

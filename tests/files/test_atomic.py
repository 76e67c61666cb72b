"""Files that are complete or absent, also behind symbolic links, and locks."""

import os
import re
import subprocess
import sys

import pytest

from mlgcn_pyg.cli.predictions import open_output
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.atomic import atomic_path, write_text
from mlgcn_pyg.files.locks import locked, locked_folder
from mlgcn_pyg.system import try_lock, unlock


@pytest.fixture(params=["file", "dangling", "relative", "link to a link"])
def link(request, tmp_path):
    """A link and the file that it leads to, in another folder."""
    (tmp_path / "big disk").mkdir()
    target, link = tmp_path / "big disk" / "far.txt", tmp_path / "near.txt"
    if request.param != "dangling":
        target.write_text("before")
    if request.param == "link to a link":
        (tmp_path / "between").symlink_to(target)
        link.symlink_to(tmp_path / "between")
    else:
        link.symlink_to("big disk/far.txt" if request.param == "relative" else target)
    return link, target


def only_target(link, target):
    return link.is_symlink() and not target.is_symlink() and list(target.parent.iterdir()) == [target]


def test_a_link_stays_and_what_it_points_to_is_written(link):
    link, target = link
    write_text(link, "after")
    assert only_target(link, target) and target.read_text() == link.read_text() == "after"


def test_an_unfinished_file_is_in_the_folder_of_the_links_target(link):
    """A file cannot be renamed from one disk to another, and the link may be on a different disk."""
    link, target = link
    before = target.read_text() if target.exists() else None
    with pytest.raises(KeyboardInterrupt), atomic_path(link) as partial:
        partial.write_text("half")
        assert partial.parent == target.parent
        raise KeyboardInterrupt
    assert link.is_symlink() and list(target.parent.iterdir()) == ([] if before is None else [target])
    assert before is None or target.read_text() == before


def test_predictions_through_a_link(link):
    link, target = link
    with open_output(link) as stream:
        stream.write("a line")
        stream.flush()
        assert [file.read_text() for file in target.parent.iterdir() if file != target] == ["a line"]
    assert only_target(link, target) and target.read_text() == "a line"


def test_a_link_into_a_folder_that_is_not_there_yet(tmp_path):
    (tmp_path / "l").symlink_to(tmp_path / "later" / "f")
    write_text(tmp_path / "l", "x")
    assert (tmp_path / "l").is_symlink() and (tmp_path / "later" / "f").read_text() == "x"


def test_two_writers_of_one_number_do_not_write_into_each_others_file(tmp_path):
    """Processes of two containers have the same number, and may share a disk."""
    with atomic_path(tmp_path / "f") as one, atomic_path(tmp_path / "f") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "f").read_text() == "one" and os.listdir(tmp_path) == ["f"]  # whole, the last one's


def test_a_lock_excludes_others_and_leaves_nothing(tmp_path):
    file = tmp_path / "f"
    (tmp_path / ".f.lock").touch()  # a killed process left it
    for hold in (lambda: locked(file), lambda: locked_folder(tmp_path)):
        with hold():
            with pytest.raises(InputError) as refused, hold():
                pass
            assert refused.value.found.endswith("in use by another process")
        assert os.listdir(tmp_path) == []
    with locked(file):
        file.touch()
    assert os.listdir(tmp_path) == []  # no empty file either
    with locked(file):
        file.write_text("content")
    assert os.listdir(tmp_path) == ["f"]


def test_a_file_with_the_name_of_a_lock_is_kept(tmp_path):
    (tmp_path / ".f.lock").write_text("not a lock")
    with locked(tmp_path / "f"):
        pass
    assert (tmp_path / ".f.lock").read_text() == "not a lock"


def test_a_lock_ends_although_a_forked_child_shares_it(tmp_path):
    """Worker processes may live a little longer than the block."""
    ready, write = os.pipe()
    with locked(tmp_path / "f"):
        child = os.fork()
        if child == 0:
            os.read(ready, 1)
            os._exit(0)
    with locked(tmp_path / "f"):
        pass
    os.write(write, b"1")
    os.waitpid(child, 0)


def test_a_forked_child_keeps_the_file_that_has_the_handle_of_a_closed_lock(tmp_path):
    """For example the pipe from which a worker process receives its work."""
    ready, write = os.pipe()
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    assert try_lock(lock)
    os.dup2(ready, lock)  # closes the lock without unlock()
    try:
        os.write(write, b"1")
        child = os.fork()
        if child == 0:
            os._exit(int(os.read(lock, 1) != b"1"))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        unlock(lock)
        for handle in (ready, write, lock):
            os.close(handle)


def test_text_keeps_its_line_ends(tmp_path):
    write_text(tmp_path / "f", "a\nb\r\nc")
    assert (tmp_path / "f").read_bytes() == b"a\nb\r\nc"


KILLED = """
import os, sys
from mlgcn_pyg.files.atomic import atomic_path
with atomic_path(sys.argv[1]) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    path = tmp_path / "f.json"
    subprocess.run([sys.executable, "-c", KILLED, path])
    (left,) = os.listdir(tmp_path)
    assert re.fullmatch(r"\.f\.json\.[0-9a-f]{8}\.partial", left)
    write_text(path, "whole")
    assert os.listdir(tmp_path) == ["f.json"]


def test_only_temporary_files_that_nobody_writes_are_removed(tmp_path):
    """Not those of another name, of a person, or of a writer that is not finished; no link is followed."""
    kept = [".g.12345678.partial", ".f.notes.partial", "f.partial", ".f.1234.partial.txt", ".f.99.partial", "precious"]
    for name in kept:
        (tmp_path / name).write_text("theirs")
    (tmp_path / ".f.99.partial").unlink()
    (tmp_path / ".f.99.partial").symlink_to(tmp_path / "precious")
    with atomic_path(tmp_path / "f") as partial:
        partial.write_text("first")
        write_text(tmp_path / "f", "second")
        assert partial.read_text() == "first"
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "f"]) and (tmp_path / "f").read_text() == "first"
    assert all((tmp_path / name).read_text() == "theirs" for name in kept)


def test_an_unfinished_file_is_kept_only_where_asked_for(tmp_path):
    for kept in ((), (KeyboardInterrupt,)):
        with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "f", kept=kept) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == ([partial] if kept else [])
    write_text(tmp_path / "f", "whole")
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("name", ["f" * 250, "é" * 120, "𝔣" * 60])
def test_a_name_as_long_as_the_file_system_allows(tmp_path, name):
    write_text(tmp_path / name, "x")
    assert os.listdir(tmp_path) == [name]


def test_without_locks_a_temporary_file_may_be_in_use(tmp_path, monkeypatch):
    monkeypatch.setattr("mlgcn_pyg.system.lock_descriptor", no_locks)
    (tmp_path / ".f.12345678.partial").write_text("perhaps in use")
    write_text(tmp_path / "f", "x")
    assert sorted(os.listdir(tmp_path)) == [".f.12345678.partial", "f"]


def no_locks(*arguments, **options):
    raise OSError(95, "Operation not supported")


def test_a_lock_is_no_link(tmp_path):
    """A lock file's name is known beforehand, and others may write into a shared folder."""
    (tmp_path / ".f.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), locked(tmp_path / "f"):
        pass
    assert os.listdir(tmp_path) == [".f.lock"]


def test_the_lock_of_a_killed_process_ends_although_its_worker_lives_on(tmp_path):
    script = """
import os, sys, time
from pathlib import Path
from mlgcn_pyg.files.locks import locked
with locked(Path(sys.argv[1])):
    if os.fork() == 0:
        os.write(1, b"ready")
        time.sleep(60)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path / "f"], stdout=subprocess.PIPE, process_group=0)
    try:
        process.stdout.read(5)
        process.kill()
        process.wait()
        with locked(tmp_path / "f"):
            pass
    finally:
        os.killpg(process.pid, 9)

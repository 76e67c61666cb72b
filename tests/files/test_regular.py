"""Input files must be regular files; opening anything else must not wait."""

import os
import socket
from pathlib import Path

import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.regular import existing_file, open_file


def fifo(folder):
    os.mkfifo(folder / "a.fifo")
    return folder / "a.fifo"


def socket_file(folder):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
    return folder / "s"


def linked_fifo(folder):
    (folder / "a.pt").symlink_to(fifo(folder))
    return folder / "a.pt"


SPECIAL = {
    "FIFO": (fifo, "pipe"),
    "link to a FIFO": (linked_fifo, "pipe"),
    "socket": (socket_file, "socket"),
    "device": (lambda folder: Path("/dev/zero"), "device"),
    "folder": (lambda folder: folder, "folder"),
    "absent": (lambda folder: folder / "absent", "no file"),
    "below a file": (lambda folder: Path(__file__) / "below", "no file"),
    "name too long": (lambda folder: folder / ("x" * 5000), "too long"),
    "NUL": (lambda folder: folder / "a\0b", "null"),
}


@pytest.mark.parametrize("make, found", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("check", [existing_file, open_file])
def test_special_files_are_refused_at_once(make, found, check, tmp_path):
    with pytest.raises(InputError, match=found) as caught:
        check("weights", make(tmp_path))
    assert caught.value.argument == "weights" and "\n" not in str(caught.value)


def test_a_file_that_becomes_a_fifo_after_the_check_is_refused(tmp_path, monkeypatch):
    path = fifo(tmp_path)
    monkeypatch.setattr("mlgcn_pyg.files.regular.existing_file", lambda argument, path: Path(path))
    with pytest.raises(InputError, match="pipe"):
        open_file("path", path)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        open_file("path", path)


def test_a_regular_file_and_a_link_to_it_are_opened(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    (tmp_path / "link").symlink_to(path)
    for name in (path, tmp_path / "link"):
        assert existing_file("path", name) == name
        with open_file("path", name) as file:
            assert file.read() == b"abc"


def test_a_pointer_of_git_lfs_is_recognised(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n")
    for check in (existing_file, open_file):
        with pytest.raises(InputError, match="weights: expected the content of a file, found its Git LFS pointer"):
            check("weights", path)

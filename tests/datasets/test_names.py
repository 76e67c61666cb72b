"""File names from elsewhere: all short names of the relevant characters."""

import ntpath
import posixpath
from itertools import product
from pathlib import Path

import pytest

from mlgcn_pyg.datasets.names import path_below
from mlgcn_pyg.errors import InputError

PARTS = ("a", "..", ".", "/", "\\", "C:", "~")


def escapes(name: str) -> bool:
    """According to how each system joins and normalises the path."""
    posix = posixpath.normpath(posixpath.join("/data/set", name))
    windows = ntpath.normpath(ntpath.join("D:\\data\\set", name))
    return not (posix + "/").startswith("/data/set/") or not (windows + "\\").startswith("D:\\data\\set\\")


def test_no_name_that_leads_out_on_any_system_is_accepted():
    accepted = refused = 0
    for length in range(1, 6):
        for parts in product(PARTS, repeat=length):
            name = "".join(parts)
            try:
                path = path_below("name", Path("/data/set"), name)
            except InputError:
                refused += 1
                continue
            accepted += 1
            assert not escapes(name), name
            assert path == Path("/data/set") / name
    assert accepted > 1000 and refused > 1000


@pytest.mark.parametrize("name", ["a.jpg", "train/a.jpg", "a..b.jpg", "...", "ü ö.jpg", "~/a.jpg", "./a.jpg"])
def test_names_below_the_folder_are_accepted(name):
    assert path_below("name", Path("/data/set"), name) == Path("/data/set") / name


@pytest.mark.parametrize(
    "name", ["", ".", "/", "..", "a/..", "a\0.jpg", "//server/share/a.jpg", "\\\\server\\share\\a"]
)
def test_names_that_are_not_files_below_the_folder_are_refused(name):
    with pytest.raises(InputError, match="name: expected a file below /data/set, found"):
        path_below("name", Path("/data/set"), name)

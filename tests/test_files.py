"""Files that are whole or absent, wherever their names lead."""

import os

import pytest

from mlgcn_pyg.cli.predictions import opened
from mlgcn_pyg.files import atomic_path, write_text


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


def test_a_file_in_the_making_lies_beside_what_a_link_points_to(link):
    """Where the link lies may be another disk: a file cannot be renamed from one to the other."""
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
    with opened(link) as stream:
        stream.write("a line")
        assert (target.parent / "far.txt.partial").exists()
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

"""A folder is complete or absent, and no file of others is lost."""

import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.new_folder import new_folder

FILES = ("a", "b")


def fill(folder, **contents):
    for name, text in contents.items():
        (folder / name).write_text(text)


def test_a_new_an_empty_and_a_replaced_folder(tmp_path):
    path = tmp_path / "deep" / "model"
    with new_folder(path, FILES) as folder:
        fill(folder, a="1")
        assert not path.exists()
    assert (path / "a").read_text() == "1"
    empty = tmp_path / "empty"
    empty.mkdir()
    with new_folder(empty, FILES) as folder:
        fill(folder, b="2")
    assert (empty / "b").read_text() == "2"
    message = r"path: expected a new or empty folder, .*; pass overwrite=True"
    with pytest.raises(InputError, match=message), new_folder(path, FILES):
        pass
    with new_folder(path, FILES, overwrite=True) as folder:
        fill(folder, b="3")
    assert [file.name for file in path.iterdir()] == ["b"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["deep", "empty"]
    assert [one.name for one in path.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_exception_leaves_the_old_folder(tmp_path, error):
    path = tmp_path / "model"
    path.mkdir()
    fill(path, a="old")
    with pytest.raises(error), new_folder(path, FILES, overwrite=True) as folder:
        fill(folder, a="half")
        raise error
    assert (path / "a").read_text() == "old" and [one.name for one in tmp_path.iterdir()] == ["model"]


def test_files_of_others_are_never_replaced(tmp_path):
    path = tmp_path / "photos"
    path.mkdir()
    fill(path, a="1", holiday="x")
    with pytest.raises(InputError, match="holiday in"), new_folder(path, FILES, overwrite=True):
        pass
    (path / "holiday").unlink()
    (path / "a").unlink()
    (path / "a").mkdir()
    with pytest.raises(InputError, match="a in"), new_folder(path, FILES, overwrite=True):
        pass
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="a folder, found the file"),
        new_folder(tmp_path / "file", FILES, overwrite=True),
    ):
        pass


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(InputError, match="holiday"), new_folder(path, FILES, overwrite=True) as folder:
        fill(folder, a="1")
        path.mkdir()
        fill(path, holiday="x")
    assert (path / "holiday").read_text() == "x"

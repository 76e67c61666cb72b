"""The scripts that are written beside an ONNX file."""

import pytest

from mlgcn_pyg.checkpoints import write_server
from mlgcn_pyg.checkpoints.onnx_scripts import NETWORK, PAGE, SCRIPTS, SERVER
from mlgcn_pyg.errors import InputError


def test_the_scripts_are_copies_and_are_written_once(tmp_path):
    assert write_server(tmp_path / "new") == tmp_path / "new" / SERVER
    for name in (NETWORK, PAGE, SERVER):
        assert (tmp_path / "new" / name).read_bytes() == (SCRIPTS / name).read_bytes()
    before = (tmp_path / "new" / PAGE).stat().st_mtime_ns
    (tmp_path / "new" / NETWORK).unlink()
    write_server(tmp_path / "new")
    assert (tmp_path / "new" / PAGE).stat().st_mtime_ns == before and (tmp_path / "new" / NETWORK).exists()


@pytest.mark.parametrize("name", [NETWORK, PAGE, SERVER])
def test_a_file_that_a_user_changed_is_kept(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"folder: expected no other file of the name {name}, found .*; move it"):
        write_server(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "mine"


def test_a_folder_in_place_of_a_script_is_refused(tmp_path):
    (tmp_path / SERVER).mkdir()
    with pytest.raises(InputError, match="expected no other file"):
        write_server(tmp_path)


def test_every_script_is_in_the_list():
    assert {path.name for path in SCRIPTS.iterdir() if path.is_file()} == {NETWORK, PAGE, SERVER}

"""Which checkpoint a path stands for."""

from pathlib import Path

import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.hub import is_hub_name
from mlgcn_pyg.files.runs import checkpoint_file, checkpoint_files, files_of
from tests.hub.hub_server import disconnect


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    "names, found",
    [
        (["recommended.pt", "linear-seed0.pt", "mlgcn-seed0.pt"], ["recommended.pt"]),
        (["last.pt", "best.pt"], ["last.pt"]),
        (["linear-seed0.pt", "mlgcn-seed0.pt"], ["linear-seed0.pt", "mlgcn-seed0.pt"]),
        (["config.json", "model.safetensors"], ["."]),
        (["notes.txt"], []),
    ],
)
def test_folders(tmp_path, names, found):
    touched(tmp_path, *names)
    assert checkpoint_files(tmp_path) == [tmp_path / name for name in found]
    if len(found) == 1:
        assert checkpoint_file(str(tmp_path)) == tmp_path / found[0]
    else:
        with pytest.raises(InputError, match="path: expected one checkpoint, found"):
            checkpoint_file(tmp_path)


def test_files_that_are_read(tmp_path):
    assert files_of(tmp_path / "a.pt") == [tmp_path / "a.pt"]
    assert files_of(tmp_path) == [tmp_path / "config.json", tmp_path / "model.safetensors"]


def test_names_on_the_hub(monkeypatch):
    assert is_hub_name("hub:me/x@v1") and is_hub_name(Path("hub:me/x")) and not is_hub_name("me/x")
    disconnect(monkeypatch)
    for name in ("hub:", "hub:@main", "hub:a/b/c", "hub:--", "hub:mlgcn-pyg-tests/absent", "hub:x\n"):
        with pytest.raises(InputError, match="^path: expected ") as caught:
            checkpoint_file(name)
        assert "\n" not in str(caught.value)

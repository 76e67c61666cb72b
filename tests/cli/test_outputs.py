"""No output replaces an input, endings decide formats, and ``~`` is the home folder: for every command alike."""

import os
from pathlib import Path
from typing import get_type_hints

import pytest
import typer

from mlgcn_pyg.cli.inputs import check_dataset
from mlgcn_pyg.cli.main import app
from mlgcn_pyg.cli.options import OUTPUT
from mlgcn_pyg.cli.outputs import EXPORTS, OUTPUTS, PREDICTIONS, check_inputs, chosen_format
from mlgcn_pyg.cli.paths import FOLDERS, _is_path, prepare_paths
from mlgcn_pyg.errors import Argument, InputError
from tests.cli.test_errors import command

# a value for each output, and for each input that may be a file
GIVEN = {
    "graph": {"out": "g.pt", "plot": "g.png"},
    "embed": {"out": "e.pt"},
    "import-released": {"out": "folder"},
    "extract": {"out": "f.h5"},
    "train-head": {"out": "folder"},
    "train": {"out": "folder"},
    "evaluate": {"out": "e.json"},
    "report": {"out": "r.html"},
    "classifiers": {"out": "c.png"},
    "retrieve": {"out": "r.png"},
    "predict": {"out": "p.csv"},
    "explain": {"out": "x.png"},
    "export": {"out": "x.onnx"},
}
INPUTS = [
    (name, parameter, option)
    for name, outputs in GIVEN.items()
    for parameter, annotation in get_type_hints(command(name).callback).items()
    if parameter not in ("out", "plot", *FOLDERS) and (_is_path(annotation) or parameter == "weights")
    for option in outputs
]


def prepare(name, **values):
    prepare_paths(command(name), {parameter.name: None for parameter in command(name).params} | values)


def replaced(folder, name, option):
    """A file that the output of a command would replace."""
    output = OUTPUTS[name][option]
    if output.endings:
        return folder / GIVEN[name][option]
    (folder / "folder").mkdir()
    return folder / "folder" / output.files[0].replace("*", "mlgcn")


def several(name, parameter, path):
    annotation = str(get_type_hints(command(name).callback)[parameter])
    return [path] if "list" in annotation else path


def test_every_output_of_every_command_is_checked():
    root = typer.main.get_command(app)
    for group in (root, root.commands["cache"], root.commands["data"]):
        for name, each in group.commands.items():
            if name in ("cache", "data"):
                continue
            hints = get_type_hints(each.callback)
            panels = {p.name: getattr(p, "rich_help_panel", None) for p in each.params}
            found = {p for p, panel in panels.items() if panel == OUTPUT and _is_path(hints[p])}
            assert found == set(OUTPUTS.get(name, {})), name


@pytest.mark.parametrize("kind", ["itself", "link", "hard link", "link to the input"])
@pytest.mark.parametrize("name, parameter, option", INPUTS)
def test_no_output_replaces_an_input(tmp_path, name, parameter, option, kind):
    target = replaced(tmp_path, name, option)
    read = target if kind == "itself" else tmp_path / "input"
    if kind == "link to the input":
        read.write_text("precious")
        target.symlink_to(read)
    else:
        target.write_text("precious")
    if kind == "link":
        read.symlink_to(target)
    elif kind == "hard link":
        os.link(target, read)
    value = str(read) if parameter == "weights" else read
    values = {o: tmp_path / path for o, path in GIVEN[name].items()} | {parameter: several(name, parameter, value)}
    with pytest.raises(InputError) as refused:
        prepare(name, **values)
    assert refused.value.argument == option and refused.value.expected == "a different file than the input files"
    assert Argument(parameter) in refused.value.fix
    other = tmp_path / "other"
    other.write_text("something else")
    value = str(other) if parameter == "weights" else other
    prepare(name, **(values | {parameter: several(name, parameter, value)}))


def test_the_unfinished_file_of_an_extraction_is_no_input(tmp_path):
    (tmp_path / "f.h5.partial").touch()
    with pytest.raises(InputError, match="out: expected a different file than the input files, found .*f.h5.partial"):
        prepare("extract", out=tmp_path / "f.h5", weights=str(tmp_path / "f.h5.partial"))


def test_files_of_a_data_set_and_of_a_pattern_are_inputs(tmp_path):
    (tmp_path / "annotations").mkdir()
    photo, listed, part = tmp_path / "a.png", tmp_path / "annotations" / "train.json", tmp_path / "part-1.h5"
    for file in (photo, listed, part):
        file.touch()

    class Data:
        image_paths = (photo,)

    prepare("graph", out=tmp_path / "g.pt", plot=photo, root=tmp_path)
    with pytest.raises(InputError, match="plot: expected a different file"):
        check_dataset(Data, tmp_path)
    (tmp_path / "m.json").symlink_to(listed)
    prepare("evaluate", out=tmp_path / "m.json")
    with pytest.raises(InputError, match="out: expected a different file"):
        check_dataset(Data, tmp_path)
    (tmp_path / "p.json").symlink_to(part)
    with pytest.raises(InputError, match="out: expected a different file"):
        prepare("evaluate", out=tmp_path / "p.json", cache=tmp_path / "part-*.h5")
    prepare("evaluate", out=tmp_path / "new.json", cache=tmp_path / "part-*.h5")
    check_inputs([photo, listed, part, tmp_path / "absent", "a\0b"], "root")


@pytest.mark.parametrize("name, option", [(n, o) for n, outputs in OUTPUTS.items() for o in outputs])
def test_unknown_endings_are_refused(tmp_path, name, option):
    endings = OUTPUTS[name][option].endings
    if not endings:
        pytest.skip("a folder")
    for ending in endings:
        prepare(name, **{option: tmp_path / f"x{ending}"})
        prepare(name, **{option: tmp_path / f"x{ending.upper()}"})
    for wrong in ("x", "x.txt.gz", f"x{endings[0]}x", ".pt", f"x{endings[0]}."):
        with pytest.raises(InputError, match="expected a name that ends in"):
            prepare(name, **{option: tmp_path / wrong})


def test_an_ending_decides_the_format():
    assert [chosen_format(None, Path("x" + ending), EXPORTS) for ending in EXPORTS] == list(EXPORTS.values())
    assert chosen_format("jsonl", Path("x.JSONL"), PREDICTIONS) == "jsonl"
    assert (
        chosen_format(None, None, PREDICTIONS, "table") == "table" and chosen_format("csv", None, PREDICTIONS) == "csv"
    )
    with pytest.raises(InputError, match="ends in .onnx for --format onnx, found x.pt2"):
        chosen_format("onnx", Path("x.pt2"), EXPORTS)


def test_two_outputs_are_two_files(tmp_path):
    (tmp_path / "g.png").symlink_to(tmp_path / "g.pt")
    for _ in range(2):  # absent, then there
        with pytest.raises(InputError, match="plot: expected a different file than --out"):
            prepare("graph", out=tmp_path / "g.pt", plot=tmp_path / "g.png")
        (tmp_path / "g.pt").touch()


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "w.pth").touch()
    values = {"out": Path("~/x.pt"), "weights": "~/w.pth", "checkpoint": Path("~/w.pth"), "format": "~"}
    prepare_paths(command("export"), values)
    expected = {"out": tmp_path / "x.pt", "weights": f"{tmp_path}/w.pth", "checkpoint": tmp_path / "w.pth"}
    assert values == expected | {"format": "~"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~draft of mine").touch()
    images = {"images": [Path("~/w.pth"), Path("./~draft of mine")], "checkpoint": Path("~")}
    prepare_paths(command("predict"), images)
    assert images == {"images": [tmp_path / "w.pth", Path("~draft of mine")], "checkpoint": tmp_path}
    with pytest.raises(InputError, match="the home folder of a user who does not exist"):
        prepare("export", out=Path("~nobody-of-this-name/x.pt"))

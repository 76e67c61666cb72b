"""``mlgcn export``: exports trained heads and networks."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.inputs import checkpoint_file, open_checkpoint
from mlgcn_pyg.cli.options import OUTPUT, choice, option, takes
from mlgcn_pyg.cli.outputs import EXPORTS, chosen_format, make_folder
from mlgcn_pyg.cli.whole_model import WHOLE_MODEL, ModelOptions
from mlgcn_pyg.errors import Argument, InputError, renamed_arguments
from mlgcn_pyg.files.atomic import behind_links

if TYPE_CHECKING:  # this loads torch
    from mlgcn_pyg.checkpoints import Checkpoint

FORMATS = tuple(EXPORTS.values())


@takes(model=WHOLE_MODEL)
def export(
    model: ModelOptions,
    out: Annotated[Path, option("The file to write. Its ending decides the format.", OUTPUT)],
    format: Annotated[
        str | None,
        choice("linear (.safetensors: one linear classifier), onnx (.onnx), torch (.pt2: torch.export), or model (.pt: "
               "backbone and head in one checkpoint).", OUTPUT, FORMATS, show_default="from the ending of --out"),
    ] = None,
    server: Annotated[
        bool, option("Write a web server for the ONNX file beside it, which requires no torch.", OUTPUT, "--server")
    ] = False,
) -> None:  # fmt: skip
    """Export a head or a network, and verify the exported file."""
    if format is not None:
        check_choice("format", format, FORMATS)
    format = chosen_format(format, out, EXPORTS)
    if server:
        _check_server(out, format)
    if format == "linear":
        _write_linear(checkpoint_file(model.checkpoint), out)
    elif format == "model":
        _write_model(model, out)
    else:
        _write_program(model, out, format)
    if format == "onnx":
        _name_server(out, server)


def _write_linear(checkpoint: Path, out: Path) -> None:
    from mlgcn_pyg.checkpoints import save_linear

    loaded = open_checkpoint(checkpoint)
    config = loaded.config | ({"features": loaded.provenance} if loaded.provenance else {})
    _make_place(out)
    save_linear(out, loaded.head, config=config, thresholds=loaded.thresholds, image_size=loaded.image_size)
    _report(out, f"weight ({loaded.head.num_labels}, {loaded.head.num_features})")


def _write_model(model: ModelOptions, out: Path) -> None:
    from mlgcn_pyg.checkpoints import load_checkpoint, save_model

    whole = model.open()
    if whole.image_size is None:
        raise InputError("image_size", "the size of the images", "none in the checkpoint")
    _make_place(out)
    save_model(out, whole.model, image_size=whole.image_size, config=whole.config, thresholds=whole.thresholds)
    load_checkpoint(out)
    _report(out, f"{_backbone_name(whole)} and a head for {whole.head.num_labels} labels")


def _write_program(model: ModelOptions, out: Path, format: str) -> None:
    from mlgcn_pyg.checkpoints import export_onnx, export_torch

    whole = model.open()
    _make_place(out)
    with console.status(f"exporting {_backbone_name(whole)}"), renamed_arguments(path="out"):
        written = (export_onnx if format == "onnx" else export_torch)(out, whole)
    sides = whole.image_size if written.least_side is None else ("height", "width")
    shape = f"({', '.join(map(str, ('batch', 3, *(sides or ()))))})"
    if (written.least_side or 1) > 1:
        shape += f" of at least {written.least_side} pixels a side"
    _report(out, f"images {shape} → logits, which differ from PyTorch's by at most {written.difference:.1g}")


def _make_place(out: Path) -> None:
    make_folder("out", behind_links(out).parent)


def _check_server(out: Path, format: str) -> None:
    from mlgcn_pyg.checkpoints.onnx_scripts import server_files

    if format != "onnx":
        raise InputError("server", "an ONNX file", out, ["change the ending, or leave out ", Argument("server")])
    with renamed_arguments(folder="server"):
        server_files(out.parent)


def _name_server(out: Path, server: bool) -> None:
    """Writes the server beside an ONNX file, and names the command that starts it or writes it."""
    from mlgcn_pyg.checkpoints import write_server

    if not server:
        return console.note("A web server for this file: the same command with --server")
    command = shlex.join(["python", str(write_server(out.parent)), str(out)])
    console.note(f"Serve it: {command}   # pip install fastapi uvicorn onnxruntime pillow")


def _backbone_name(whole: "Checkpoint") -> str:
    return "a head" if whole.backbone is None else whole.backbone.name


def _report(out: Path, content: str) -> None:
    console.say(f"Wrote {out} ({out.stat().st_size / 1e6:.1f} MB): {content}")

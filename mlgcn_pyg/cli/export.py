"""``mlgcn export``: trained networks for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.cli import common, console, whole_model
from mlgcn_pyg.cli.inputs import open_checkpoint
from mlgcn_pyg.errors import InputError, renamed_arguments

FORMATS = ("linear", "onnx", "torch", "model")


def export(
    checkpoint: whole_model.CheckpointFile,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    format: Annotated[
        str,
        typer.Option(
            help="linear (.safetensors: one classifier per label), onnx, torch (.pt2, torch.export), or model "
            "(.pt: backbone and head in one checkpoint)."
        ),
    ],
    backbone: whole_model.BackboneName = None,
    weights: whole_model.WeightsFile = None,
    pool: whole_model.Pool = None,
    image_size: whole_model.ImageSize = None,
) -> None:
    """Write a head or a network, its GCN folded away, and check what was written by running it."""
    check_choice("format", format, FORMATS)
    _check_out(out, checkpoint, format)
    if format == "linear":
        return _linear(checkpoint, out)
    from mlgcn_pyg.checkpoints import export_onnx, export_torch, load_checkpoint, save_model

    whole = whole_model.open_model(checkpoint, backbone, weights, pool, image_size)
    if format == "model":
        save_model(out, whole.model, image_size=whole.image_size, config=whole.config, thresholds=whole.thresholds)
        load_checkpoint(out)
        return _told(out, f"{whole.backbone.name} and a head of {whole.head.num_labels} labels")
    with console.err.status(f"exporting {whole.backbone.name}"), renamed_arguments(path="out"):
        done = (export_onnx if format == "onnx" else export_torch)(out, whole)
    sides = whole.image_size if done.least_side is None else ("height", "width")
    shape = f"({', '.join(map(str, ('batch', 3, *sides)))})"
    shape += f", sides of {done.least_side} pixels or more" if (done.least_side or 1) > 1 else ""
    _told(out, f"images {shape} → logits, at most {done.difference:.1g} from PyTorch's when run")


def _check_out(out: Path, checkpoint: Path, format: str) -> None:
    common.check_result("out", out, checkpoint, called="the checkpoint", lost="what was trained")
    if (out.suffix == ".safetensors") != (format == "linear"):
        expected = f"a name that {'ends' if format == 'linear' else 'does not end'} in .safetensors"
        raise InputError("out", f"{expected} for --format {format}", out, "linear exports are known by their name")


def _linear(checkpoint: Path, out: Path) -> None:
    from mlgcn_pyg.checkpoints import save_linear

    loaded = open_checkpoint(checkpoint)
    config = loaded.config | ({"features": loaded.provenance} if loaded.provenance else {})
    save_linear(out, loaded.head, config=config, thresholds=loaded.thresholds, image_size=loaded.image_size)
    _told(out, f"weight ({loaded.head.num_labels}, {loaded.head.num_features})")


def _told(out: Path, what: str) -> None:
    console.out.print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB): {what}", soft_wrap=True)

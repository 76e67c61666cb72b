"""``mlgcn extract``: photographs to a feature file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.cli import common, console
from mlgcn_pyg.cli.inputs import open_checkpoint, open_graph
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files import partial_path


@common.opens_dataset
def extract(
    open_data: Callable,
    out: Annotated[Path, typer.Option(help="The feature file (.h5); until it is finished, <out>.partial.")],
    backbone: Annotated[
        str | None, typer.Option(help="A torchvision classification model (resnet101), or timm:<name>.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="A .pth or .safetensors file, DEFAULT (downloaded; the default), or none for random weights."
        ),
    ] = None,
    pool: Annotated[str | None, typer.Option(help="max (the paper; the default) or avg.")] = None,
    image_size: Annotated[str | None, typer.Option(help="Side in pixels (448), or HEIGHTxWIDTH.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A network of mlgcn train: its backbone, in place of these four.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images per pass.")] = 16,
    dtype: Annotated[str, typer.Option(help="float16 or float32.")] = "float16",
    precision: Annotated[str, typer.Option(help="Of the arithmetic: float32, bf16 or fp16 (autocast).")] = "float32",
    views: Annotated[int, typer.Option(help="Views per image: the plain one and augmented ones to train on.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the augmented views.")] = 0,
    shard: Annotated[
        str | None, typer.Option(help="Only a part, for machines that share nothing: 0/4, 1/4, 2/4 or 3/4 of four.")
    ] = None,
    num_workers: Annotated[int, typer.Option(help="Processes that decode images.")] = 0,
    on_error: Annotated[str, typer.Option(help="stop or skip, where an image does not decode.")] = "stop",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file of other content.")] = False,
    device: common.Device = "auto",
    graph: Annotated[Path | None, typer.Option(help="Table: take the labels and their order from this graph.")] = None,
) -> None:
    """Run a backbone over photographs once and keep its features."""
    import torch

    from mlgcn_pyg.datasets import eval_transform, train_transform
    from mlgcn_pyg.features import extract_features
    from mlgcn_pyg.prediction.opening import check_accepts

    names = None if graph is None else open_graph(graph).label_names
    torch.manual_seed(seed)  # random weights are the same weights when the run goes on
    model, size = _open_backbone(checkpoint, backbone, weights, pool, image_size)
    data = open_data(transform=eval_transform(size), label_names=names)
    check_accepts(model, size)
    options = {"batch_size": batch_size, "dtype": dtype, "precision": precision, "num_workers": num_workers}
    options |= {"on_error": on_error, "overwrite": overwrite, "shard": _shard(shard)}
    options |= {"views": views, "view_transform": train_transform(size), "seed": seed}
    told = []
    try:
        with console.progress_bar(model.name, len(data)) as update:
            device = common.pick_device(device)
            options |= {"progress": update, "notify": told.append}
            cache = extract_features(model, data, out, device=device, **options)
    except KeyboardInterrupt:
        partial = partial_path(out)
        what = f"finished batches are in {partial}" if partial.exists() else "nothing is written yet"
        console.out.print(f"stopped; {what}: run the same command to go on", soft_wrap=True)
        raise typer.Exit(130) from None
    finally:
        for sentence in told:
            console.out.print(sentence, soft_wrap=True)
    if skipped := cache.meta["skipped"]:
        console.out.print(f"skipped {len(skipped)} images that do not decode: {', '.join(skipped)}", soft_wrap=True)
    console.out.print(f"{out}: {cache}", soft_wrap=True)


def _open_backbone(
    checkpoint: Path | None, backbone: str | None, weights: str | None, pool: str | None, image_size: str | None
):
    """The backbone of the options or of a whole network, and the size of its photographs."""
    from mlgcn_pyg.nn import Backbone

    if checkpoint is None:
        weights = None if weights == "none" else weights or "DEFAULT"
        return Backbone(backbone or "resnet101", weights, pool or "max"), common.sides(image_size or "448")
    for argument, value in (("backbone", backbone), ("weights", weights), ("pool", pool), ("image_size", image_size)):
        if value is not None:
            raise InputError(argument, "none, since the checkpoint says it", repr(value))
    loaded = open_checkpoint(checkpoint)
    return loaded.model.backbone, loaded.image_size


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise InputError("shard", "i/n such as 0/4, i from 0", repr(text))
    return int(match[1]), int(match[2])

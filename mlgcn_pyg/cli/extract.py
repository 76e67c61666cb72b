"""``mlgcn extract``: computes the features of images and writes a feature file."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.dataset_options import DATASET, DatasetOptions
from mlgcn_pyg.cli.inputs import checkpoint_file, open_checkpoint, open_graph
from mlgcn_pyg.cli.options import COMPUTATION, DATA, MODEL, OUTPUT, choice, option, takes
from mlgcn_pyg.cli.streams import exit_code
from mlgcn_pyg.cli.values import parse_image_size, parse_weights, pick_device, pick_workers
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.atomic import partial_path

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.features import FeatureCache
    from mlgcn_pyg.nn import Backbone

DTYPES = ("float16", "float32")
PRECISIONS = ("float32", "bf16", "fp16")


@takes(data=DATASET)
def extract(
    *,
    context: typer.Context,
    data: DatasetOptions,
    graph: Annotated[Path | None, option("table: use the labels of this graph, in their order.", DATA)] = None,
    views: Annotated[int, option("Views per image: the image itself and views - 1 augmented ones.", DATA)] = 1,
    seed: Annotated[int, option("Seed of the augmented views.", DATA)] = 0,
    shard: Annotated[
        str | None, option("Extract one part only, i/n: 0/4, 1/4, 2/4 or 3/4 for four machines.", DATA)
    ] = None,
    on_error: Annotated[
        str, choice("Images that cannot be decoded: stop, or skip them.", DATA, ("stop", "skip"))
    ] = "stop",
    backbone: options.BackboneName = "resnet101",
    weights: options.Weights = "DEFAULT",
    pool: options.Pool = "max",
    image_size: options.ImageSize = "448",
    checkpoint: Annotated[
        Path | None, option("Use the backbone of this network (mlgcn train) instead of the four options above.", MODEL)
    ] = None,
    batch_size: options.BatchSize = 16,
    precision: Annotated[
        str, choice("Precision of the backbone: float32, bf16 or fp16.", COMPUTATION, PRECISIONS)
    ] = "float32",
    num_workers: options.AutoWorkers = None,
    device: options.Device = "auto",
    out: Annotated[Path, option("The feature file (.h5). Its name is OUT.partial until it is complete.", OUTPUT)],
    dtype: Annotated[str, choice("Type of the stored features: float16 or float32.", OUTPUT, DTYPES)] = "float16",
    overwrite: Annotated[bool, option("Replace a file with different content.", OUTPUT, "--overwrite")] = False,
) -> None:
    """Compute the features of all images once and store them."""
    import torch

    from mlgcn_pyg.datasets import eval_transform, train_transform
    from mlgcn_pyg.features import extract_features
    from mlgcn_pyg.nn import Backbone
    from mlgcn_pyg.prediction.opening import check_accepts

    check_choice("precision", precision, PRECISIONS)
    part = _parse_shard(shard)
    names = None if graph is None else open_graph(graph).label_names
    torch.manual_seed(seed)  # so that a resumed run has the same random weights
    if checkpoint is not None:
        checkpoint = checkpoint_file(checkpoint)
    if checkpoint is None:
        model, size = Backbone(backbone, parse_weights(weights), pool), parse_image_size(image_size)
    else:
        model, size = _open_backbone(checkpoint, context)
    dataset = data.open(eval_transform(size), names)
    check_accepts(model, size)
    messages: list[str] = []
    chosen = pick_device(device)
    try:
        with console.progress_bar(model.name, len(dataset)) as update:
            cache = extract_features(
                model, dataset, out, batch_size=batch_size, device=chosen, dtype=dtype,
                precision=precision, views=views, view_transform=train_transform(size), seed=seed,
                num_workers=pick_workers(num_workers, chosen), on_error=on_error, shard=part, overwrite=overwrite,
                progress=update, notify=messages.append,
            )  # fmt: skip
    except (KeyboardInterrupt, SystemExit) as stop:
        raise _interrupted(out, stop) from None
    finally:
        for message in messages:
            console.say(message)
    _report(out, cache)
    console.say(f"Next: {_next(out, checkpoint, shard, graph)}")


def _next(out: Path, checkpoint: Path | None, shard: str | None, graph: Path | None) -> str:
    """Returns the command that follows: training of heads, or the report of the network that computed the features."""
    features = shlex.quote(str(out)) if shard is None else "FILES.h5"
    if checkpoint is None:
        train = features if "train" in out.stem else "TRAIN.h5"
        val = features if "val" in out.stem else "VAL.h5"
        labels = "" if graph is None else f"--graph {shlex.quote(str(graph))} "
        return f"mlgcn train-head {labels}--train {train} --val {val} --out runs/heads"
    if checkpoint.is_dir():  # a saved model, without the files of its run
        return f"mlgcn evaluate --checkpoint {shlex.quote(str(checkpoint))} --cache {features}"
    return f"mlgcn report {shlex.quote(str(checkpoint.parent))} --cache {features}"


def _interrupted(out: Path, stop: BaseException) -> typer.Exit:
    partial = partial_path(out)
    state = f"Finished batches are in {partial}." if partial.exists() else "Nothing has been written."
    console.say(f"Interrupted. {state} Run the same command to resume.")
    return typer.Exit(exit_code(stop))


def _report(out: Path, cache: "FeatureCache") -> None:
    if skipped := cache.meta["skipped"]:
        console.say(f"Skipped {len(skipped)} images that cannot be decoded: {', '.join(skipped)}")
    console.say(f"{out}: {cache}")


def _open_backbone(checkpoint: Path, context: typer.Context) -> "tuple[Backbone, tuple[int, int]]":
    """Returns the backbone of a whole network and its image size."""
    for argument in ("backbone", "weights", "pool", "image_size"):
        source = context.get_parameter_source(argument)
        if source is not None and source.name == "COMMANDLINE":
            value = repr(context.params[argument])
            raise InputError(argument, "no value, since the checkpoint records it", value)
    loaded = open_checkpoint(checkpoint)
    if loaded.backbone is None or loaded.image_size is None:
        raise InputError("checkpoint", "a whole network (mlgcn train)", f"a head alone in {checkpoint}")
    return loaded.backbone, loaded.image_size


def _parse_shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise InputError("shard", "i/n such as 0/4, with 0 ≤ i < n", repr(text))
    return int(match[1]), int(match[2])

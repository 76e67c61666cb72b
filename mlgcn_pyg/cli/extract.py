"""``mlgcn extract``: photographs to a feature file."""

from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.checks import InputError, bad_input, first_line
from mlgcn_pyg.cli import common


def extract(
    dataset: common.Dataset,
    root: common.Root,
    out: Annotated[Path, typer.Option(help="The feature file (.h5); it appears when it is complete.")],
    split: common.Split = None,
    backbone: Annotated[str, typer.Option(help="A torchvision classification model, or timm:<name>.")] = "resnet101",
    weights: Annotated[
        str, typer.Option(help="A .pth or .safetensors file, DEFAULT (downloaded), or none for random weights.")
    ] = "DEFAULT",
    pool: Annotated[str, typer.Option(help="max (the paper) or avg.")] = "max",
    image_size: Annotated[int, typer.Option(help="Side in pixels.")] = 448,
    batch_size: Annotated[int, typer.Option(help="Images per pass.")] = 16,
    dtype: Annotated[str, typer.Option(help="float16 or float32.")] = "float16",
    num_workers: Annotated[int, typer.Option(help="Processes that decode images.")] = 0,
    on_error: Annotated[str, typer.Option(help="stop or skip, where an image does not decode.")] = "stop",
    device: common.Device = "auto",
    graph: Annotated[Path | None, typer.Option(help="Table: take the labels and their order from this graph.")] = None,
    labels: common.Labels = None,
    image_column: common.ImageColumn = "image",
    labels_column: common.LabelsColumn = None,
    separator: common.Separator = ";",
) -> None:
    """Run a backbone over photographs once and keep its features."""
    from mlgcn_pyg.datasets import eval_transform
    from mlgcn_pyg.features import extract_features
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.nn import Backbone

    names = None if graph is None else LabelGraph.load(graph).label_names
    transform = eval_transform(image_size)
    data = common.open_dataset(dataset, root, split, labels, image_column, labels_column, separator, transform, names)
    model = Backbone(backbone, None if weights == "none" else weights, pool)
    _try_once(model, image_size)
    with common.progress_bar(backbone, len(data)) as update:
        cache = extract_features(
            model,
            data,
            out,
            batch_size=batch_size,
            device=common.pick_device(device),
            dtype=dtype,
            num_workers=num_workers,
            on_error=on_error,
            progress=update,
        )
    if skipped := cache.meta["skipped"]:
        common.out.print(f"skipped {len(skipped)} images that do not decode: {', '.join(skipped)}", soft_wrap=True)
    common.out.print(f"wrote {out}: {cache}", soft_wrap=True)


def _try_once(backbone, image_size: int) -> None:
    """One blank image through the backbone, before any photograph is decoded."""
    import torch

    try:
        with torch.inference_mode():
            backbone.eval()(torch.zeros(1, 3, image_size, image_size))
    except (InputError, RuntimeError) as error:
        found = f"{image_size} ({first_line(error)})"
        raise bad_input(
            "image_size", f"an image that {backbone.name} can take", found, fix="take 224 or more"
        ) from error

"""``mlgcn predict``: which labels photographs have."""

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.checks import check_choice, check_count, check_finite, check_number, check_positive
from mlgcn_pyg.cli import common, whole_model
from mlgcn_pyg.cli.predictions import Prediction, line_writer, opened, printable
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files import partial_path

FORMATS = ("table", "jsonl", "csv")


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(help="Photographs, and folders that are searched for them (not through links to folders)."),
    ],
    checkpoint: whole_model.CheckpointFile,
    backbone: whole_model.BackboneName = None,
    weights: whole_model.WeightsFile = None,
    pool: whole_model.Pool = None,
    image_size: whole_model.ImageSize = None,
    top_k: Annotated[int | None, typer.Option(help="The k most likely labels (above --threshold, if given).")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Labels of a higher probability; else the checkpoint's thresholds, else 0.5.")
    ] = None,
    format: Annotated[str, typer.Option(help="table, jsonl or csv.")] = "table",
    out: Annotated[Path | None, typer.Option(help="A file for the predictions; else standard output.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per pass.")] = 16,
    num_workers: Annotated[int, typer.Option(help="Processes that decode images.")] = 0,
    device: common.Device = "auto",
) -> None:
    """Name the labels of photographs. Exit code 1 where some could not be read."""
    from mlgcn_pyg.prediction.photographs import find_images

    check_choice("format", format, FORMATS)
    check_positive("batch_size", batch_size)
    check_count("num_workers", num_workers)
    paths, device = find_images(images), common.pick_device(device)
    model = whole_model.open_model(checkpoint, backbone, weights, pool, image_size)
    if top_k is not None:
        check_positive("top_k", top_k)
    cuts = decision_cuts(model, threshold, top_k)
    if cuts is model.thresholds:
        common.err.print(f"labels above the thresholds in {checkpoint} (mlgcn thresholds)", soft_wrap=True)
    predictions = predict_images(
        model, paths, cuts, top_k, batch_size=batch_size, num_workers=num_workers, device=device
    )
    broken = _write(predictions, paths, format, out)
    if out is not None:
        common.err.print(f"wrote {out}: {len(paths) - broken} images", soft_wrap=True)
    if broken:
        common.err.print(f"{broken} of {len(paths)} images could not be read", soft_wrap=True)
        raise typer.Exit(1)


def decision_cuts(checkpoint, threshold: float | None, top_k: int | None):
    """(C,) float64: the logits above which labels are predicted."""
    import torch

    if threshold is not None:
        t = check_number("threshold", threshold, 0, 1)
        cut = -math.inf if t == 0 else math.inf if t == 1 else math.log(t) - math.log1p(-t)
    elif top_k is not None:
        cut = -math.inf
    elif checkpoint.thresholds is not None:
        return checkpoint.thresholds
    else:
        cut = 0.0
    return torch.full((len(checkpoint.label_names),), cut, dtype=torch.float64)


def predict_images(
    checkpoint, paths: Sequence[Path], cuts, top_k: int | None = None, *, batch_size: int, num_workers: int, device: str
) -> Iterator[list[Prediction]]:
    """Yields the predictions of one batch after the other; nothing of a batch is kept."""
    import torch

    from mlgcn_pyg.checkpoints import fold_model
    from mlgcn_pyg.datasets import eval_transform
    from mlgcn_pyg.prediction.photographs import photograph_batches

    network, transform = fold_model(checkpoint.model).float().to(device), eval_transform(checkpoint.image_size)
    cuda = torch.device(device).type == "cuda"
    for batch, pixels, errors in photograph_batches(paths, transform, batch_size, num_workers, pin_memory=cuda):
        labels = iter(())
        if pixels is not None:
            logits = _run(network, pixels.to(device, non_blocking=True)).cpu().double()
            check_finite("logits of the checkpoint", logits)
            labels = iter(_labels(logits, cuts, top_k, checkpoint.label_names))
        yield [
            Prediction(path, next(labels)) if error is None else Prediction(path, error=error)
            for path, error in zip(batch, errors, strict=True)
        ]


def _run(network, images):
    import torch

    try:
        with torch.inference_mode():
            return network(images)
    except torch.OutOfMemoryError as error:
        fix = "give a smaller --batch-size"
        raise InputError("batch_size", "images that fit the device's memory", len(images), fix) from error


def _labels(logits, cuts, top_k: int | None, names: Sequence[str]) -> list[list[tuple[str, float]]]:
    """For each image its labels above the cuts, at most ``top_k``, most likely first, equal ones in label order."""
    predicted = logits > cuts
    order = logits.masked_fill(~predicted, -math.inf).sort(dim=1, descending=True, stable=True).indices
    counts = predicted.sum(dim=1).clamp(max=top_k or len(names)).tolist()
    probabilities = logits.sigmoid()
    return [
        [(names[k], probabilities[row, k].item()) for k in order[row, :count].tolist()]
        for row, count in enumerate(counts)
    ]


def _write(predictions: Iterator[list[Prediction]], paths: Sequence[Path], format: str, out: Path | None) -> int:
    """Writes batch after batch, whole lines only; returns how many images could not be read."""
    head, write = line_writer(format, paths)
    done = broken = 0
    try:
        with opened(out) as stream:
            # lines that run over a terminal show the progress themselves
            quiet = out is None and stream.isatty()
            bar = nullcontext(lambda done, note: None) if quiet else common.progress_bar("predicting", len(paths))
            with bar as update:
                stream.write(head)
                for batch in predictions:
                    stream.write("".join(map(write, batch)))
                    stream.flush()
                    done += len(batch)
                    for prediction in batch:
                        if prediction.error is not None:
                            broken += 1
                            common.err.print(printable(prediction.error), soft_wrap=True)
                    update(done, f"{broken} broken" if broken else "")
    except KeyboardInterrupt:
        kept = "" if out is None else f"; their predictions are in {partial_path(out)}"
        common.err.print(f"stopped after {done} of {len(paths)} images{kept}", soft_wrap=True)
        raise typer.Exit(130) from None
    return broken

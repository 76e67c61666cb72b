"""``mlgcn predict``: which labels photographs have."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlgcn_pyg.checks import check_choice, check_count, check_positive
from mlgcn_pyg.cli import common, console, whole_model
from mlgcn_pyg.cli.predictions import line_writer, opened, printable
from mlgcn_pyg.files import partial_path

if TYPE_CHECKING:  # the command line shows its help without loading torch
    from mlgcn_pyg.prediction import Prediction

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
    from mlgcn_pyg.prediction import Predictor, find_images

    check_choice("format", format, FORMATS)
    check_positive("batch_size", batch_size)
    check_count("num_workers", num_workers)
    paths, device = find_images(images), common.pick_device(device)
    predictor = Predictor(whole_model.open_model(checkpoint, backbone, weights, pool, image_size), device)
    predictions = predictor.predict_batches(
        paths, top_k=top_k, threshold=threshold, batch_size=batch_size, num_workers=num_workers
    )
    if top_k is None and threshold is None and predictor.checkpoint.thresholds is not None:
        console.err.print(f"labels above the thresholds in {checkpoint} (mlgcn thresholds)", soft_wrap=True)
    broken = _write(predictions, paths, format, out)
    if out is not None:
        console.err.print(f"wrote {out}: {len(paths) - broken} images", soft_wrap=True)
    if broken:
        console.err.print(f"{broken} of {len(paths)} images could not be read", soft_wrap=True)
        raise typer.Exit(1)


def _write(predictions: "Iterator[list[Prediction]]", paths: Sequence[Path], format: str, out: Path | None) -> int:
    """Writes batch after batch, whole lines only; returns how many images could not be read."""
    head, write = line_writer(format, paths)
    done = broken = 0
    try:
        with opened(out) as stream:
            # lines that run over a terminal show the progress themselves
            quiet = out is None and stream.isatty()
            bar = nullcontext(lambda done, note: None) if quiet else console.progress_bar("predicting", len(paths))
            with bar as update:
                stream.write(head)
                for batch in predictions:
                    stream.write("".join(map(write, batch)))
                    stream.flush()
                    done += len(batch)
                    for prediction in batch:
                        if prediction.error is not None:
                            broken += 1
                            console.err.print(printable(prediction.error), soft_wrap=True)
                    update(done, f"{broken} broken" if broken else "")
    except KeyboardInterrupt:
        kept = "" if out is None else f"; their predictions are in {partial_path(out)}"
        console.err.print(f"stopped after {done} of {len(paths)} images{kept}", soft_wrap=True)
        raise typer.Exit(130) from None
    return broken

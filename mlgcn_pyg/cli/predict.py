"""``mlgcn predict``: predicts the labels of images."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.options import OUTPUT, choice, option, takes
from mlgcn_pyg.cli.outputs import PREDICTIONS, check_inputs, chosen_format
from mlgcn_pyg.cli.predictions import line_writer, open_output, printable
from mlgcn_pyg.cli.streams import check_standard_output, exit_code
from mlgcn_pyg.cli.values import pick_device, pick_workers
from mlgcn_pyg.cli.whole_model import WHOLE_MODEL, ModelOptions

if TYPE_CHECKING:  # this loads torch
    from mlgcn_pyg.prediction import Prediction

FORMATS = tuple(PREDICTIONS.values())


@takes(model=WHOLE_MODEL)
def predict(
    model: ModelOptions,
    images: Annotated[
        list[Path],
        typer.Argument(help="Images, and folders that are searched for images. Links to folders are not followed."),
    ],
    top_k: Annotated[
        int | None, option("Predict the k most probable labels (above --threshold, if given).", OUTPUT)
    ] = None,
    threshold: Annotated[
        float | None,
        option("Predict labels above this probability.", OUTPUT, show_default="the checkpoint's thresholds, or 0.5"),
    ] = None,
    format: Annotated[
        str | None,
        choice("table (.txt), jsonl or csv.", OUTPUT, FORMATS, show_default="from the ending of --out, or table"),
    ] = None,
    out: Annotated[Path | None, option("File for the predictions.", OUTPUT, show_default="standard output")] = None,
    batch_size: options.BatchSize = 16,
    num_workers: options.AutoWorkers = None,
    device: options.Device = "auto",
) -> None:
    """Predict the labels of images. Exit code 1: some images could not be read."""
    from mlgcn_pyg.prediction import Predictor, find_images

    if format is not None:
        check_choice("format", format, FORMATS)
    if out is None:
        check_standard_output("out")
    format = chosen_format(format, out, PREDICTIONS, "table")
    check_positive("batch_size", batch_size)
    paths = find_images(images)
    check_inputs(paths, "images")
    device = pick_device(device)
    workers = pick_workers(num_workers, device)
    predictor = Predictor(model.open(), device)
    predictions = predictor.predict_batches(
        paths, top_k=top_k, threshold=threshold, batch_size=batch_size, num_workers=workers
    )
    if top_k is None and threshold is None and predictor.checkpoint.thresholds is not None:
        console.note(f"Using the thresholds in {model.checkpoint}")
    broken = _write(predictions, paths, format, out)
    if out is not None:
        console.note(f"Wrote {out}: {len(paths) - broken} images")
        console.note(
            f"Which parts of an image a label comes from: mlgcn explain IMAGE {model.words()} --out explain.png"
        )
    if broken:
        console.note(f"{broken} of {len(paths)} images could not be read")
        raise typer.Exit(1)


def _write(predictions: "Iterable[list[Prediction]]", paths: Sequence[Path], format: str, out: Path | None) -> int:
    """Writes the predictions batch by batch. Returns the number of images that could not be read."""
    header, write = line_writer(format, paths)
    done = broken = 0
    written = "nowhere"
    try:
        with open_output(out) as stream:
            written = stream.name
            # no bar if the lines appear on a terminal
            hidden = out is None and stream.isatty()
            bar = nullcontext(_no_update) if hidden else console.progress_bar("predicting", len(paths))
            with bar as update:
                stream.write(header)
                for batch in predictions:
                    stream.write("".join(map(write, batch)))
                    stream.flush()
                    done += len(batch)
                    errors = [prediction.error for prediction in batch if prediction.error is not None]
                    broken += len(errors)
                    for error in errors:
                        console.note(printable(error))
                    update(done, f"{broken} broken" if broken else "")
    except (KeyboardInterrupt, SystemExit) as stop:
        kept = "" if out is None else f" Their predictions are in {written} until the next run."
        console.note(f"Interrupted after {done} of {len(paths)} images.{kept}")
        raise typer.Exit(exit_code(stop)) from None
    return broken


def _no_update(completed: float, note: str = "") -> None:
    """Replaces the update of a progress bar that is not shown."""

"""``mlgcn thresholds``: fits one threshold per label on validation features and stores them in the checkpoint."""

import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich import box
from rich.table import Table

from mlgcn_pyg.checks import check_number, check_positive
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.inputs import checkpoint_file, open_cache, open_checkpoint
from mlgcn_pyg.cli.options import DATA, MODEL, OUTPUT, option
from mlgcn_pyg.cli.outputs import check_inputs
from mlgcn_pyg.cli.values import pick_device
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.hub import is_hub_name

if TYPE_CHECKING:  # this loads torch
    from torch import Tensor

MIN_POSITIVES = 3  # as in mlgcn_pyg.evaluation.thresholds, which loads torch


def thresholds(
    checkpoint: Annotated[Path, option("A head or a network.", MODEL)],
    cache: Annotated[Path, option("Feature file of validation images, neither training nor test images.", DATA)],
    precision: Annotated[
        float | None,
        option("The lowest threshold of each label with this precision, in (0, 1].", DATA,
               show_default="the threshold of best F1"),
    ] = None,
    min_positives: Annotated[
        int, option("Labels with fewer positive images keep the threshold 0.5; with --precision, they are never "
                    "predicted.", DATA)
    ] = MIN_POSITIVES,
    out: Annotated[
        Path | None,
        option("Write a copy of the checkpoint with the thresholds to this file (.pt).", OUTPUT,
               show_default="they are written into --checkpoint"),
    ] = None,
    device: options.Device = "auto",
) -> None:  # fmt: skip
    """Fit one threshold per label, for mlgcn predict and mlgcn evaluate --thresholds.

    By default it maximises the F1 of the label. With --precision, it is the lowest one with this precision.
    """
    check_positive("min_positives", min_positives)
    if precision is not None:
        check_number("precision", precision, 0, 1, open_low=True)
    from mlgcn_pyg.checkpoints import save_checkpoint, store_thresholds
    from mlgcn_pyg.evaluation import fit_precision_thresholds, fit_thresholds
    from mlgcn_pyg.training import score

    if is_hub_name(checkpoint):
        name = checkpoint.as_posix()
        fix = f"save it first: mlgcn push --checkpoint {name} --out FOLDER"
        raise InputError("checkpoint", "a file or folder that can be written", name, fix)
    checkpoint = checkpoint_file(checkpoint)
    check_inputs([checkpoint], "checkpoint")
    if checkpoint.suffix == ".safetensors":
        fix = "fit the thresholds of the original checkpoint and export it again"
        raise InputError("checkpoint", "the checkpoint that was exported", f"its linear export {checkpoint}", fix)
    loaded, features = open_checkpoint(checkpoint), open_cache(cache)
    loaded.check_provenance("cache", features.meta)
    logits, targets = score(loaded.head, features, pick_device(device))
    if precision is None:
        fitted = fit_thresholds(logits, targets, min_positives)
        columns, sentence = _for_f1(logits, targets, fitted, min_positives)
    else:
        fitted = fit_precision_thresholds(logits, targets, precision, min_positives)
        columns, sentence = _for_precision(logits, targets, fitted, min_positives, precision)
    if out is None:
        store_thresholds(checkpoint, fitted)
    else:
        save_checkpoint(out, replace(loaded, thresholds=fitted))
    _warn_of_few(columns["positives"], loaded.label_names, min_positives, cache.name, precision is not None)
    _show(f"{cache.name}, {len(features)} images", loaded.label_names, columns)
    console.say(sentence)
    console.say(f"Wrote the thresholds into {checkpoint}" if out is None else f"Wrote {out}")
    console.say(f"Next: mlgcn evaluate --checkpoint {shlex.quote(str(out or checkpoint))} --cache TEST.h5 --thresholds")


def _for_f1(
    logits: "Tensor", targets: "Tensor", fitted: "Tensor", min_positives: int
) -> "tuple[dict[str, Tensor], str]":
    """Returns the columns of the table, and the sentence below it."""
    from mlgcn_pyg.evaluation import cross_fitted_f1, f1_per_label

    columns = {
        "positives": (targets == 1).sum(dim=0),
        "threshold": fitted.sigmoid(),
        "F1 at 0.5": f1_per_label(logits, targets),
        "F1": f1_per_label(logits, targets, fitted),
        "cross-fitted": cross_fitted_f1(logits, targets, min_positives),
    }
    means = {column: _number(float(columns[column].nanmean())) for column in ("F1 at 0.5", "F1", "cross-fitted")}
    return columns, (
        f"Mean F1 of the labels with a positive: {means['F1 at 0.5']} at 0.5, {means['F1']} at the thresholds on these "
        f"images, {means['cross-fitted']} cross-fitted (an estimate for new images)"
    )


def _for_precision(
    logits: "Tensor", targets: "Tensor", fitted: "Tensor", min_positives: int, precision: float
) -> "tuple[dict[str, Tensor], str]":
    """Returns the columns of the table, and the sentence below it."""
    from mlgcn_pyg.evaluation import cross_fitted_precision, precision_recall

    here = precision_recall(logits, targets, fitted)
    new = cross_fitted_precision(logits, targets, precision, min_positives)
    columns = {
        "positives": (targets == 1).sum(dim=0),
        "threshold": fitted.sigmoid().masked_fill(fitted.isinf(), math.inf),
        "precision": here.precision,
        "recall": here.recall,
        "cross-fitted precision": new.precision,
        "cross-fitted recall": new.recall,
    }
    never = int(fitted.isinf().sum())
    return columns, (
        f"Mean of the labels, cross-fitted (an estimate for new images): precision "
        f"{_number(float(new.precision.nanmean()))}, recall {_number(float(new.recall.nanmean()))}. "
        f"{never or 'No'} label{' is' if never == 1 else 's are'} never predicted"
    )


def _warn_of_few(
    positives: "Tensor", names: tuple[str, ...], min_positives: int, cache: str, for_precision: bool
) -> None:
    few = [f"{name} ({count})" for name, count in zip(names, positives.tolist(), strict=True) if count < min_positives]
    if few:
        images = f"fewer than {min_positives} images" if min_positives > 1 else "no image"
        verb = "have" if min_positives > 1 else "has"
        result = "they are never predicted" if for_precision else "their threshold is 0.5"
        console.note(f"Warning: {images} of {cache} {verb} {', '.join(few)}; {result}")


def _show(title: str, names: tuple[str, ...], columns: "dict[str, Tensor]") -> None:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("label", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, count, *values in zip(names, *(column.tolist() for column in columns.values()), strict=True):
        table.add_row(name, str(count), *map(_number, values))
    console.show_table(table)


def _number(value: float) -> str:
    if math.isinf(value):
        return "never"
    return "–" if math.isnan(value) else f"{value:.3f}"

"""``mlgcn calibrate``: writes a checkpoint whose probabilities are as frequent as they say on validation images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich import box
from rich.table import Table

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.inputs import checkpoint_file, open_cache, open_checkpoint
from mlgcn_pyg.cli.options import DATA, MODEL, OUTPUT, choice, option
from mlgcn_pyg.cli.outputs import check_inputs
from mlgcn_pyg.cli.values import pick_device

if TYPE_CHECKING:  # this loads torch
    from torch import Tensor

    from mlgcn_pyg.evaluation import Calibration

METHODS = ("platt", "temperature")


def calibrate(
    checkpoint: Annotated[Path, option("A head or a network.", MODEL)],
    cache: Annotated[Path, option("Feature file of validation images, neither training nor test images.", DATA)],
    out: Annotated[Path, option("File for the calibrated checkpoint (.pt).", OUTPUT)],
    method: Annotated[
        str,
        choice("platt: a scale and a shift for each label, which stay close to the common temperature for labels with "
               "few images; temperature: one for all labels.", MODEL, METHODS),
    ] = "platt",
    device: options.Device = "auto",
) -> None:  # fmt: skip
    """Calibrate the probabilities of a head or a network. Rankings, mAP and predictions at its thresholds stay."""
    check_choice("method", method, METHODS)
    from mlgcn_pyg.checkpoints import calibrated_checkpoint, save_checkpoint
    from mlgcn_pyg.errors import renamed_arguments
    from mlgcn_pyg.evaluation import cross_fitted_calibration, fit_calibration
    from mlgcn_pyg.training import score

    checkpoint = checkpoint_file(checkpoint)
    check_inputs([checkpoint], "checkpoint")
    loaded, features = open_checkpoint(checkpoint), open_cache(cache)
    loaded.check_provenance("cache", features.meta)
    logits, targets = score(loaded.head, features, pick_device(device))
    with renamed_arguments(logits="cache", targets="cache"):
        fitted = fit_calibration(logits, targets, method)
        calibrated = cross_fitted_calibration(logits, targets, method)
    save_checkpoint(out, calibrated_checkpoint(loaded, fitted.scale, fitted.shift))
    _show(f"{cache.name}, {len(features)} images", {"before": logits, "calibrated, cross-fitted": calibrated}, targets)
    console.say(_numbers(fitted))
    console.say(f"Wrote {out}. {_decision(loaded.thresholds)}")
    console.say(f"Next: mlgcn evaluate --checkpoint {out} --cache TEST.h5")


def _show(title: str, logits: "dict[str, Tensor]", targets: "Tensor") -> None:
    from mlgcn_pyg.evaluation import reliability

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("", "ECE of all labels", "mean ECE of a label", "predicted", "present"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    known = targets >= 0
    present = float(targets[known].double().mean())
    for name, values in logits.items():
        pooled, single = reliability(values, targets).ece, reliability(values, targets, per_label=True).ece
        predicted = float(values.double().sigmoid()[known].mean())
        table.add_row(name, *(f"{float(x):.4f}" for x in (pooled, single.nanmean(), predicted, present)))
    console.show_table(table)


def _numbers(fitted: "Calibration") -> str:
    scale, shift = fitted.scale, fitted.shift
    if not len(scale):
        return "No label"
    if bool((scale == scale[0]).all()) and not bool(shift.any()):
        return f"Temperature {1 / float(scale[0]):.3f}"
    return (
        f"Scales {float(scale.min()):.2f} to {float(scale.max()):.2f}, "
        f"shifts {float(shift.min()):+.2f} to {float(shift.max()):+.2f}"
    )


def _decision(thresholds: "Tensor | None") -> str:
    if thresholds is None:
        return "Labels with a probability above 0.5 are predicted."
    return "The thresholds of the checkpoint were converted to the new probabilities and still decide."

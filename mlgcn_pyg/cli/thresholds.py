"""``mlgcn thresholds``: one threshold per label, fitted on validation features and stored in the checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich import box
from rich.table import Table

from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.inputs import open_cache, open_checkpoint
from mlgcn_pyg.cli.options import DATA, MODEL, option
from mlgcn_pyg.cli.values import pick_device
from mlgcn_pyg.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def thresholds(
    checkpoint: Annotated[Path, option("A head or a network; the thresholds are written into it.", MODEL)],
    cache: Annotated[Path, option("Feature file of validation images, neither training nor test images.", DATA)],
    device: options.Device = "auto",
) -> None:
    """Fit one threshold per label that maximises its F1, for mlgcn predict."""
    from mlgcn_pyg.checkpoints import store_thresholds
    from mlgcn_pyg.evaluation import f1_per_label, fit_thresholds
    from mlgcn_pyg.training import score

    if checkpoint.suffix == ".safetensors":
        fix = "fit the thresholds of the original checkpoint and export it again"
        raise InputError("checkpoint", "the checkpoint that was exported", f"its linear export {checkpoint}", fix)
    loaded, features = open_checkpoint(checkpoint), open_cache(cache)
    loaded.check_provenance("cache", features.meta)
    logits, targets = score(loaded.head, features, pick_device(device))
    fitted = fit_thresholds(logits, targets)
    before, after = f1_per_label(logits, targets), f1_per_label(logits, targets, fitted)
    store_thresholds(checkpoint, fitted)
    positives = (targets == 1).sum(dim=0)
    if absent := [name for name, count in zip(loaded.label_names, positives.tolist(), strict=True) if not count]:
        console.note(f"Warning: no image of {cache.name} has {', '.join(absent)}; their threshold is 0.5")
    _show(f"{cache.name}, {len(features)} images", loaded.label_names, positives, fitted.sigmoid(), before, after)
    means = f"{float(before.nanmean()):.3f} → {float(after.nanmean()):.3f}" if len(features) else "–"
    console.say(f"Mean F1 of the labels with a positive, on these images: {means}")
    console.say(f"Wrote the thresholds into {checkpoint}")


def _show(
    title: str, names: tuple[str, ...], positives: "Tensor", fitted: "Tensor", before: "Tensor", after: "Tensor"
) -> None:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("label", "positives", "threshold", "F1 at 0.5", "F1"):
        table.add_column(column, justify="left" if column == "label" else "right", no_wrap=True)
    columns = (tensor.tolist() for tensor in (positives, fitted, before, after))
    for name, count, threshold, old, new in zip(names, *columns, strict=True):
        f1 = ("–", "–") if old != old else (f"{old:.3f}", f"{new:.3f}")  # NaN: no positive
        table.add_row(name, str(count), f"{threshold:.3f}", *f1)
    console.show_table(table)

"""``mlgcn thresholds``: one threshold per label, fitted on validation features and kept in the checkpoint."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from mlgcn_pyg.cli import common, console
from mlgcn_pyg.cli.inputs import open_cache, open_checkpoint
from mlgcn_pyg.errors import InputError


def thresholds(
    checkpoint: Annotated[Path, typer.Option(help="A head or a whole model; the thresholds are written into it.")],
    cache: Annotated[Path, typer.Option(help="Feature file of validation images: not those of training or test.")],
    device: common.Device = "auto",
) -> None:
    """Fit one threshold per label that maximises its F1; mlgcn predict then uses them."""
    from mlgcn_pyg.checkpoints import store_thresholds
    from mlgcn_pyg.evaluation import f1_per_label, fit_thresholds
    from mlgcn_pyg.training import score

    if checkpoint.suffix == ".safetensors":
        fix = "fit them there and export again"
        raise InputError("checkpoint", "the checkpoint that was exported", f"its linear export {checkpoint}", fix)
    loaded, data = open_checkpoint(checkpoint), open_cache(cache)
    loaded.check_provenance("cache", data.meta)
    logits, targets = score(loaded.head, data, common.pick_device(device))
    fitted = fit_thresholds(logits, targets)
    before, after = f1_per_label(logits, targets), f1_per_label(logits, targets, fitted)
    store_thresholds(checkpoint, fitted)
    absent = [name for name, some in zip(loaded.label_names, (targets == 1).any(dim=0), strict=True) if not some]
    if absent:
        told = f"warning: no image of {cache.name} has {', '.join(absent)}: threshold 0.5"
        console.err.print(told, soft_wrap=True)
    table = Table(title=f"{cache.name}, {len(data)} images", box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("label", "positives", "threshold", "F1 at 0.5", "F1"):
        table.add_column(column, justify="left" if column == "label" else "right", no_wrap=True)
    columns = (loaded.label_names, (targets == 1).sum(dim=0), fitted.sigmoid(), before, after)
    for name, positives, threshold, old, new in zip(*map(list, columns), strict=True):
        f1 = ("–", "–") if old.isnan() else (f"{old:.3f}", f"{new:.3f}")
        table.add_row(name, str(int(positives)), f"{threshold:.3f}", *f1)
    console.show_table(table)
    means = f"{float(before.nanmean()):.3f} → {float(after.nanmean()):.3f}" if len(data) else "–"
    console.out.print(f"mean F1 of the labels with a positive: {means} on these images", soft_wrap=True)
    console.out.print(f"wrote the thresholds into {checkpoint}", soft_wrap=True)

"""The section of a model card about the training: images, size of the head, and the settings that had an effect."""

from collections.abc import Mapping
from typing import Any

from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.hub.markdown import code, listed, plain, shown
from mlgcn_pyg.hub.results import RunResults
from mlgcn_pyg.nn import LabelGNNHead, MLGCNHead, StandardizedHead

PARTS = {"train": "training images", "val": "validation images", "test": "test images"}
# parts of a configuration that have a section of their own, or no effect on the weights
LEFT_OUT = {
    "features", "calibration", "select", "tolerance", "per_label", "views", "val_every", "num_workers", "channels_last",
    "compile", "cpu",
}  # fmt: skip
NAMES = {
    "lr": "learning rate",
    "weight_decay": "weight decay",
    "lr_step": "epochs between reductions of the learning rate",
    "lr_gamma": "factor of each reduction of the learning rate",
    "batch_size": "images per step",
    "clip_norm": "maximum norm of the gradient",
    "schedule": "schedule of the learning rate",
    "warmup_epochs": "epochs of warm-up",
    "pos_weight": "weight of present labels in the loss",
    "precision": "precision of matrix products",
    "patience": "epochs without improvement before the end",
    "l2": "strength λ of the L2 penalty",
    "alpha": "share α of the similarities",
    "selection_mAP": "mAP of the images that λ and α were selected on",
    "folds": "folds of the training images that λ and α are selected on",
}
FOUND = {"epoch": "epochs", "l2": "l2", "alpha": "alpha"}  # in the last record of a history: the setting
BY_RECIPE = ("epochs", "batch_size", "optimizer", "schedule", "lr", "weight_decay")


def training_lines(checkpoint: Checkpoint, results: RunResults | None) -> list[str]:
    """Returns the training images, the size of the head and the settings of the training."""
    lines = ["* training images: unknown"] if results is None else _images(results)
    known = used_settings(checkpoint, {} if results is None else results.metrics.heads[results.kind].last)
    settings = [f"* {plain(NAMES.get(name, name.replace('_', ' ')))}: {shown(value)}" for name, value in known.items()]
    recipe = checkpoint.config.get("recipe")
    missing = [NAMES.get(name, name) for name in BY_RECIPE if name not in known]
    if settings and recipe is not None and missing:
        settings.append(f"* chosen by the recipe {code(recipe)}, and not recorded: {listed(missing, len(missing))}")
    return [*lines, *_size(checkpoint.head), *(settings or ["* settings: unknown"])]


def used_settings(checkpoint: Checkpoint, last: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the known settings that had an effect on the training.

    Args:
        checkpoint: the model.
        last: the last record of its history, which has the number of epochs, and the λ and α that were selected.
    """
    config = dict(checkpoint.config)
    for name, setting in FOUND.items():
        if name in last and config.get(setting) is None:
            config[setting] = last[name]
    paper = config.get("recipe", "paper") == "paper"  # whole networks have no recipe
    gnn = isinstance(checkpoint.head, LabelGNNHead)
    unused = set(LEFT_OUT)
    if (config.get("schedule") or ("step" if paper else "cosine")) != "step":
        unused |= {"lr_step", "lr_gamma"}
    if (config.get("optimizer") or ("adamw" if gnn and not paper else "sgd")) != "sgd":
        unused.add("momentum")
    if not config.get("warmup_epochs"):
        unused.add("warmup_epochs")
    values = {name: value for name, value in config.items() if name not in unused}
    return {name: value for name, value in values.items() if isinstance(value, str | int | float | list | tuple)}


def _images(results: RunResults) -> list[str]:
    setup, lines = results.metrics.setup, []
    for part, text in PARTS.items():
        if (one := setup.get(part)) is not None:
            found = f"{code(one['file'])}, {int(one['images']):,} images, SHA-256 {code(one['sha256'])}"
            lines.append(f"* {text}: {found}")
    return lines


def _size(head: StandardizedHead) -> list[str]:
    """Returns the layers of a head that is a network over the labels."""
    if isinstance(head, LabelGNNHead):
        layers = [] if head.num_layers is None else [f"* layers: {head.num_layers}"]
        return [*layers, f"* width of the layers: {head.hidden_channels:,}"]
    if isinstance(head, MLGCNHead):
        widths = ", ".join(f"{width:,}" for width in head.hidden_channels) or "none"
        return [f"* layers: {len(head.hidden_channels) + 1}", f"* width of the hidden layers: {widths}"]
    return []

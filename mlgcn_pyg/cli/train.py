"""``mlgcn train``: trains backbone and head together, as in the paper (Sec. 4.2)."""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.dataset_options import DATASET, DatasetOptions
from mlgcn_pyg.cli.inputs import open_graph
from mlgcn_pyg.cli.options import DATA, MODEL, OUTPUT, TRAINING, choice, from_config, from_dataclass, option, takes
from mlgcn_pyg.cli.outputs import make_folder
from mlgcn_pyg.cli.streams import exit_code
from mlgcn_pyg.cli.values import parse_image_size, parse_weights, parse_widths, pick_device
from mlgcn_pyg.errors import renamed_arguments
from mlgcn_pyg.training.config import ModelConfig

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.nn import MLGCN, Backbone, LinearHead, MLGCNHead
    from mlgcn_pyg.training import History
    from mlgcn_pyg.training.trackers import Trackers
    from mlgcn_pyg.typing import LabeledDataset, SeededDataset

DEVICES = ("auto", "cpu", "cuda")
HEADS = ("mlgcn", "linear")
LISTED = 10  # skipped images


@dataclass(frozen=True)
class NetworkOptions:
    """The options that describe backbone and head."""

    head: Annotated[str, choice("mlgcn, or linear: one linear layer, the baseline.", MODEL, HEADS)] = "mlgcn"
    hidden: options.Hidden = "1024"
    backbone: options.BackboneName = "resnet101"
    weights: options.Weights = "DEFAULT"
    pool: options.Pool = "max"

    def build(
        self, data: "LabeledDataset", graph: "LabelGraph | None", seed: int
    ) -> "tuple[Backbone, MLGCNHead | LinearHead]":
        """Returns backbone and head for the labels of ``data``. Without a graph, builds one with one-hot embeddings."""
        import torch

        from mlgcn_pyg.graph import LabelGraph
        from mlgcn_pyg.nn import Backbone, LinearHead, MLGCNHead

        check_choice("head", self.head, HEADS)
        widths = parse_widths(self.hidden)
        torch.manual_seed(seed)
        backbone = Backbone(self.backbone, parse_weights(self.weights), self.pool)
        if self.head == "linear":
            return backbone, LinearHead(len(data.label_names), backbone.num_features, data.label_names)
        if graph is None:
            graph = LabelGraph.from_targets(data.targets, label_names=data.label_names)
        return backbone, MLGCNHead(graph, backbone.num_features, widths)


@takes(
    data=DATASET,
    network=from_dataclass(NetworkOptions),
    config=from_config(ModelConfig, without=("cpu",), none={"clip_norm": 0}),
)
def train(
    *,
    data: DatasetOptions,
    val_split: Annotated[str | None, option("Split to validate on.", DATA)] = None,
    val_labels: Annotated[Path | None, option("table, coco: a second file of labels, to validate on.", DATA)] = None,
    graph: Annotated[
        Path | None, option("Label graph (mlgcn graph).", DATA, show_default="from the training labels, one-hot")
    ] = None,
    network: NetworkOptions,
    image_size: options.ImageSize = "448",
    config: Callable[..., ModelConfig],
    on_error: Annotated[
        str, choice("Images that cannot be decoded: stop, or skip them.", DATA, ("stop", "skip"))
    ] = "stop",
    device: Annotated[str, choice("auto, cpu or cuda; use torchrun for several GPUs.", TRAINING, DEVICES)] = "auto",
    out: Annotated[Path, option("Folder for the state, the history and the networks last.pt and best.pt.", OUTPUT)],
    log_with: options.LogWith = None,
    tensorboard: Annotated[bool, option("Deprecated.", OUTPUT, "--tensorboard", hidden=True)] = False,
) -> None:
    """Train backbone and head together. The same command resumes an interrupted run."""
    config()  # checks the values before torch is loaded
    if tensorboard:
        console.note("Warning: --tensorboard is deprecated; use --log-with tensorboard")
        log_with = ["tensorboard", *(name for name in log_with or () if name != "tensorboard")]
    from mlgcn_pyg.datasets import eval_transform, train_transform
    from mlgcn_pyg.nn import MLGCN
    from mlgcn_pyg.prediction.opening import check_accepts
    from mlgcn_pyg.training.trackers import Trackers

    trackers = Trackers(log_with, out)
    check_choice("on_error", on_error, ("stop", "skip"))
    device = pick_device(check_choice("device", device, DEVICES))
    recipe = config(cpu=device == "cpu")
    size = parse_image_size(image_size)
    label_graph = None if graph is None else open_graph(graph)
    train_set = data.open(train_transform(size), None if label_graph is None else label_graph.label_names)
    val_set = None
    if val_split is not None or val_labels is not None:
        validation = data.for_validation(val_split, val_labels)
        val_set = validation.open(eval_transform(size), train_set.label_names)
    _warn_of_absent_labels(train_set)
    make_folder("out", out)
    backbone, head = network.build(train_set, label_graph, recipe.seed)
    check_accepts(backbone, size)
    model = MLGCN(backbone, head)
    title = f"{backbone.name} + head"
    history = _fit(model, train_set, val_set, recipe, out, title=title, log_with=trackers, on_error=on_error)
    _report(history, out)


def _warn_of_absent_labels(data: "LabeledDataset") -> None:
    present = (data.targets == 1).any(dim=0).tolist()
    if absent := [name for name, is_present in zip(data.label_names, present, strict=True) if not is_present]:
        console.note(f"Warning: no training image has {', '.join(absent)}")


def _fit(
    model: "MLGCN",
    train_set: "SeededDataset",
    val_set: "SeededDataset | None",
    config: ModelConfig,
    out: Path,
    *,
    title: str,
    log_with: "Trackers",
    on_error: str,
) -> "History":
    import torch

    from mlgcn_pyg.training import fit_model

    try:
        with console.progress_bar(title, config.epochs) as update:

            def check(count: int, note: str) -> None:
                update(0, f"{count} images, {note}")

            def report(step: dict[str, Any]) -> None:
                done = step["epoch"] - 1 + step["step"] / step["steps"]
                speed = f"{step['images_per_second']:.0f} images/s"
                update(done, f"loss {step['loss']:.4f} lr {step['lr']:.2g} {speed}")

            # either data set is described by --dataset and --root
            with renamed_arguments(train_set="dataset", val_set="dataset"):
                history = fit_model(
                    model, train_set, val_set, config, folder=out, log_with=log_with, progress=report,
                    on_error=on_error, checking=check,
                )  # fmt: skip
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # NCCL warns otherwise
    except (KeyboardInterrupt, SystemExit) as stop:
        state = f"The state is in {out}." if (out / "state.pt").exists() else "No step was finished."
        console.say(f"Interrupted. {state} Run the same command to resume.")
        raise typer.Exit(exit_code(stop)) from None
    return history


def _report(history: "History", out: Path) -> None:
    if (path := out / "skipped.json").exists():
        skipped = json.loads(path.read_text(encoding="utf-8"))
        names = [name for images in skipped.values() for name in images]
        listed = ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
        console.say(f"Skipped {len(names)} images that cannot be decoded: {listed} (reasons in {path})")
    last, best = history.last, history.best
    text = f"Epoch {last['epoch']}: loss {last['loss']:.4f}" + (f", mAP {last['mAP']:.4f}" if "mAP" in last else "")
    if best is not None:
        text += f" (best, chosen on the same images: {best['mAP']:.4f} in epoch {best['epoch']})"
    console.say(text)
    console.say(f"Wrote {out / 'last.pt'}")
    console.say(
        f"Next, features for a report: mlgcn extract … --checkpoint {shlex.quote(str(out / 'last.pt'))} --out NET.h5"
    )

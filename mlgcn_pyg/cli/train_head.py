"""``mlgcn train-head``: heads on cached features, seed by seed, in one table."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.cli import common, console
from mlgcn_pyg.cli.heads import (
    describe_unfinished,
    fit_with_bar,
    head_files,
    remove_heads,
    remove_unfinished,
    save_heads,
    unfinished_run,
)
from mlgcn_pyg.cli.inputs import open_cache, open_graph
from mlgcn_pyg.cli.json_output import write_json
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.files import own_folder


def train_head(
    train: Annotated[Path, typer.Option(help="Feature file to train on.")],
    val: Annotated[Path, typer.Option(help="Feature file to score on.")],
    out: Annotated[Path, typer.Option(help="Folder for metrics.json, checkpoints and histories.")],
    graph: Annotated[Path | None, typer.Option(help="Label graph of the ML-GCN head (mlgcn graph).")] = None,
    head: Annotated[str, typer.Option(help="mlgcn, linear or both, one beside the other.")] = "both",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 100,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.01,
    lr_step: Annotated[int, typer.Option(help="Epochs between steps of the learning rate to a tenth.")] = 40,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 32,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = 1e-4,
    hidden: Annotated[str, typer.Option(help="Widths between the GCN's layers, e.g. 1024 or 1024,1024.")] = "1024",
    learn_edges: Annotated[bool, typer.Option("--learn-edges", help="Learn the weights of the graph's edges.")] = False,
    learn_p: Annotated[bool, typer.Option("--learn-p", help="Learn one p per label.")] = False,
    seeds: Annotated[int, typer.Option(help="How many runs of each head.")] = 1,
    precision: Annotated[str, typer.Option(help="float32, tf32 (CUDA) or bf16.")] = "float32",
    val_every: Annotated[int, typer.Option(help="Epochs between validations; the last one always is.")] = 1,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many validations without a higher mAP. Chooses on --val.")
    ] = None,
    views: Annotated[str, typer.Option(help="Score by the first view of an image, or the mean of all.")] = "first",
    stream: Annotated[
        bool | None, typer.Option("--stream/--no-stream", help="Read features in windows; by free memory if not said.")
    ] = None,
    device: common.Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results of another setup in --out.")] = False,
) -> None:
    """Train heads on cached features and print the paper's table; the linear baseline stands beside ML-GCN.

    A run that was interrupted goes on where it stopped when the same command is given again.
    """
    from mlgcn_pyg.experiments.compare_heads import HEADS, describe_setup, summarize_heads
    from mlgcn_pyg.report import table1
    from mlgcn_pyg.training import HeadConfig

    kinds = HEADS if check_choice("head", head, (*HEADS, "both")) == "both" else (head,)
    if "mlgcn" in kinds and graph is None:
        raise InputError(
            "graph",
            "the label graph of the ML-GCN head",
            "none",
            fix=["give ", Argument("graph"), " or ", Argument("head", "linear")],
        )
    label_graph = open_graph(graph) if "mlgcn" in kinds and graph is not None else None
    recipe = {"lr": lr, "epochs": epochs, "lr_step": lr_step, "batch_size": batch_size, "weight_decay": weight_decay}
    recipe |= {"precision": precision, "val_every": val_every, "patience": patience, "views": views}
    config = HeadConfig(**recipe)
    train_cache, val_cache = open_cache(train, option="train"), open_cache(val, option="val")
    shape = {"hidden_channels": common.widths(hidden), "learn_edges": learn_edges, "learn_p": learn_p}
    setup = describe_setup(train_cache, val_cache, config, check_positive("seeds", seeds))
    own = {kind: _own_setup(kind, label_graph, shape) for kind in kinds}
    options = shape | {"device": common.pick_device(device), "stream": stream}
    common.make_folder("out", out)
    with own_folder(out):  # what is found here stays so until the results stand beside it
        earlier = _earlier_results(out / "metrics.json", setup, own, overwrite)
        fitted = _fit(out, overwrite, (train_cache, val_cache, label_graph, kinds, seeds, config), options)
        if overwrite:
            remove_heads(out)
        save_heads(out, fitted, config, train_cache)
        heads = earlier | {kind: {"setup": own[kind], **result} for kind, result in summarize_heads(fitted).items()}
        heads = {kind: heads[kind] for kind in HEADS if kind in heads}
        write_json(out / "metrics.json", {"setup": setup, "heads": heads})
        remove_unfinished(out, kinds)
    title = f"{val_cache.path.name}, {len(val_cache)} images, last of {epochs} epochs, {seeds} seed(s)"
    console.show_table(table1(heads, title))
    console.out.print(f"wrote {out / 'metrics.json'} and checkpoints beside it", soft_wrap=True)


def _fit(out: Path, overwrite: bool, what: tuple, options: dict) -> list:
    """The fitted heads; goes on with an interrupted run in ``out``, and says how when it is interrupted itself."""
    kinds, folder = what[3], unfinished_run(out)
    try:
        if earlier := describe_unfinished(out, kinds):
            console.err.print(f"an interrupted run is in {folder}: {earlier}; going on from there", soft_wrap=True)
        return fit_with_bar(*what, folder=folder, **options)
    except (KeyboardInterrupt, SystemExit):
        console.err.print(f"interrupted; the same command goes on from here (kept in {folder})", soft_wrap=True)
        raise
    except InputError as error:
        if error.argument != "folder":  # of a different setup, or damaged, otherwise
            raise
        if overwrite:
            remove_unfinished(out, kinds)
            return _fit(out, False, what, options)
        fix = ["give the arguments that it was started with, choose another ", Argument("out"), " or pass "]
        raise InputError("out", error.expected, error.found, [*fix, Argument("overwrite", True)]) from error


def _own_setup(kind: str, graph, shape: dict) -> dict:
    if kind == "linear":
        return {}
    settings = {name: graph[name] for name in ("tau", "p", "weighting")}
    edges = {"edges": graph.edge_index.size(1), "embedding_dim": graph.embedding_dim, "one_hot": graph.x is None}
    shape = shape | {"hidden_channels": list(shape["hidden_channels"])}  # as JSON gives it back
    return settings | edges | shape | {"graph_sha256": graph.digest()}


def _earlier_results(path: Path, setup: dict, own: dict[str, dict], overwrite: bool) -> dict[str, dict]:
    """Heads in ``path`` that were trained the same way, to stand beside the new ones; refuses to lose others."""
    from mlgcn_pyg.training.config import current_names

    if not overwrite and not path.is_file() and (stray := head_files(path.parent)):
        fix = ["choose another ", Argument("out"), " or pass ", Argument("overwrite", True)]
        raise InputError("out", "a new folder", f"heads without a metrics.json in it, such as {stray[0]}", fix)
    if overwrite or not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        heads = content["heads"]
        same = current_names(content["setup"]) == setup and all(heads[k]["setup"] == own[k] for k in own if k in heads)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "out", "a folder of this command", f"another file {path}", fix=["choose another ", Argument("out")]
        ) from error
    if not same:
        raise InputError(
            "out",
            "a new folder, or one of the same data, recipe and graph",
            f"results of another setup in {path}",
            fix=["choose another ", Argument("out"), " or pass ", Argument("overwrite", True)],
        )
    return heads

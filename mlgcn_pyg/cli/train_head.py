"""``mlgcn train-head``: trains heads on cached features with several seeds and prints one table."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.cli import console, heads, options
from mlgcn_pyg.cli.inputs import open_cache, open_graph
from mlgcn_pyg.cli.json_output import write_json
from mlgcn_pyg.cli.options import COMPUTATION, DATA, MODEL, OUTPUT, TRAINING, choice, from_config, option, takes
from mlgcn_pyg.cli.outputs import make_folder
from mlgcn_pyg.cli.values import parse_widths, pick_device
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.files.locks import locked_folder
from mlgcn_pyg.training.config import HeadConfig, current_names

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.experiments.head_comparison import FittedHead

KINDS = ("mlgcn", "linear", "both")
OVERWRITE = ("choose a different ", Argument("out"), " or pass ", Argument("overwrite", True))


@takes(config=from_config(HeadConfig, without=("seed",), none={"clip_norm": 0}))
def train_head(
    *,
    train: Annotated[Path, option("Feature file to train on.", DATA)],
    val: Annotated[Path, option("Feature file to score on.", DATA)],
    graph: Annotated[Path | None, option("Label graph of the ML-GCN head (mlgcn graph).", DATA)] = None,
    head: Annotated[str, choice("mlgcn, linear (the baseline) or both.", MODEL, KINDS)] = "both",
    hidden: options.Hidden = "1024",
    learn_edges: Annotated[bool, option("Learn the weights of the graph's edges.", MODEL, "--learn-edges")] = False,
    learn_p: Annotated[bool, option("Learn one p per label.", MODEL, "--learn-p")] = False,
    config: Callable[..., HeadConfig],
    seeds: Annotated[int, option("Number of runs of each head.", TRAINING)] = 1,
    stream: Annotated[
        bool | None,
        option(
            "Read features in parts instead of loading all of them.",
            COMPUTATION,
            "--stream/--no-stream",
            show_default="depends on free memory",
        ),
    ] = None,  # fmt: skip
    device: options.Device = "auto",
    out: Annotated[Path, option("Folder for metrics.json, checkpoints and histories.", OUTPUT)],
    overwrite: options.Overwrite = False,
) -> None:
    """Train heads on cached features and print the paper's table for ML-GCN and the linear baseline.

    The same command resumes an interrupted run.
    """
    recipe = config()
    kinds = KINDS[:2] if check_choice("head", head, KINDS) == "both" else (head,)
    if "mlgcn" in kinds and graph is None:
        fix = ("give ", Argument("graph"), " or ", Argument("head", "linear"))
        raise InputError("graph", "the label graph of the ML-GCN head", "none", fix)
    runs = heads.HeadRuns(
        graph=open_graph(graph) if graph is not None and "mlgcn" in kinds else None,
        config=recipe,
        train=open_cache(train, option="train"),
        val=open_cache(val, option="val"),
        kinds=kinds,
        seeds=check_positive("seeds", seeds),
        hidden_channels=parse_widths(hidden),
        learn_edges=learn_edges,
        learn_p=learn_p,
        device=pick_device(device),
        stream=stream,
    )
    make_folder("out", out)
    _show(runs, _run(runs, out, overwrite))
    console.say(f"Wrote {out / 'metrics.json'}")


def _run(runs: heads.HeadRuns, out: Path, overwrite: bool) -> dict[str, dict[str, Any]]:
    """Fits and writes the heads. Returns their metrics and those of earlier heads in ``out`` with the same setup."""
    from mlgcn_pyg.experiments.head_comparison import HEADS, describe_setup, summarize_heads

    setup = describe_setup(runs.train, runs.val, runs.config, runs.seeds)
    own = {kind: _own_setup(kind, runs) for kind in runs.kinds}
    with locked_folder(out):  # locked until the results are written
        earlier = {} if overwrite else _earlier_results(out / "metrics.json", setup, own)
        fitted = _fit(runs, out, overwrite)
        if overwrite:
            heads.remove_heads(out)
        heads.save_heads(out, fitted, runs.config, runs.train)
        results = earlier | {kind: {"setup": own[kind], **row} for kind, row in summarize_heads(fitted).items()}
        results = {kind: results[kind] for kind in HEADS if kind in results}
        write_json(out / "metrics.json", {"setup": setup, "heads": results})
        heads.remove_unfinished(out, runs.kinds)
    return results


def _show(runs: heads.HeadRuns, results: dict[str, dict[str, Any]]) -> None:
    from mlgcn_pyg.report import table1

    title = f"{runs.val.path.name}, {len(runs.val)} images, last epoch, {runs.seeds} seed(s)"
    console.show_table(table1(results, title))


def _fit(runs: heads.HeadRuns, out: Path, overwrite: bool) -> "list[FittedHead]":
    """Fits the heads, or resumes an interrupted run in ``out``. ``overwrite`` discards a run that does not match."""
    folder = heads.unfinished_folder(out)
    try:
        if epochs := heads.unfinished_epochs(out, runs.kinds):
            position = ", ".join(f"{kind}: epoch {epoch}" for kind, epoch in epochs.items())
            console.note(f"Resuming from {folder} ({position})")
        return runs.fit(folder)
    except (KeyboardInterrupt, SystemExit):
        console.note("Interrupted. Run the same command to resume.")
        raise
    except InputError as error:
        if error.argument != "folder":  # "folder": a different setup, or a damaged state
            raise
        if not overwrite:
            fix = ("give the options that it was started with, ", *OVERWRITE)
            raise InputError("out", error.expected, error.found, fix) from error
    heads.remove_unfinished(out, runs.kinds)
    return _fit(runs, out, overwrite=False)


def _own_setup(kind: str, runs: heads.HeadRuns) -> dict[str, Any]:
    """Returns the settings of one kind of head besides data and recipe, as JSON types."""
    if kind == "linear" or runs.graph is None:
        return {}
    graph = runs.graph
    settings = {name: graph[name] for name in ("tau", "p", "weighting")}
    edges = {"edges": graph.edge_index.size(1), "embedding_dim": graph.embedding_dim, "one_hot": graph.x is None}
    shape = {"hidden_channels": list(runs.hidden_channels), "learn_edges": runs.learn_edges, "learn_p": runs.learn_p}
    return settings | edges | shape | {"graph_sha256": graph.digest()}


def _earlier_results(path: Path, setup: dict[str, Any], own: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the results in ``path``. Raises an InputError if they have a different setup and would be lost."""
    from mlgcn_pyg.training.run_folder import first_difference

    if not path.is_file():
        if stray := heads.head_files(path.parent):
            raise InputError("out", "a new folder", f"heads without a metrics.json, such as {stray[0]}", OVERWRITE)
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        results = content["heads"]
        kinds = [kind for kind in own if kind in results]
        differences = [first_difference(current_names(content["setup"]), setup)]
        differences += [first_difference(results[kind]["setup"], own[kind], kind) for kind in kinds]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("out", "a folder written by train-head", f"a different file {path}", OVERWRITE[:2]) from error
    if difference := next(filter(None, differences), ""):
        expected = "a new folder, or one of the same data, recipe and graph"
        raise InputError("out", expected, f"results of a different setup in {path}: {difference}", OVERWRITE)
    return results

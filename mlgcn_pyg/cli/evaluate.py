"""``mlgcn evaluate``: computes the paper's metrics of trained heads on a feature file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.inputs import checkpoints_in, open_cache, open_checkpoint
from mlgcn_pyg.cli.json_output import print_json, write_json
from mlgcn_pyg.cli.options import DATA, MODEL, OUTPUT, option
from mlgcn_pyg.cli.outputs import check_inputs
from mlgcn_pyg.cli.values import pick_device
from mlgcn_pyg.errors import Argument, InputError

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.features import FeatureCache


def evaluate(
    checkpoint: Annotated[list[Path], option("A head, a network or a folder of heads; repeatable.", MODEL)],
    cache: Annotated[Path, option("Feature file to score on.", DATA)],
    thresholds: Annotated[
        bool,
        option("Decide by the thresholds in each checkpoint (mlgcn thresholds), not by 0.5.", DATA, "--thresholds"),
    ] = False,
    out: Annotated[Path | None, option("Write the metrics to this file (.json).", OUTPUT)] = None,
    json: options.Json = False,
    device: options.Device = "auto",
    file: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Score trained heads on cached features."""
    if file:  # earlier versions took a file name after --json
        fix = ("write the metrics to a file with ", Argument("out", file[0]))
        raise InputError("json" if json else "file", "no value", file[0], fix)
    files = _head_files(checkpoint)
    features = open_cache(cache)
    rows = _score_all(files, features, pick_device(device), thresholds)
    content = {"cache": str(cache), "images": len(features), "thresholds": thresholds, "checkpoints": rows}
    if json:
        print_json(content)
    else:
        _show(rows, f"{cache.name}, {len(features)} images" + (", fitted thresholds" if thresholds else ""))
    if out is not None:
        write_json(out, content)
        console.note(f"Wrote {out}")


def _head_files(paths: Sequence[Path]) -> list[Path]:
    files = [file for path in paths for file in (checkpoints_in(path) if path.is_dir() else [path])]
    if not files:
        found = f"none in {', '.join(map(str, paths))}"
        raise InputError("checkpoint", "at least one head (*-seed*.pt in a folder)", found)
    check_inputs(files, "checkpoint")
    return files


def _score_all(files: Sequence[Path], features: "FeatureCache", device: str, fitted: bool) -> dict[str, dict[str, Any]]:
    """Returns the metrics of each checkpoint by file name.

    Args:
        files: the checkpoints.
        features: the features to score on.
        device: the device of the heads.
        fitted: if True, uses the thresholds in the checkpoints.
    """
    from mlgcn_pyg.evaluation import table1_row
    from mlgcn_pyg.training import score

    rows = {}
    for file in files:
        loaded = open_checkpoint(file)
        loaded.check_provenance("cache", features.meta)
        if fitted and loaded.thresholds is None:
            raise InputError(
                "thresholds", "checkpoints with thresholds", f"none in {file}", "run mlgcn thresholds first"
            )
        cuts = loaded.thresholds if fitted else None
        rows[str(file)] = table1_row(*score(loaded.head, features, device), loaded.label_names, thresholds=cuts)
    return rows


def _show(rows: dict[str, dict[str, Any]], title: str) -> None:
    from mlgcn_pyg.evaluation import mean_and_std
    from mlgcn_pyg.report import table1

    short = len({Path(name).stem for name in rows}) == len(rows)
    shown = {
        Path(name).stem if short else name: dict(zip(("mean", "std"), mean_and_std([row]), strict=True))
        for name, row in rows.items()
    }
    console.show_table(table1(shown, title))

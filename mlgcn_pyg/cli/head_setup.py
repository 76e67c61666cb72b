"""The settings of the heads in a folder of ``train-head``, which further heads in this folder must share."""

import json
import os
from pathlib import Path
from typing import Any

from mlgcn_pyg.cli import heads
from mlgcn_pyg.cli.command_line import running_command
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.training.old_config import current_names

OVERWRITE = ("choose a different ", Argument("out"), " or pass ", Argument("overwrite", True))


def own_setup(kind: str, runs: heads.HeadRuns) -> dict[str, Any]:
    """Returns the settings of one kind of head besides data and recipe, as JSON types."""
    from mlgcn_pyg.experiments.kinds import HeadDesign

    own: dict[str, Any] = {"solver": "exact"} if kind in runs.exact_kinds else {}
    graph = HeadDesign(runs.graph, runs.sharing_graph).graph_of(kind, runs.train.targets, runs.train.label_names)
    if graph is None:
        return own
    own |= {name: graph[name] for name in ("tau", "p", "weighting")}
    own |= {"edges": graph.edge_index.size(1), "embedding_dim": graph.embedding_dim, "one_hot": graph.x is None}
    if kind in heads.GNNS:
        own["hidden_channels"] = list(runs.hidden_channels)
    if kind == "mlgcn":
        shape = {"hidden_channels": list(runs.hidden_channels), "learn_edges": runs.learn_edges}
        own |= shape | {"learn_p": runs.learn_p}
    return own | {"graph_sha256": graph.digest()}


def earlier_results(path: Path, setup: dict[str, Any], own: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
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
        stored = dict.fromkeys(setup) | current_names(content["setup"])
        differences = [first_difference(stored, dict.fromkeys(stored) | setup)]
        differences += [first_difference(results[kind]["setup"], own[kind], kind) for kind in kinds]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("out", "a folder written by train-head", f"a different file {path}", OVERWRITE[:2]) from error
    if difference := next(filter(None, differences), ""):
        expected = "a new folder, or one of the same data, recipe and graph"
        raise InputError("out", expected, f"results of a different setup in {path}: {difference}", OVERWRITE)
    return results


def sources(runs: heads.HeadRuns, out: Path, others: bool) -> dict[str, Any]:
    """Returns ``"files"`` and ``"commands"`` of ``metrics.json``, from which a report is made.

    Args:
        runs: the data.
        out: the folder of ``metrics.json``.
        others: whether results of earlier commands remain in it, whose commands are kept.
    """
    caches = {"train": runs.train, "val": runs.val, "test": runs.test}
    files = {part: _relative(cache.path, out) for part, cache in caches.items() if cache is not None}
    earlier = json.loads((out / "metrics.json").read_text(encoding="utf-8")).get("commands", []) if others else []
    return {"files": files, "commands": list(dict.fromkeys([*earlier, *running_command()]))}


def _relative(path: Path, folder: Path) -> str:
    """Returns a path relative to a folder, so that both can be moved; the whole path to another drive of Windows."""
    path = path.absolute()
    try:
        return Path(os.path.relpath(path, os.path.realpath(folder))).as_posix()
    except ValueError:
        return str(path)

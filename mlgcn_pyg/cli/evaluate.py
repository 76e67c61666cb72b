"""``mlgcn evaluate``: computes the paper's metrics of trained heads on a feature file, and compares the heads.

The JSON has these keys. Metrics are fractions, and undefined numbers are null.

* ``cache``, ``images``, ``thresholds``: the file, its number of images, and whether fitted thresholds decide.
* ``checkpoints``: file → ``{"all": {mAP, CP, …}, "top3": {CP, …}, "AP": {label: AP}}``.
* ``intervals``: null with ``--replicates 0``, else

  * ``level``, ``replicates``, ``seed``: the level of the intervals, and the samples of the images.
  * ``checkpoints``: file → ``{"mAP": interval, "OF1": interval, "AP": {label: interval}}``, where an interval is
    ``{"value", "low", "high"}``.
  * ``reference``: the first file.
  * ``differences``: each other file → the same, minus the metrics of the reference. Its intervals also have
    ``"above"``, the share of the samples in which the difference is > 0. ``"gained"`` and ``"lost"`` list the labels
    whose AP differs, corrected for the number of labels. The intervals in ``"AP"`` are not corrected.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlgcn_pyg.checks import check_count
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.inputs import checkpoint_files, open_cache, open_checkpoint, short_names
from mlgcn_pyg.cli.json_output import print_json, write_json
from mlgcn_pyg.cli.options import COMPUTATION, DATA, MODEL, OUTPUT, option
from mlgcn_pyg.cli.values import pick_device
from mlgcn_pyg.errors import Argument, InputError

if TYPE_CHECKING:  # these load torch
    from torch import Tensor

    from mlgcn_pyg.checkpoints import Checkpoint
    from mlgcn_pyg.evaluation import MetricDifferences, MetricIntervals, Replicates
    from mlgcn_pyg.features import FeatureCache

LEVEL, SEED = 0.95, 0
LONG = 10**9  # logits to resample, about two seconds


def evaluate(
    checkpoint: Annotated[list[Path], option("A head, a network or a folder of heads; repeatable.", MODEL)],
    cache: Annotated[Path, option("Feature file to score on.", DATA)],
    thresholds: Annotated[
        bool,
        option("Decide by the thresholds in each checkpoint (mlgcn thresholds), not by 0.5.", DATA, "--thresholds"),
    ] = False,
    replicates: Annotated[
        int, option("Samples of the images for the 95 % intervals of mAP and OF1; 0 omits them.", COMPUTATION)
    ] = 1000,
    out: Annotated[Path | None, option("Write the metrics to this file (.json).", OUTPUT)] = None,
    json: options.Json = False,
    device: options.Device = "auto",
    file: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Score trained heads on cached features, and compare each with the first one."""
    if file:  # earlier versions took a file name after --json
        fix = ("write the metrics to a file with ", Argument("out", file[0]))
        raise InputError("json" if json else "file", "no value", file[0], fix)
    check_count("replicates", replicates)
    files = checkpoint_files(checkpoint)
    features = open_cache(cache)
    rows, comparison = _score_all(files, features, pick_device(device), thresholds, replicates)
    content = {"cache": str(cache), "images": len(features), "thresholds": thresholds, "checkpoints": rows}
    content["intervals"] = None if comparison is None else comparison.content(features.label_names, replicates)
    if json:
        print_json(content)
    else:
        _show(rows, f"{cache.name}, {len(features)} images" + (", fitted thresholds" if thresholds else ""))
        if comparison is not None:
            _show_intervals(comparison, features.label_names)
    if out is not None:
        write_json(out, content)
        console.note(f"Wrote {out}")


@dataclass(frozen=True)
class Comparison:
    """Intervals of the metrics of each checkpoint, and of the differences of each other checkpoint to the first."""

    intervals: "dict[str, MetricIntervals]"
    differences: "dict[str, MetricDifferences]"

    @classmethod
    def of(cls, heads: "dict[str, Replicates]") -> "Comparison":
        first, *others = heads
        return cls(
            {name: head.intervals(LEVEL) for name, head in heads.items()},
            {name: heads[name].difference(heads[first], LEVEL) for name in others},
        )

    def content(self, label_names: Sequence[str], replicates: int) -> dict[str, Any]:
        """Returns the content of ``"intervals"`` in the JSON."""
        return {
            "level": LEVEL,
            "replicates": replicates,
            "seed": SEED,
            "checkpoints": {name: _by_label(asdict(found), label_names) for name, found in self.intervals.items()},
            "reference": next(iter(self.intervals)),
            "differences": {name: _by_label(asdict(found), label_names) for name, found in self.differences.items()},
        }


def _by_label(metrics: dict[str, Any], label_names: Sequence[str]) -> dict[str, Any]:
    """Returns metrics with the names of the labels in place of their numbers."""
    changes = {name: [label_names[c] for c in metrics[name]] for name in ("gained", "lost") if name in metrics}
    return metrics | {"AP": dict(zip(label_names, metrics["AP"], strict=True))} | changes


def _score_all(
    files: Mapping[str, Path], features: "FeatureCache", device: str, fitted: bool, replicates: int
) -> tuple[dict[str, dict[str, Any]], Comparison | None]:
    """Returns the metrics of each checkpoint by name, and their intervals unless ``replicates`` is 0.

    Args:
        files: the checkpoints by name.
        features: the features to score on.
        device: the device of the heads.
        fitted: if True, uses the thresholds in the checkpoints.
        replicates: the number of samples of the images.
    """
    from mlgcn_pyg.evaluation import bootstrap_replicates, table1_row
    from mlgcn_pyg.training import score

    rows, samples = {}, {}
    with _progress(len(files), replicates, len(features) * len(features.label_names)) as progress:
        for k, (name, file) in enumerate(files.items()):
            loaded = open_checkpoint(file)
            loaded.check_provenance("cache", features.meta)
            cuts = _thresholds(loaded, file) if fitted else None
            logits, targets = score(loaded.head, features, device)
            rows[name] = table1_row(logits, targets, loaded.label_names, thresholds=cuts)
            if replicates:
                samples[name] = bootstrap_replicates(
                    logits, targets, replicates=replicates, seed=SEED, thresholds=cuts, progress=progress(k)
                )
    return rows, Comparison.of(samples) if samples else None


def _thresholds(loaded: "Checkpoint", file: Path) -> "Tensor":
    if loaded.thresholds is None:
        raise InputError("thresholds", "checkpoints with thresholds", f"none in {file}", "run mlgcn thresholds first")
    return loaded.thresholds


@contextmanager
def _progress(heads: int, replicates: int, logits: int) -> Iterator[Callable[[int], Callable[[int], None] | None]]:
    """Yields a function that returns the ``progress`` of head k; it shows a bar if resampling takes seconds."""
    if heads * replicates * logits < LONG:
        yield lambda k: None
        return
    with console.progress_bar("Resampling", heads * replicates) as update:
        yield lambda k: lambda done: update(k * replicates + done)


def _show(rows: dict[str, dict[str, Any]], title: str) -> None:
    from mlgcn_pyg.evaluation import mean_and_std
    from mlgcn_pyg.report import table1

    short = short_names(rows)
    shown = {short[name]: dict(zip(("mean", "std"), mean_and_std([row]), strict=True)) for name, row in rows.items()}
    console.show_table(table1(shown, title))


def _show_intervals(comparison: Comparison, label_names: Sequence[str]) -> None:
    from mlgcn_pyg.report import changed_labels, interval_table

    short = short_names(comparison.intervals)
    first = next(iter(short.values()))
    intervals = {short[name]: found for name, found in comparison.intervals.items()}
    differences = {short[name]: found for name, found in comparison.differences.items()}
    console.say("")
    console.show_table(interval_table(intervals, differences, LEVEL))
    for name, found in differences.items():
        if sentence := changed_labels(found, label_names, name, first):
            console.say(sentence)

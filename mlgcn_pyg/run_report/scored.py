"""The heads of a run with their logits on the images of the report."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.checkpoints import Checkpoint, load_checkpoint
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.evaluation import Interval, bootstrap_metrics, fit_calibration, mean_average_precision, table1_row
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.files.runs import NETWORK, RECOMMENDED
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn import LabelGNNHead, MLGCNHead, SharingHead
from mlgcn_pyg.report.page.content import HeadContent
from mlgcn_pyg.run_report.json_files import read_lines
from mlgcn_pyg.run_report.metrics import RunMetrics
from mlgcn_pyg.training import score

HISTORY = "history.jsonl"
SAME = 0.02  # of mAP; devices and precisions differ by less
Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class ScoredHead:
    """A head, what the page shows of it, and its thresholds.

    Attributes:
        content: what the page shows.
        checkpoint: the head with its thresholds, if any.
    """

    content: HeadContent
    checkpoint: Checkpoint

    @property
    def thresholds(self) -> Tensor | None:
        """(C,) logits above which labels are predicted; None stands for 0."""
        return self.checkpoint.thresholds

    @property
    def graph(self) -> LabelGraph | None:
        """The label graph that the head was built from."""
        head = self.checkpoint.head
        return head.base_graph() if isinstance(head, MLGCNHead | SharingHead | LabelGNNHead) else None


def scored_heads(
    folder: Path,
    metrics: RunMetrics,
    cache: FeatureCache,
    val: FeatureCache | None,
    device: str | torch.device,
    progress: Progress,
) -> list[ScoredHead]:
    """Returns the heads of a folder of ``train-head``, the first seed of each kind.

    Args:
        folder: the folder.
        metrics: its ``metrics.json``, which has the metrics of all seeds, and their intervals.
        cache: the images that the results are reported on.
        val: other images that no head was trained on, for a calibration of the logits; None omits it.
        device: the device of the heads.
        progress: a function that is called with the name of each head.

    Raises:
        InputError: if a file is missing, damaged, or has another head than the one that ``metrics.json`` describes.
    """
    views = str((metrics.setup.get("config") or {}).get("views") or "first")
    found = []
    for kind, results in metrics.heads.items():
        progress(f"scoring {kind}")
        path = _file(folder, metrics, kind)
        with renamed_arguments(path="run", checkpoint="run", data="run", views="run"):
            checkpoint = load_checkpoint(path)
            logits, targets = score(checkpoint.head, cache, device, views=views)
            others = None if val is None else score(checkpoint.head, val, device, views=views)
        _check_same(path, mean_average_precision(logits, targets), results.first)
        content = HeadContent(
            kind, logits, results.mean, metrics.interval(kind), _intervals(metrics, kind),
            None if kind not in metrics.differences else metrics.differences[kind].mAP,
            metrics.choice is not None and metrics.choice.kind == kind,
            _epochs(folder / f"{kind}-seed{results.seeds[0]}.jsonl"), _learned(checkpoint),
            None if others is None else _calibrated(logits, *others), len(results.seeds),
        )  # fmt: skip
        found.append(ScoredHead(content, checkpoint))
    return found


def scored_network(folder: Path, cache: FeatureCache, device: str | torch.device, progress: Progress) -> ScoredHead:
    """Returns the head of a folder of ``train``, whose backbone computed the features of the cache.

    Raises:
        InputError: if a file is missing or damaged, or the features are those of another backbone.
    """
    with renamed_arguments(path="run", checkpoint="run", data="cache"):
        checkpoint = load_checkpoint(folder / NETWORK)
        checkpoint.check_provenance("cache", cache.meta)
        progress(f"scoring {NETWORK}")
        logits, targets = score(checkpoint.head, cache, device)
    progress("intervals")
    found = bootstrap_metrics(logits, targets)
    row = table1_row(logits, targets, cache.label_names)
    history = _epochs(folder / HISTORY)
    content = HeadContent(
        Path(NETWORK).stem, logits, row, found.mAP, found.AP, history=history, graph=_learned(checkpoint)
    )
    return ScoredHead(content, checkpoint)


def _calibrated(logits: Tensor, other_logits: Tensor, other_targets: Tensor) -> Tensor | None:
    """Returns logits after a calibration on other images; None if no target of these is known."""
    if not bool((other_targets >= 0).any()):
        return None
    return fit_calibration(other_logits, other_targets)(logits).float()


def _file(folder: Path, metrics: RunMetrics, kind: str) -> Path:
    """Returns the checkpoint of a kind; the recommended one is a copy, which ``mlgcn thresholds`` writes into."""
    if metrics.choice is not None and metrics.choice.kind == kind and (folder / RECOMMENDED).is_file():
        return folder / RECOMMENDED
    return folder / f"{kind}-seed{metrics.heads[kind].seeds[0]}.pt"


def _check_same(path: Path, mAP: float, expected: float) -> None:
    """Checks that a head has the metrics that were written when it was trained."""
    if not (abs(mAP - expected) < SAME or (math.isnan(mAP) and math.isnan(expected))):
        fix = "train the heads again, or restore the files of one run"
        raise InputError(
            "run", f"the head of metrics.json, with {100 * expected:.1f} mAP", f"{100 * mAP:.1f} by {path}", fix
        )


def _intervals(metrics: RunMetrics, kind: str) -> Sequence[Interval]:
    if kind in metrics.intervals:
        return metrics.intervals[kind].AP
    values = metrics.heads[kind].mean["AP"]
    return [Interval(math.nan if (AP := values[n]) is None else AP, math.nan, math.nan) for n in metrics.label_names]


def _epochs(path: Path) -> list[dict[str, float | None]]:
    """Returns the records of a history that are epochs; the exact solver has iterations instead.

    Numbers that are not finite become None.
    """
    records = [
        {name: _finite(value) for name, value in record.items() if isinstance(value, int | float | None)}
        for record in read_lines(path, "a history of a training run")
    ]
    return [record for record in records if record.get("epoch") is not None]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _learned(checkpoint: Checkpoint) -> LabelGraph | None:
    """Returns the label graph with the weights of the head; None for a dense graph, which has no edges to look at."""
    head = checkpoint.head
    if not isinstance(head, MLGCNHead | SharingHead) or head.base_graph().kernel is not None:
        return None
    return head.label_graph()

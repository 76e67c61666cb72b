"""The analysis of a study: comparisons and a verdict for each condition, as data frames and as plain values."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlgcn_pyg.checks import check_callable, check_positive
from mlgcn_pyg.experiments.study.building import label_graph
from mlgcn_pyg.experiments.study.comparisons import Comparison, compare
from mlgcn_pyg.experiments.study.contenders import MLGCN
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.effects import SMALLEST, Scores
from mlgcn_pyg.experiments.study.frames import contenders_frame, runs_frame
from mlgcn_pyg.experiments.study.records import Condition, Run, RunKey
from mlgcn_pyg.experiments.study.side_by_side import side_by_side
from mlgcn_pyg.experiments.study.study import Study
from mlgcn_pyg.experiments.study.verdict import prices, verdict

Part = tuple[Condition, list[Run]]


@dataclass(frozen=True)
class Finding:
    """What was found under one condition.

    Attributes:
        condition: the training data.
        comparisons: the comparisons, the primary ones first. Their groups of labels and the graph that these follow
            are those of the training images of the first split.
        verdict: the verdict as sentences; none if there is no comparison.
        undefined: in how many splits a label has no positive test image, by label; only labels with such splits.
    """

    condition: Condition
    comparisons: tuple[Comparison, ...]
    verdict: tuple[str, ...]
    undefined: Mapping[str, int]


@dataclass(frozen=True)
class Analysis:
    """The result of :func:`analyse`.

    Attributes:
        study: the study.
        findings: one for each condition; that of the main condition, with most comparisons, is first.
        runs: one row per run; see :func:`~mlgcn_pyg.experiments.study.frames.runs_frame`.
        contenders: one row per contender and condition.
        smallest: the smallest effect of interest, a fraction of mAP.
        replicates: the number of samples of the images.
    """

    study: Study
    findings: tuple[Finding, ...]
    runs: pd.DataFrame
    contenders: pd.DataFrame
    smallest: float
    replicates: int

    def describe(self) -> dict[str, Any]:
        """Returns the content of ``study.json``: plain values, in which undefined numbers are NaN."""
        names = self.study.data.label_names
        return {
            "setup": _setup(self),
            "contenders": [
                _contender({str(k): v for k, v in row.items()}) for row in self.contenders.to_dict("records")
            ],
            "comparisons": [
                {"condition": str(found.condition)} | asdict(found.condition) | _comparison(one, names)
                for found in self.findings
                for one in found.comparisons
            ],
            "verdicts": [
                {"condition": str(found.condition), "verdict": list(found.verdict), "undefined": dict(found.undefined)}
                for found in self.findings
            ],
            "verdict": _summary(self.findings),
            "omitted": dict(self.study.plan.omitted),
        }


def analyse(
    study: Study,
    *,
    smallest: float = SMALLEST,
    replicates: int = 1000,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Analysis:
    """Compares the contenders of a study under each condition.

    Args:
        study: the study.
        smallest: the smallest effect of interest, a fraction of mAP, > 0.
        replicates: the number of samples of the images.
        workers: the number of processes that analyse conditions side by side. A program must call this function under
            ``if __name__ == "__main__"`` for more than one.
        progress: a function that is called with the numbers of finished and of all conditions.

    Raises:
        InputError: if a number is out of range, or a worker process is killed.
    """
    check_callable("progress", progress)
    by_condition: dict[Condition, list[Run]] = {}
    for run in study.runs:
        by_condition.setdefault(run.key.condition, []).append(run)
    ordered = sorted(by_condition.items(), key=lambda item: -len({run.key.contender for run in item[1]}))
    find = partial(_find, data=study.data, smallest=smallest, replicates=replicates)
    findings = []
    for finding in side_by_side(find, ordered, check_positive("workers", workers)):
        findings.append(finding)
        if progress is not None:
            progress(len(findings), len(ordered))
    runs = runs_frame(study.runs, study.data)
    contenders = contenders_frame(runs)
    return Analysis(study, tuple(findings), runs, contenders, smallest, replicates)


def _find(part: Part, data: StudyData, smallest: float, replicates: int) -> Finding:
    condition, runs = part
    scores = Scores(
        runs, data.targets, shared_test=data.shared_test, overlap=data.overlap(condition),
        shared_training=_shared_training(condition, data), replicates=replicates, seed=data.seed,
    )  # fmt: skip
    targets = data.part(0, condition).train_targets
    graph = label_graph(MLGCN, data, targets, RunKey(MLGCN.name, condition, 0))
    comparisons = compare(scores, graph, (targets == 1).sum(dim=0).numpy(), smallest=smallest)
    words = verdict(comparisons, prices(runs), data.label_names, smallest=smallest) if comparisons else []
    missing = {name: int(count) for name, count in zip(data.label_names, scores.undefined(), strict=True) if count}
    return Finding(condition, tuple(comparisons), tuple(words), missing)


def _summary(findings: Sequence[Finding]) -> list[str]:
    """Returns the verdict of the main condition, after one sentence for each condition if there are several."""
    main = list(findings[0].verdict)
    if len(findings) == 1:
        return main
    ordered = sorted(findings, key=lambda found: (found.condition.unknown, found.condition.num_images or math.inf))
    heads = [f"{found.condition}: {found.verdict[0]}" for found in ordered if found.verdict]
    return [*heads, f"The following is about {findings[0].condition}.", *main[1:]] if main else heads


def _shared_training(condition: Condition, data: StudyData) -> float:
    """Returns the share of the training images of the first split that the second one has too.

    Splits of all images that differ only in which of them validate count as equal, since no other images are drawn.
    """
    if condition.num_images is None or len(data.splits) < 2:
        return 1.0
    first, second = (data.part(split, condition).train for split in (0, 1))
    return len(np.intersect1d(first, second)) / len(first)


def _setup(analysis: Analysis) -> dict[str, Any]:
    data = analysis.study.data
    caches = {name: [cache.path.name for cache in pool.caches] for name, pool in data.pools.items()}
    return {
        "files": caches,
        "images": len(data.targets),
        "labels": len(data.label_names),
        "splits": len(data.splits),
        "shared_test": data.shared_test,
        "train": len(data.splits[0].train),
        "val": len(data.splits[0].val),
        "test": len(data.splits[0].test),
        "graph": "mined from the training images" if data.graph is None else "given",
        "embedding_dim": None if data.embeddings is None else data.embeddings.size(1),
        **({"embeddings": [data.embeddings_name, *data.further]} if data.further else {}),
        "seed": data.seed,
        "smallest_effect": analysis.smallest,
        "replicates": analysis.replicates,
    }


def _contender(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row of the contenders with its mAP as an interval."""
    images = None if pd.isna(row["num_images"]) else int(row["num_images"])
    rest = {name: value for name, value in row.items() if name not in ("mAP", "mAP_low", "mAP_high")}
    interval = {"value": row["mAP"], "low": row["mAP_low"], "high": row["mAP_high"]}
    return rest | {"num_images": images, "condition": str(Condition(images, row["unknown"])), "mAP": interval}


def _comparison(comparison: Comparison, names: Sequence[str]) -> dict[str, Any]:
    changes = {name: [names[k] for k in getattr(comparison, name)] for name in ("gained", "lost")}
    return asdict(comparison) | changes

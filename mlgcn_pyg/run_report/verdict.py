"""Sentences about the heads of a run, from the plain values of ``metrics.json``: on the terminal and in the report."""

import math
from collections.abc import Mapping, Sequence

from mlgcn_pyg.evaluation import Difference
from mlgcn_pyg.report import with_limits
from mlgcn_pyg.run_report.metrics import Choice, RunMetrics
from mlgcn_pyg.training.exact_config import ExactConfig

MOST = 5  # labels that a sentence names
NOT_COMPARED = (
    "No head is recommended, since earlier commands trained other heads in this folder. mlgcn train-head --head all "
    "compares them."
)


def verdict(metrics: RunMetrics) -> list[str]:
    """Returns sentences about the recommended head, one per line.

    Args:
        metrics: the results of the run.
    """
    choice = metrics.choice
    if choice is None:
        return [NOT_COMPARED]
    lines = [_recommended(metrics, choice)]
    if choice.kind != choice.reference:
        lines += _changed_labels(metrics, choice)
    lines += _others(metrics, choice)
    if choice.images == "val" and metrics.reported == "val":
        lines.append(
            f"{metrics.reported_file} both selected this head and reports its metrics. To separate the two, give "
            "images that no head was selected on as --test."
        )
    return lines


def selected_on(metrics: RunMetrics) -> str:
    """Returns which images selected the head, and which report its metrics; empty if these are the same."""
    images = "" if metrics.choice is None else metrics.choice.images
    if images == "folds":
        selecting = _folds(metrics)
        return f"λ, α and the recommended head were selected on {selecting}; {metrics.reported_file} only reports."
    if images == "val" and metrics.reported == "test":
        return (
            f"λ, α and the recommended head were selected on {metrics.setup['val']['file']}; {metrics.reported_file} "
            "only reports."
        )
    return ""


def _folds(metrics: RunMetrics) -> str:
    images = int(metrics.setup["train"]["images"])
    folds = ExactConfig(folds=(metrics.setup.get("exact") or {}).get("folds")).num_folds(images)
    return f"{min(folds, images)} folds of the training images"


def _recommended(metrics: RunMetrics, choice: Choice) -> str:
    own = f"{with_limits(metrics.interval(choice.kind))} mAP on {metrics.reported_file}"
    if choice.kind == choice.reference:
        only = ", the only one" if len(metrics.intervals) == 1 else ""
        return f"Recommended: the {choice.kind} head{only}, {own}."
    change = metrics.differences[choice.kind].mAP
    line = (
        f"Recommended: the {choice.kind} head, {own}: {with_limits(change, '+')} against the {choice.reference} head, "
        "paired over images and seeds."
    )
    if not change.low > 0:
        line += f" On these images it is not clearly better: {_selection(metrics, choice)}."
    return line


def _selection(metrics: RunMetrics, choice: Choice) -> str:
    where = _folds(metrics) if choice.images == "folds" else metrics.setup["val"]["file"]
    change = 100 * (choice.mAP[choice.kind] - choice.mAP[choice.reference])
    error = 100 * choice.errors[choice.kind]
    limits = f" ± {error:.1f}" if math.isfinite(error) else ""
    return f"it was selected by {change:+z.1f}{limits} on {where}"


def _others(metrics: RunMetrics, choice: Choice) -> list[str]:
    """Returns a sentence about the heads that are not better than the simplest one."""
    others = {kind: found.mAP for kind, found in metrics.differences.items() if kind != choice.kind}
    if not others:
        return []
    texts = [f"{kind} {with_limits(change, '+')}{_but(change)}" for kind, change in others.items()]
    return [f"Not recommended: {', '.join(texts)} mAP against the {choice.reference} head."]


def _but(change: Difference) -> str:
    """Returns the judgement on a head that is not recommended."""
    if change.low > 0:
        return " (better here, but not on the images that select)"
    return " (worse)" if change.high < 0 else " (not clearly different)"


def _changed_labels(metrics: RunMetrics, choice: Choice) -> list[str]:
    """Returns a sentence about the labels whose AP differs from that of the simplest head."""
    changes, names = metrics.differences[choice.kind], metrics.label_names
    parts = []
    for word, labels in (("higher", changes.gained), ("lower", changes.lost)):
        ordered = sorted(labels, key=lambda c: -abs(changes.AP[c].value))
        if ordered:
            parts.append(f"{word} for {_listed(ordered, changes.AP, names, metrics.positives)}")
    corrected = f"corrected for the number of labels, {len(names)}"
    if not parts:
        return [f"No label has a clearly different AP ({corrected})."]
    return [f"AP against the {choice.reference} head ({corrected}): {'; '.join(parts)}."]


def _listed(labels: Sequence[int], AP: Sequence[Difference], names: Sequence[str], positives: Mapping[str, int]) -> str:
    texts = []
    for c in labels[:MOST]:
        count = f" ({positives[names[c]]} positive images)" if names[c] in positives else ""
        change = "–" if math.isnan(AP[c].value) else f"{100 * AP[c].value:+z.1f}"
        texts.append(f"{names[c]} {change}{count}")
    more = f" and {len(labels) - MOST} more" if len(labels) > MOST else ""
    return ", ".join(texts) + more

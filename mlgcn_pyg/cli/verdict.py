"""The output of ``mlgcn train-head``: tables, which head to use, how much better it is, and how to use it."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.heads import HeadRuns

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.evaluation import Difference
    from mlgcn_pyg.experiments import HeadComparison

LEVEL = 0.95  # of the intervals
MOST = 5  # labels that a sentence names


def show_comparison(runs: HeadRuns, results: dict[str, dict[str, Any]], found: "HeadComparison") -> None:
    """Prints the metrics of all heads, their intervals, and what selected λ, α and the recommended head.

    Args:
        runs: the heads that were fitted.
        results: the metrics of these heads, and of those of earlier commands.
        found: the comparison.
    """
    from mlgcn_pyg.report import interval_table, table1

    trained = [kind for kind in results if kind not in runs.exact_kinds]
    epochs = f"; {' and '.join(trained)}: last epoch, {runs.seeds} seed(s)" if trained else ""
    console.show_table(table1(results, f"{runs.reported.path.name}, {len(runs.reported)} images{epochs}"))
    console.say("")
    console.show_table(interval_table(found.intervals, found.differences, LEVEL))
    console.say("")
    for line in filter(None, (_fitted_exactly(found), selected_on(found, runs))):
        console.say(line)


def _fitted_exactly(found: "HeadComparison") -> str:
    """Returns the heads that the exact solver fitted, with their λ and α; empty if there are none."""
    texts = []
    for head in found.heads:
        last = head.history.last
        if "gradient" in last:
            mean = "mean λ" if getattr(head.config, "per_label", False) else "λ"
            values = [f"{letter} = {last[name]:.3g}" for letter, name in ((mean, "l2"), ("α", "alpha")) if name in last]
            texts.append(f"{head.kind} ({', '.join(values)})")
    return f"Fitted exactly: {', '.join(texts)}." if texts else ""


def verdict(comparison: "HeadComparison", runs: HeadRuns) -> list[str]:
    """Returns sentences about the recommended head, one per line.

    Args:
        comparison: the result of the comparison.
        runs: the data and settings of the heads.
    """
    found = comparison.recommendation
    lines = [_recommended(comparison, runs)]
    if found.kind != found.reference:
        lines += _changed_labels(comparison, runs)
    lines += _others(comparison, runs)
    if found.images == "val" and runs.test is None:
        lines.append(
            f"{runs.val.path.name} both selected this head and reports its metrics. To separate the two, give images "
            "that no head was selected on as --test."
        )
    return lines


def selected_on(comparison: "HeadComparison", runs: HeadRuns) -> str:
    """Returns which images selected the head, and which report its metrics."""
    images = comparison.recommendation.images
    if images == "folds":
        return (
            f"λ, α and the recommended head were selected on {_folds(runs)}; {runs.val.path.name} only reports. With "
            "--test, --val selects instead."
        )
    if images == "val" and runs.test is not None:
        return (
            f"λ, α and the recommended head were selected on {runs.val.path.name}; {runs.test.path.name} only reports."
        )
    return ""


def _folds(runs: HeadRuns) -> str:
    return f"{runs.num_folds} folds of the training images"


def _recommended(comparison: "HeadComparison", runs: HeadRuns) -> str:
    from mlgcn_pyg.report import with_limits

    found = comparison.recommendation
    name = runs.reported.path.name
    own = f"{with_limits(comparison.intervals[found.kind].mAP)} mAP on {name}"
    if found.kind == found.reference:
        only = ", the only one" if len(comparison.intervals) == 1 else ""
        return f"Recommended: the {found.kind} head{only}, {own}."
    change = comparison.differences[found.kind].mAP
    line = (
        f"Recommended: the {found.kind} head, {own}: {with_limits(change, '+')} against the {found.reference} head, "
        "paired over images and seeds."
    )
    if not change.low > 0:
        line += f" On these images it is not clearly better: {_selection(comparison, runs, found.kind)}."
    return line


def _selection(comparison: "HeadComparison", runs: HeadRuns, kind: str) -> str:
    found = comparison.recommendation
    where = _folds(runs) if found.images == "folds" else runs.val.path.name
    change = 100 * (found.mAP[kind] - found.mAP[found.reference])
    return f"it was selected by {change:+.1f} ± {100 * found.errors[kind]:.1f} on {where}"


def _others(comparison: "HeadComparison", runs: HeadRuns) -> list[str]:
    """Returns a sentence about the heads that are not better than the simplest one."""
    from mlgcn_pyg.report import with_limits

    chosen = comparison.recommendation
    others = {k: found.mAP for k, found in comparison.differences.items() if k != chosen.kind}
    if not others:
        return []
    texts = [f"{kind} {with_limits(change, '+')}{_but(comparison, kind)}" for kind, change in others.items()]
    return [f"Not recommended: {', '.join(texts)} mAP against the {chosen.reference} head."]


def _but(comparison: "HeadComparison", kind: str) -> str:
    """Returns the judgement on a head that is not recommended."""
    change = comparison.differences[kind].mAP
    if change.low > 0:
        return " (better here, but not on the images that select)"
    return " (worse)" if change.high < 0 else " (not clearly different)"


def _changed_labels(comparison: "HeadComparison", runs: HeadRuns) -> list[str]:
    """Returns a sentence about the labels whose AP differs from that of the simplest head."""
    found = comparison.recommendation
    changes = comparison.differences[found.kind]
    names = runs.train.label_names
    parts = []
    for word, labels in (("higher", changes.gained), ("lower", changes.lost)):
        ordered = sorted(labels, key=lambda c: -abs(changes.AP[c].value))
        if ordered:
            parts.append(f"{word} for {_listed(ordered, changes.AP, names, comparison.positives)}")
    corrected = f"corrected for the number of labels, {len(names)}"
    if not parts:
        return [f"No label has a clearly different AP ({corrected})."]
    return [f"AP against the {found.reference} head ({corrected}): {'; '.join(parts)}."]


def _listed(labels: Sequence[int], ap: "Sequence[Difference]", names: Sequence[str], positives: Sequence[int]) -> str:
    texts = [
        f"{names[c]} {'–' if math.isnan(ap[c].value) else f'{100 * ap[c].value:+.1f}'} ({positives[c]} positive images)"
        for c in labels[:MOST]
    ]
    more = f" and {len(labels) - MOST} more" if len(labels) > MOST else ""
    return ", ".join(texts) + more


def commands(runs: HeadRuns, out: Path) -> list[str]:
    """Returns the commands that predict with the recommended head in ``out`` and export it, after an explanation."""
    folder, target = shlex.quote(str(out)), shlex.quote(str(out / "recommended.safetensors"))
    recorded = runs.train.meta
    backbone = "" if recorded.get("backbone") else " --backbone BACKBONE"
    digest = f", SHA-256 {recorded['weights_sha256'][:12]}…" if recorded.get("weights_sha256") else ""
    return [
        f"To use it, with the backbone's WEIGHTS that computed the features (mlgcn extract{digest}):",
        f"  mlgcn predict PHOTOS --checkpoint {folder}{backbone} --weights WEIGHTS",
        f"  mlgcn export --checkpoint {folder} --out {target}",
    ]

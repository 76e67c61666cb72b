"""The output of ``mlgcn train-head``: tables, and the commands that follow. The verdict is that of the report."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.heads import HeadRuns

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.experiments import HeadComparison
    from mlgcn_pyg.run_report.metrics import RunMetrics

LEVEL = 0.95  # of the intervals


def show_comparison(
    runs: HeadRuns, results: dict[str, dict[str, Any]], found: "HeadComparison", metrics: "RunMetrics"
) -> None:
    """Prints the metrics of all heads, their intervals, and what selected λ, α and the recommended head.

    Args:
        runs: the heads that were fitted.
        results: the metrics of these heads, and of those of earlier commands.
        found: the comparison.
        metrics: the content of ``metrics.json``.
    """
    from mlgcn_pyg.report import interval_table, table1
    from mlgcn_pyg.run_report.verdict import selected_on

    trained = [kind for kind in results if kind not in runs.exact_kinds]
    seeds = f"{runs.seeds} seed{'s' if runs.seeds > 1 else ''}"
    epochs = f"; {listed(trained)}: last epoch, {seeds}" if trained else ""
    console.show_table(table1(results, f"{runs.reported.path.name}, {len(runs.reported)} images{epochs}"))
    console.say("")
    console.show_table(interval_table(found.intervals, found.differences, LEVEL))
    console.say("")
    hint = " With --test, --val selects instead." if metrics.choice and metrics.choice.images == "folds" else ""
    for line in filter(None, (_fitted_exactly(found), selected_on(metrics) + hint)):
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


def listed(names: Sequence[str]) -> str:
    """Returns names as a list in a sentence.

    >>> listed(["mlgcn"]), listed(["mlgcn", "sage", "gat"])
    ('mlgcn', 'mlgcn, sage and gat')
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def backbone_options(recorded: Mapping[str, Any]) -> str:
    """Returns the options that a head on cached features needs to be applied to photographs.

    Args:
        recorded: what is known about the features.

    >>> backbone_options({"backbone": "resnet101"}), backbone_options({})
    (' --weights WEIGHTS', ' --backbone BACKBONE --weights WEIGHTS')
    """
    return f"{'' if recorded.get('backbone') else ' --backbone BACKBONE'} --weights WEIGHTS"


def commands(runs: HeadRuns, out: Path, recommended: bool = True) -> list[str]:
    """Returns the commands that show, use and export the heads in ``out``, with explanations.

    Args:
        runs: the data.
        out: the folder.
        recommended: whether it has a recommended head.
    """
    folder, target = shlex.quote(str(out)), shlex.quote(str(out / "recommended.safetensors"))
    recorded = runs.train.meta
    digest = f", SHA-256 {recorded['weights_sha256'][:12]}…" if recorded.get("weights_sha256") else ""
    use = [
        f"To use it, with the backbone's WEIGHTS that computed the features (mlgcn extract{digest}):",
        f"  mlgcn predict PHOTOS --checkpoint {folder}{backbone_options(recorded)}",
        f"  mlgcn export --checkpoint {folder} --out {target}",
    ]
    return [*(use if recommended else []), f"Next, a page with the photographs: mlgcn report {folder} --root PHOTOS"]

"""The section of a model card with the results of the run."""

import math
import re

from mlgcn_pyg.hub.markdown import code, plain, table
from mlgcn_pyg.hub.results import RunResults
from mlgcn_pyg.report import with_limits
from mlgcn_pyg.run_report.verdict import verdict

MOST_LABELS = 200


def reported_images(results: RunResults, dataset_name: str | None) -> str:
    """Returns the images that the results are reported on, as Markdown."""
    part = results.metrics.setup[results.metrics.reported]
    name = f"{plain(dataset_name)}, " if dataset_name else ""
    return f"the {int(part['images']):,} images of {name}{code(part['file'])}"


def result_lines(results: RunResults | None, dataset_name: str | None) -> list[str]:
    """Returns the lines of the section: the heads of the run, the labels of this head, and what was concluded."""
    if results is None:
        return ["Unknown: the files have no results of a run."]
    metrics, kind = results.metrics, results.kind
    seeds = len(metrics.heads[kind].seeds)
    several = f" The numbers are means over {seeds} seeds; this model has one of them." if seeds > 1 else ""
    lines = [
        f"On {reported_images(results, dataset_name)}, in per cent, with {100 * metrics.level:g} % bootstrap intervals "
        f"over the images. This model is the {code(kind)} head{_recommended(results)}.{several}",
        "",
        *_heads(results),
        "",
        "mAP is the mean over the labels of the average precision. OF1 is the F1 of all predictions together, where "
        "labels with a probability above 0.5 are predicted.",
    ]
    lines += ["", *(f"* {plain(_minus(line))}" for line in verdict(metrics))]
    return [*lines, "", *_labels(results)]


def _recommended(results: RunResults) -> str:
    """Returns which head was recommended, if it is a different one."""
    choice = results.metrics.choice
    return "" if choice is None or choice.kind == results.kind else f"; recommended was {code(choice.kind)}"


def _minus(text: str) -> str:
    """Returns a sentence with minus signs in front of its negative numbers."""
    return re.sub(r"(?<![^ \[(])-(?=\d)", "−", text)


def _heads(results: RunResults) -> list[str]:
    """Returns the table of the heads of the run, this one first."""
    metrics = results.metrics
    rows = []
    for kind in sorted(metrics.heads, key=lambda name: name != results.kind):
        found = metrics.intervals.get(kind)
        OF1 = "–" if found is None else with_limits(found.OF1)
        name = f"**{plain(kind)}**" if kind == results.kind else plain(kind)
        rows.append([name, _limits(with_limits(metrics.interval(kind))), _limits(OF1)])
    return table(["head", "mAP", "OF1"], rows)


def _labels(results: RunResults) -> list[str]:
    """Returns the table of the average precisions of this head."""
    metrics = results.metrics
    names = metrics.label_names
    if len(names) > MOST_LABELS:
        return [f"The average precisions of the {len(names):,} labels are in {code('metrics.json')}."]
    found = metrics.intervals.get(results.kind)
    rows = []
    for c, name in enumerate(names):
        AP = metrics.heads[results.kind].mean["AP"][name]
        value = "–" if AP is None or math.isnan(AP) else f"{100 * AP:.1f}"
        shown = value if found is None else _limits(with_limits(found.AP[c]))
        rows.append([plain(name), f"{metrics.positives[name]:,}" if name in metrics.positives else "unknown", shown])
    return table(["label", "images with it", "average precision"], rows)


def _limits(text: str) -> str:
    """Returns a number with its limits as Markdown, in which ``[…]`` is no link."""
    return "–" if text.startswith("– [–") else text.replace("[", "\\[").replace("]", "\\]").replace("-", "−")

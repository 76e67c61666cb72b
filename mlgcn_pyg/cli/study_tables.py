"""The tables of ``mlgcn study`` in the terminal, and those of the paper that its page shows."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from mlgcn_pyg.cli import console

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.experiments.study import Analysis
    from mlgcn_pyg.report.text_tables import TextTable

MOST_ROWS = 60  # of contenders in the terminal; study.md has all of them


def show_study(content: Mapping[str, Any]) -> None:
    """Shows the contenders, and the comparisons under the main condition that are primary or of further embeddings."""
    rows = content["contenders"]
    table = Table(title="mAP with its 95 % interval over splits", title_justify="left", box=None, title_style="")
    for name in ("contender", "training data"):
        table.add_column(name)
    for name in ("splits", "mAP", "interval", "seconds", "parameters"):
        table.add_column(name, justify="right")
    for row in rows[:MOST_ROWS]:
        mAP = row["mAP"]
        table.add_row(
            row["contender"], row["condition"], f"{row['splits']}", _number(mAP["value"]), _limits(mAP),
            _number(row["seconds"], 1.0), f"{row['num_parameters']:,}",
        )  # fmt: skip
    console.show_table(table)
    if len(rows) > MOST_ROWS:
        console.say(f"and {len(rows) - MOST_ROWS} more in study.md")
    _show_comparisons(content)


def _show_comparisons(content: Mapping[str, Any]) -> None:
    condition = content["verdicts"][0]["condition"]
    found = [one for one in content["comparisons"] if one["condition"] == condition]
    primary = [one for one in found if one["primary"]]
    further = [one for one in found if " embeddings=" in one["a"]]
    _show_differences(f"Differences in mAP, {condition}", primary, "adjusted p")
    _show_differences(f"Differences in mAP by label embeddings, {condition}", further, "p")


def _show_differences(title: str, found: Sequence[Mapping[str, Any]], p_name: str) -> None:
    if not found:
        return
    table = Table(title=f"\n{title}", title_justify="left", box=None, title_style="")
    for name in ("comparison", "difference", "over images", "over splits", "over both", p_name, "finding"):
        table.add_column(name, justify="left" if name in ("comparison", "finding") else "right")
    for one in found:
        effect = one["effect"]
        limits = (_limits(effect[kind], "+") for kind in ("images", "splits", "joint"))
        p = one["adjusted_p"]
        table.add_row(
            f"{one['a']} − {one['b']}", _number(effect["value"], sign="+"), *limits,
            "–" if math.isnan(p) else f"{p:.3f}", one["finding"],
        )  # fmt: skip
    console.show_table(table)


def _number(value: float, scale: float = 100.0, sign: str = "") -> str:
    return "–" if math.isnan(value) else f"{scale * value:{sign}z.1f}"


def _limits(interval: Mapping[str, float] | None, sign: str = "") -> str:
    if interval is None or math.isnan(interval["low"]):
        return "–"
    return f"[{_number(interval['low'], sign=sign)}, {_number(interval['high'], sign=sign)}]"


def paper_tables(found: "Analysis") -> "list[TextTable]":
    """Returns the tables of the paper with the contenders of a study, as far as it has them.

    Table 1 is COCO's. For other data it is shown if the contenders of the preset ``table1`` were trained.
    """
    from mlgcn_pyg.errors import InputError
    from mlgcn_pyg.report.study_tables import Measurement, paper_table1, paper_table2, paper_table3

    data = found.study.data
    cache = data.pools["features"].caches[0]
    measured = Measurement(
        data=cache.path.stem,
        num_labels=len(data.label_names),
        num_test=len(data.splits[0].test),
        backbone=str(cache.meta.get("backbone") or ""),
        image_size=_side(cache.meta.get("image_size")),
        dataset=_dataset(data.label_names),
    )
    if measured.dataset == "voc2007":
        tables = [paper_table2, paper_table3]
    else:
        wanted = measured.dataset == "coco2014" or "mlgcn binary" in set(found.runs["contender"])
        tables = [*([paper_table1] if wanted else []), paper_table3]
    shown = []
    for table in tables:
        try:
            shown.append(table(found.runs, measured))
        except InputError as error:
            if error.argument != "runs":
                raise
    return shown


def _side(size: Any) -> int | None:
    """Returns the height of the images that a feature file records, or None."""
    height = size[0] if isinstance(size, list | tuple) and size else size
    return height if isinstance(height, int) else None


def _dataset(label_names: Sequence[str]) -> str | None:
    """Returns the published data set with these labels, or None."""
    from mlgcn_pyg.datasets import VOC_LABELS
    from mlgcn_pyg.datasets.super_categories import super_categories

    if set(label_names) == set(VOC_LABELS):
        return "voc2007"
    return "coco2014" if len(label_names) == 80 and None not in super_categories(label_names) else None

"""Tables 1 to 3 of the paper: the published numbers, and below them those of a study."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import COUNT_METRICS, Interval
from mlgcn_pyg.report.published import (
    Metric,
    PublishedResult,
    as_published,
    later_methods,
    published_table,
    published_without_graph,
    released_results,
)
from mlgcn_pyg.report.study_runs import ALL_METRICS, KEYS, TOP3_METRICS, check_runs, intervals, main_condition, sweep
from mlgcn_pyg.report.text_tables import DASH, Block, Column, TextTable

NAMES = {"coco2014": "COCO", "voc2007": "VOC"}
NUM_LABELS = {"coco2014": 80, "voc2007": 20}
NUM_TEST = {"coco2014": 40137, "voc2007": 4952}
# the abbreviations of the paper
VOC_LABELS = {
    "aeroplane": "aero", "bicycle": "bike", "bird": "bird", "boat": "boat", "bottle": "bottle", "bus": "bus",
    "car": "car", "cat": "cat", "chair": "chair", "cow": "cow", "diningtable": "table", "dog": "dog",
    "horse": "horse", "motorbike": "motor", "person": "person", "pottedplant": "plant", "sheep": "sheep",
    "sofa": "sofa", "train": "train", "tvmonitor": "tv",
}  # fmt: skip
ORIGIN = [Column("network", "origin", is_number=False), Column("source", "origin", is_number=False)]


@dataclass(frozen=True)
class Measurement:
    """What the rows of a study were measured on, for the text of a table.

    Attributes:
        data: the name of the data.
        num_labels: the number of labels.
        num_test: the number of test images.
        backbone: the network that computed the features; empty if unknown.
        image_size: the side of its images in pixels; None if unknown.
        dataset: ``"coco2014"`` or ``"voc2007"`` if the labels and images are of this data set; None for other data.
    """

    data: str
    num_labels: int
    num_test: int
    backbone: str = ""
    image_size: int | None = None
    dataset: str | None = None

    @property
    def network(self) -> str:
        """The backbone and the size of the images in words."""
        return ", ".join(filter(None, (self.backbone, f"{self.image_size} px" if self.image_size else "")))


def paper_table1(runs: pd.DataFrame, measured: Measurement, contenders: Iterable[str] | None = None) -> TextTable:
    """Returns Table 1: mAP and the metrics of all and of the top-3 labels, of methods on COCO and of a study.

    Args:
        runs: the runs of a study, one row per run; those with the fewest unknown labels and the most images are used.
        measured: what they were measured on.
        contenders: the names of the contenders; default: all but those of the sweeps over τ and p > 0.

    Raises:
        InputError: if a contender has no runs, or a column is missing.
    """
    metrics: list[Metric] = [("all", name) for name in ALL_METRICS] + [("top-3", name) for name in COUNT_METRICS]
    columns = [Column(name, part) for part, name in metrics]
    fields = [*ALL_METRICS, *TOP3_METRICS]
    return _method_table(1, "coco2014", columns, metrics, fields, runs, measured, contenders)


def paper_table2(runs: pd.DataFrame, measured: Measurement, contenders: Iterable[str] | None = None) -> TextTable:
    """Returns Table 2: AP of the labels of VOC and mAP, of methods on VOC and of a study.

    The runs have the AP of a label in a column such as ``"AP bicycle"``. Labels without a column have dashes. For the
    arguments, see :func:`paper_table1`.
    """
    metrics: list[Metric] = [("all", f"AP {label}") for label in VOC_LABELS] + [("all", "mAP")]
    columns = [Column(name) for name in VOC_LABELS.values()] + [Column("mAP")]
    fields = [name for _, name in metrics]
    return _method_table(2, "voc2007", columns, metrics, fields, runs, measured, contenders)


def paper_table3(runs: pd.DataFrame, measured: Measurement) -> TextTable:
    """Returns Table 3: the metrics of ML-GCN by the number of its layers, on COCO, on VOC and of a study.

    For the arguments, see :func:`paper_table1`.
    """
    metrics: list[Metric] = [("all", name) for name in ("mAP", "CF1", "OF1")] + [("top-3", n) for n in ("CF1", "OF1")]
    columns = [Column("method", is_number=False), *(Column(name, part) for part, name in metrics)]
    columns += ORIGIN
    blocks = [
        Block(f"published on {NAMES[dataset]}", [_published_row(row, metrics) for row in published_table(3, dataset)])
        for dataset in NAMES
    ]
    chosen = sweep(runs, "layers")
    fields = ["mAP", "CF1", "OF1", "CF13", "OF13"]
    rows = _measured_rows(chosen, "value", fields, fields, measured)
    names = [[f"mlgcn {row[0]}-layer", *row[1:]] for row in rows]
    blocks.append(Block(f"ours, as measured on {measured.data}", names))
    return TextTable("Table 3: depth of the GCN", columns, blocks, _notes(chosen, measured, None))


def _method_table(
    number: int,
    dataset: str,
    columns: Sequence[Column],
    metrics: Sequence[Metric],
    fields: Sequence[str],
    runs: pd.DataFrame,
    measured: Measurement,
    contenders: Iterable[str] | None,
) -> TextTable:
    """Returns Table 1 or 2: blocks of published methods, and one of the contenders."""
    chosen = _contenders(main_condition(runs), contenders)
    published = {
        f"published: the paper's Table {number}": published_table(number, dataset),
        "published: the paper without messages (p = 0)": published_without_graph(dataset),
        "published: the released code": released_results(dataset),
        "published: later methods": later_methods(dataset),
    }
    blocks = [Block(head, [_published_row(row, metrics) for row in rows]) for head, rows in published.items()]
    rows = _measured_rows(chosen, "contender", fields, ["mAP"], measured)
    blocks.append(Block(f"ours, as measured on {measured.data}", rows))
    title = f"Table {number}: methods on {NAMES[dataset]}, and the contenders on {measured.data}"
    columns = [Column("method", is_number=False), *columns, *ORIGIN]
    return TextTable(title, columns, blocks, _notes(chosen, measured, dataset))


def _contenders(runs: pd.DataFrame, names: Iterable[str] | None) -> pd.DataFrame:
    check_runs(runs, [*KEYS, "parameter"])
    if names is None:
        swept = runs["parameter"].isin(["tau", "p"]) & ~runs["contender"].isin(["mlgcn", "mlgcn p=0"])
        return runs[~swept]
    names = list(names)
    for name in names:
        if name not in set(runs["contender"]):
            raise InputError("contenders", f"names of {', '.join(runs['contender'].unique())}", repr(name))
    return pd.concat([runs[runs["contender"] == name] for name in names])


def _published_row(row: PublishedResult, metrics: Sequence[Metric]) -> list[str]:
    cells = [as_published(row.percent[metric]) if metric in row.percent else DASH for metric in metrics]
    return [row.method, *cells, row.network or DASH, row.source]


def _measured_rows(
    runs: pd.DataFrame, by: str, fields: Sequence[str], with_limits: Sequence[str], measured: Measurement
) -> list[list[str]]:
    """Returns one row per value of the column ``by``: means over splits, and ± for the fields ``with_limits``."""
    found = {field: intervals(runs, field, by) for field in fields if field in runs}
    return [
        [
            str(value),
            *(_mean(found[field][value], field in with_limits) if field in found else DASH for field in fields),
            measured.network or DASH,
            "this study",
        ]
        for value in runs[by].unique()
    ]


def _mean(interval: Interval, with_limits: bool) -> str:
    if pd.isna(interval.value):
        return DASH
    half = 100 * (interval.high - interval.value)
    return f"{100 * interval.value:.1f}" + (f" ±{half:.1f}" if with_limits and not pd.isna(half) else "")


def _notes(runs: pd.DataFrame, measured: Measurement, dataset: str | None) -> list[str]:
    """Returns the sentences below a table, among them what differs between the published rows and the measured ones.

    Args:
        runs: the runs of the measured rows.
        measured: what they were measured on.
        dataset: the data set of the published rows; None for several.
    """
    same = measured.dataset if measured.dataset == (dataset or measured.dataset) else None
    differs = ["protocol"]
    differs += ["backbone"] if (measured.backbone, measured.image_size) != ("ResNet-101", 448) else []
    differs += ["labels"] if same is None else []
    differs += ["images"] if same is None or measured.num_test != NUM_TEST[same] else []
    *others, last = differs
    listed = f"{', '.join(others)} and {last} differ" if others else f"{last} differs"
    return [
        "In per cent. Rows marked as published are copied from their sources and were not measured here.",
        f"Rows marked as ours cannot be compared with them: the {listed}.",
        _described(runs, measured, dataset),
        _spread(runs["split"].nunique()),
    ]


def _described(runs: pd.DataFrame, measured: Measurement, dataset: str | None) -> str:
    """Returns a sentence on the data and the protocol of the measured rows."""
    parts = [f"{measured.num_labels} labels"]
    if dataset is not None and measured.num_labels != NUM_LABELS[dataset]:
        parts[0] += f" ({NUM_LABELS[dataset]} in the published rows)"
    train = runs["num_images"].dropna().unique()
    parts += [f"{int(train[0]):,} training images"] if len(train) == 1 else []
    parts += [f"{measured.num_test:,} test images"]
    if runs["unknown"].max() > 0:
        parts += [f"{100 * runs['unknown'].max():g} % of the training labels unknown"]
    network = f" of {measured.network}" if measured.network else ""
    protocol = f"heads trained on fixed features{network}; the published networks were trained as a whole"
    return f"Ours: {measured.data}, {', '.join(parts)}; {protocol}."


def _spread(splits: int) -> str:
    if splits == 1:
        return "Ours are from one split, without an interval."
    return f"Ours are means over {splits} splits; ± is half of the 95 % t interval."

"""Published results: Tables 1 to 3 of the paper, and later methods on the same data sets.

The numbers are in ``published.csv``, one metric per line, with the source of each. They come from
`"Multi-Label Image Recognition with Graph Convolutional Networks" <https://arxiv.org/abs/1904.03582>`_ (Chen et al.,
CVPR 2019), the README of the released code, and the pages that later methods were published on.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mlgcn_pyg.checks import check_choice

PAPER = "Chen et al. 2019"
RELEASED = "released README"
DATASETS = ("coco2014", "voc2007")
# the part of the labels and the metric: ("all", "mAP"), ("top-3", "CF1") or ("all", "AP bicycle")
Metric = tuple[str, str]


@dataclass(frozen=True)
class PublishedResult:
    """The published metrics of a method on a data set.

    Attributes:
        source: where they were published.
        dataset: ``"coco2014"`` or ``"voc2007"``.
        method: the name of the method.
        backbone: its network; empty if unknown.
        image_size: the side of its images in pixels; None if unknown.
        percent: metric → value in per cent. A metric is a pair of the labels that count as predicted (``"all"`` with
            positive logits, or ``"top-3"``) and its name. Values that were not published are absent.
    """

    source: str
    dataset: str
    method: str
    backbone: str
    image_size: int | None
    percent: dict[Metric, float] = field(repr=False)

    @property
    def network(self) -> str:
        """The backbone and the size of the images in words."""
        return ", ".join(filter(None, (self.backbone, f"{self.image_size} px" if self.image_size else "")))


def published_table(number: int, dataset: str | None = None) -> list[PublishedResult]:
    """Returns the rows of a table of the paper, in its order.

    Args:
        number: 1 (methods on COCO), 2 (methods on VOC) or 3 (depth of the GCN).
        dataset: only the rows on ``"coco2014"`` or ``"voc2007"``; default: both.

    Raises:
        InputError: if the number or the data set is a different one.

    >>> for row in published_table(3, "voc2007"):
    ...     print(row.method, row.network, row.percent["all", "mAP"])
    ML-GCN 2-layer ResNet-101, 448 px 94.0
    ML-GCN 3-layer ResNet-101, 448 px 93.6
    """
    check_choice("number", str(number), ("1", "2", "3"))
    return _selected(dataset, [f"{PAPER}, Table {number}"])


def published_without_graph(dataset: str | None = None) -> list[PublishedResult]:
    """Returns what the paper states for p = 0, which passes no messages (Sec. 4.3.2).

    >>> [row.percent["all", "mAP"] for row in published_without_graph()]
    [81.67, 93.15]
    """
    return _selected(dataset, [f"{PAPER}, Sec. 4.3.2"])


def released_results(dataset: str | None = None) -> list[PublishedResult]:
    """Returns the results in the README of the released code: linear classifiers and ML-GCN.

    >>> [(row.method, row.percent["all", "mAP"]) for row in released_results("voc2007")][1:]
    [('ResNet-101 GMP + linear', 93.0), ('ML-GCN', 94.0)]
    """
    return [row for row in _selected(dataset) if row.source.startswith(RELEASED)]


def later_methods(dataset: str | None = None) -> list[PublishedResult]:
    """Returns the results of methods that were published after the paper, each with its own source.

    >>> [row.method for row in later_methods("voc2007")]
    ['CSRA', 'GATN']
    """
    return [row for row in _selected(dataset) if not row.source.startswith((PAPER, RELEASED))]


def as_published(percent: float) -> str:
    """Formats a published number with the decimals that it was published with, at least one.

    >>> as_published(83.0), as_published(93.15)
    ('83.0', '93.15')
    """
    return str(float(percent))


def _selected(dataset: str | None, sources: Iterable[str] = ()) -> list[PublishedResult]:
    if dataset is not None:
        check_choice("dataset", dataset, DATASETS)
    wanted = set(sources)
    rows = (row for row in _all_results() if not wanted or row.source in wanted)
    return [row for row in rows if dataset in (None, row.dataset)]


@cache
def _all_results() -> tuple[PublishedResult, ...]:
    results: dict[tuple[str, ...], PublishedResult] = {}
    with open(Path(__file__).with_name("published.csv"), encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            names = line["source"], line["dataset"], line["method"], line["backbone"], line["image_size"]
            size = int(line["image_size"]) if line["image_size"] else None
            result = results.setdefault(names, PublishedResult(*names[:4], size, {}))
            result.percent[line["labels"], line["metric"]] = float(line["percent"])
    return tuple(results.values())

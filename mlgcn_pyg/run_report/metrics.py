"""``metrics.json``, the results of ``mlgcn train-head``, as typed values."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.evaluation import Difference, Interval, MetricDifferences, MetricIntervals
from mlgcn_pyg.evaluation.table1 import PARTS, Row
from mlgcn_pyg.labels import check_label_names
from mlgcn_pyg.run_report.json_files import read_json

METRICS = "metrics.json"
EXPECTED = f"a {METRICS} of mlgcn train-head"
LEVEL = 0.95
Plain = Mapping[str, Any]


@dataclass(frozen=True)
class HeadMetrics:
    """The results of the heads of one kind.

    Attributes:
        seeds: the seeds.
        mean: the mean of their metrics; see :func:`~mlgcn_pyg.evaluation.table1_row`.
        first: the mAP of the first seed; NaN if it is not defined.
        last: the last record of the history of the first seed.
        setup: the settings of this kind.
    """

    seeds: tuple[int, ...]
    mean: Row
    first: float
    last: Plain
    setup: Plain


@dataclass(frozen=True)
class Choice:
    """The recommended head; see ``"recommendation"`` in :mod:`mlgcn_pyg.cli.train_head`.

    Attributes:
        kind: the kind of head.
        reference: the simplest kind.
        images: the images that selected it: ``"val"``, ``"folds"`` or ``"none"``.
        mAP: kind → mAP on these images.
        errors: kind → the standard error of its difference to the reference on these images.
    """

    kind: str
    reference: str
    images: str
    mAP: Mapping[str, float]
    errors: Mapping[str, float]


@dataclass(frozen=True)
class RunMetrics:
    """The content of ``metrics.json``. Undefined numbers are NaN.

    Attributes:
        setup: what all heads share.
        label_names: the C names.
        heads: kind → results, the simplest first.
        intervals: kind → the metrics with intervals, of the kinds that were compared.
        differences: kind → its metrics minus those of :attr:`reference`.
        reference: the kind that the others are compared with.
        level: the level of the intervals.
        positives: the number of reported images with each label; empty in files of earlier versions.
        choice: the recommended head, or None.
        files: ``"train"``, ``"val"``, ``"test"`` → the feature file, relative to the folder of the run.
        commands: the commands that wrote the folder.
    """

    setup: Plain
    label_names: tuple[str, ...]
    heads: Mapping[str, HeadMetrics]
    intervals: Mapping[str, MetricIntervals]
    differences: Mapping[str, MetricDifferences]
    reference: str
    level: float = LEVEL
    positives: Mapping[str, int] = field(default_factory=dict)
    choice: Choice | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()

    @classmethod
    def read(cls, folder: Path) -> "RunMetrics":
        """Reads ``metrics.json`` in a folder.

        Raises:
            InputError: about the argument ``run``, if it is missing, damaged, or a different file.
        """
        return cls.of(read_json(folder / METRICS, EXPECTED), str(folder / METRICS))

    @classmethod
    def of(cls, content: Plain, name: str = METRICS) -> "RunMetrics":
        """Returns the typed values of the content of ``metrics.json``.

        Args:
            content: the content, from the file or as it is written to it.
            name: the name of the file, for the error.
        """
        try:
            return _parsed(content)
        except Exception as error:  # a different file may raise almost anything
            raise InputError("run", EXPECTED, f"{name} ({first_line(error)})") from error

    @property
    def reported(self) -> str:
        """The name in :attr:`setup` of the images that the results are reported on."""
        return "test" if "test" in self.setup else "val"

    @property
    def reported_file(self) -> str:
        """The name of the feature file that the results are reported on."""
        return str(self.setup[self.reported]["file"])

    def interval(self, kind: str) -> Interval:
        """Returns the mAP of a kind of head, without limits if it was not compared."""
        if kind in self.intervals:
            return self.intervals[kind].mAP
        return Interval(number(self.heads[kind].mean["all"]["mAP"]), math.nan, math.nan)


def number(value: object) -> float:
    """Returns a number of a JSON file as a float; NaN for null and for infinity."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{str(value)[:40]!r} instead of a number")
    return float(value) if math.isfinite(value) else math.nan


def _parsed(content: Plain) -> RunMetrics:
    setup, found = dict(content["setup"]), content.get("intervals") or {}
    for part in ("train", "val", *(("test",) if "test" in setup else ())):
        str(setup[part]["file"]), int(setup[part]["images"]), str(setup[part]["sha256"])
    heads = {str(kind): _head(one) for kind, one in content["heads"].items()}
    names = check_label_names(list(next(iter(heads.values())).mean["AP"]))
    if any(list(head.mean["AP"]) != list(names) for head in heads.values()):
        raise ValueError("heads with different labels")
    differences = {str(kind): _difference(one, names) for kind, one in found.get("differences", {}).items()}
    intervals = {str(kind): _intervals(one, names) for kind, one in found.get("heads", {}).items()}
    if not intervals.keys() <= heads.keys() or not differences.keys() <= intervals.keys():
        raise ValueError("intervals of heads without metrics")
    return RunMetrics(
        setup, names, heads, intervals, differences, str(found.get("reference", "")), number(found.get("level", LEVEL)),
        {str(name): int(count) for name, count in (found.get("positives") or {}).items()},
        _choice(content.get("recommendation"), intervals.keys()),
        {str(name): str(path) for name, path in (content.get("files") or {}).items()},
        tuple(str(command) for command in content.get("commands") or ()),
    )  # fmt: skip


def _head(content: Plain) -> HeadMetrics:
    seeds, mean = content["seeds"], content["mean"]
    if not mean.keys() >= PARTS:
        raise ValueError("metrics without all, top3 and AP")
    row = {part: {str(name): _defined(value) for name, value in mean[part].items()} for part in ("all", "top3", "AP")}
    numbers = tuple(int(seed["seed"]) for seed in seeds)
    last, own = (dict(values or {}) for values in (seeds[0].get("last_epoch"), content.get("setup")))
    return HeadMetrics(numbers, row, number(seeds[0]["all"]["mAP"]), last, own)


def _defined(value: object) -> float | None:
    return None if math.isnan(found := number(value)) else found


def _intervals(content: Plain, names: Sequence[str]) -> MetricIntervals:
    AP = tuple(_interval(content["AP"][name]) for name in names)
    return MetricIntervals(_interval(content["mAP"]), _interval(content["OF1"]), AP)


def _interval(content: Plain) -> Interval:
    return Interval(*(number(content[name]) for name in ("value", "low", "high")))


def _difference(content: Plain, names: Sequence[str]) -> MetricDifferences:
    def of(one: Plain) -> Difference:
        return Difference(*(number(one[name]) for name in ("value", "low", "high", "above")))

    place = {name: k for k, name in enumerate(names)}
    gained, lost = (tuple(place[name] for name in content[part]) for part in ("gained", "lost"))
    return MetricDifferences(
        of(content["mAP"]), of(content["OF1"]), tuple(of(content["AP"][n]) for n in names), gained, lost
    )


def _choice(content: Plain | None, kinds: Collection[str]) -> Choice | None:
    if content is None:
        return None
    selection = content["selection"]
    kind, reference = str(content["head"]), str(content["reference"])
    if kind not in kinds or reference not in kinds:
        raise ValueError(f"{kind[:40]!r} is recommended, but was not compared")
    scores, errors = ({str(k): number(v) for k, v in selection[part].items()} for part in ("mAP", "standard_error"))
    return Choice(kind, reference, str(selection["images"]), scores, errors)

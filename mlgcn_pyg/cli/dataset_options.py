"""The options that describe a data set, declared once for all commands that open one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.cli.inputs import check_dataset
from mlgcn_pyg.cli.options import DATA, choice, from_dataclass, option
from mlgcn_pyg.errors import Argument, InputError, renamed_arguments

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.datasets import COCO, VOC2007, TableDataset

KINDS = ("voc2007", "coco2014", "coco", "table")
DIFFICULT = ("unknown", "positive")
# options for some kinds of data sets, and their default values
OWNERS: dict[str, tuple[tuple[str, ...], object]] = {
    "labels": (("table",), None),
    "difficult": (("voc2007",), "unknown"),
    "annotations": (("coco",), None),
    "keep_empty": (("coco2014", "coco"), False),
}

DATASET_HELP = "voc2007 (or its layout), coco2014, coco (its format), or table (CSV or Parquet)."
ROOT_HELP = "Folder of VOCdevkit, of COCO's annotations, or of the images of --annotations or of a table."
Split = Annotated[
    str | None,
    option(
        "voc2007: trainval, test, …; coco2014: train, val; coco: train2017, …; table: a value of its column 'split'.",
        DATA,
    ),
]
Annotations = Annotated[
    Path | None, option("coco: the annotation file.", DATA, show_default="annotations/instances_SPLIT.json in --root")
]
Labels = Annotated[Path | None, option("table: the file of labels (CSV or Parquet).", DATA)]
ImageColumn = Annotated[str, option("table: the column of image files.", DATA)]
LabelsColumn = Annotated[
    str | None, option("table: the column of label names; 'labels' if the table has it.", DATA, show_default=False)
]
Separator = Annotated[str, option("table: the separator of label names.", DATA)]


@dataclass(frozen=True)
class DatasetOptions:
    """The options that describe a data set."""

    dataset: Annotated[str, choice(DATASET_HELP, DATA, KINDS)]
    root: Annotated[Path, option(ROOT_HELP, DATA)]
    split: Split = None
    labels: Labels = None
    image_column: ImageColumn = "image"
    labels_column: LabelsColumn = None
    separator: Separator = ";"
    difficult: Annotated[str, choice("voc2007: difficult objects count as unknown or positive.", DATA, DIFFICULT)] = (
        "unknown"
    )
    keep_empty: Annotated[bool, option("coco2014, coco: keep images without objects.", DATA, "--keep-empty")] = False
    annotations: Annotations = None
    max_bytes: Annotated[int, option("Limit on the memory of labels.", DATA, show_default="4 GiB")] = 1 << 32

    def open(
        self, transform: Callable | None = None, label_names: Sequence[str] | None = None
    ) -> "COCO | VOC2007 | TableDataset":
        """Returns the data set. Raises an InputError if it has no images."""
        from mlgcn_pyg.datasets import COCO2014, VOC2007

        check_choice("dataset", self.dataset, KINDS)
        check_positive("max_bytes", self.max_bytes)
        self._check_unused()
        data: COCO | VOC2007 | TableDataset
        limit = {"max_bytes": self.max_bytes}
        if self.dataset == "table":
            data = self._open_table(transform, label_names)
        elif self.dataset == "voc2007":
            data = VOC2007(self.root, self._split("trainval or test"), transform, difficult=self.difficult, **limit)
        elif self.dataset == "coco":
            data = self._open_coco(transform)
        else:
            data = COCO2014(self.root, self._split("train or val"), transform, keep_empty=self.keep_empty, **limit)
        if not len(data):
            place = f"none in {self.root}" + (f", split {self.split}" if self.split else "")
            raise InputError("dataset", "at least one image", place)
        check_dataset(data, self.root)
        return data

    def for_validation(self, split: str | None, labels: Path | None) -> "DatasetOptions":
        """Returns the options of the data set to validate on: a different split, or a second file of labels."""
        if self.dataset == "coco":
            return replace(self, split=split, annotations=labels)
        return replace(self, split=split, labels=labels or self.labels)

    def words(self) -> list[str]:
        """Returns the options with other values than their defaults, as words of a command line."""
        words: list[str] = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value != field.default:
                flag = f"--{field.name.replace('_', '-')}"
                words += [flag] if value is True else [flag, str(value)]
        return words

    def _check_unused(self) -> None:
        for name, (kinds, default) in OWNERS.items():
            if getattr(self, name) != default and self.dataset not in kinds:
                found = f"a value, valid for {' and '.join(kinds)} only"
                raise InputError(name, f"no value with --dataset {self.dataset}", found)

    def _split(self, known: str) -> str:
        if self.split is None:
            raise InputError("split", f"a split such as {known}", "none", ("give ", Argument("split")))
        return self.split

    def _open_coco(self, transform: Callable | None) -> "COCO":
        """Opens ``--annotations``, or else the annotations of a split in COCO's folders."""
        from mlgcn_pyg.datasets import COCO
        from mlgcn_pyg.datasets.coco import annotations_of

        if self.annotations is None:
            split = self._split("train2017, or the file of annotations")
            annotations, images = annotations_of(self.root, split), self.root / split
        elif self.split is not None:
            raise InputError("split", "no value with a file of annotations", self.split)
        else:
            annotations, images = self.annotations, self.root
            named = self.root / annotations.stem.removeprefix("instances_")  # COCO's folder of these images
            images = named if named.is_dir() else self.root
        with renamed_arguments(image_root="root"):
            return COCO(annotations, images, transform, keep_empty=self.keep_empty, max_bytes=self.max_bytes)

    def _open_table(self, transform: Callable | None, label_names: Sequence[str] | None) -> "TableDataset":
        from mlgcn_pyg.datasets import TableDataset

        if self.labels is None:
            raise InputError("labels", "the file of labels", "none", ("give ", Argument("labels", "photos.csv")))
        with renamed_arguments(path="labels", image_root="root"):
            return TableDataset(
                self.labels,
                self.root,
                image_column=self.image_column,
                labels_column=self.labels_column,
                separator=self.separator,
                split=self.split,
                label_names=label_names,
                transform=transform,
                max_bytes=self.max_bytes,
            )


@dataclass(frozen=True)
class OptionalDatasetOptions(DatasetOptions):
    """The options that describe a data set, for a command that can do without one."""

    dataset: Annotated[str | None, choice(DATASET_HELP, DATA, KINDS)] = None  # type: ignore[assignment]
    root: Annotated[Path | None, option(ROOT_HELP, DATA)] = None  # type: ignore[assignment]

    @property
    def given(self) -> bool:
        """Whether there is a data set.

        Raises:
            InputError: if it is incomplete.
        """
        if self.dataset is None and (words := self.words()):
            raise InputError("dataset", f"one of {', '.join(KINDS)}", f"none, but {words[0]}")
        if self.dataset is not None and self.root is None:
            raise InputError("root", "the folder of the data set", "none", ("give ", Argument("root", "photos")))
        return self.dataset is not None


DATASET = from_dataclass(DatasetOptions)
OPTIONAL_DATASET = from_dataclass(OptionalDatasetOptions)

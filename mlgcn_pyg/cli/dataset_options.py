"""The options that describe a data set, declared once for all commands that open one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.cli.options import DATA, choice, from_dataclass, option
from mlgcn_pyg.errors import Argument, InputError, renamed_arguments

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.datasets import COCO2014, VOC2007, TableDataset

KINDS = ("voc2007", "coco2014", "table")
DIFFICULT = ("unknown", "positive")
# options for one kind of data set, and their default values
OWNERS = {"labels": ("table", None), "difficult": ("voc2007", "unknown"), "keep_empty": ("coco2014", False)}

Split = Annotated[
    str | None, option("voc2007: trainval, test, …; coco2014: train, val; table: a value of its column 'split'.", DATA)
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

    dataset: Annotated[str, choice("voc2007 (or its layout), coco2014, or table (CSV or Parquet).", DATA, KINDS)]
    root: Annotated[Path, option("Folder of VOCdevkit, of COCO's annotations, or of the table's images.", DATA)]
    split: Split = None
    labels: Labels = None
    image_column: ImageColumn = "image"
    labels_column: LabelsColumn = None
    separator: Separator = ";"
    difficult: Annotated[str, choice("voc2007: difficult objects count as unknown or positive.", DATA, DIFFICULT)] = (
        "unknown"
    )
    keep_empty: Annotated[bool, option("coco2014: keep images without objects.", DATA, "--keep-empty")] = False

    def open(
        self, transform: Callable | None = None, label_names: Sequence[str] | None = None
    ) -> "COCO2014 | VOC2007 | TableDataset":
        """Returns the data set. Raises an InputError if it has no images."""
        from mlgcn_pyg.datasets import COCO2014, VOC2007

        check_choice("dataset", self.dataset, KINDS)
        self._check_unused()
        data: COCO2014 | VOC2007 | TableDataset
        if self.dataset == "table":
            data = self._open_table(transform, label_names)
        elif self.dataset == "voc2007":
            data = VOC2007(self.root, self._split("trainval or test"), transform, difficult=self.difficult)
        else:
            data = COCO2014(self.root, self._split("train or val"), transform, keep_empty=self.keep_empty)
        if not len(data):
            place = f"none in {self.root}" + (f", split {self.split}" if self.split else "")
            raise InputError("dataset", "at least one image", place)
        return data

    def _check_unused(self) -> None:
        for name, (kind, default) in OWNERS.items():
            if getattr(self, name) != default and self.dataset != kind:
                raise InputError(name, f"no value with --dataset {self.dataset}", f"a value, valid for {kind} only")

    def _split(self, known: str) -> str:
        if self.split is None:
            raise InputError("split", f"a split such as {known}", "none", ("give ", Argument("split")))
        return self.split

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
            )


DATASET = from_dataclass(DatasetOptions)

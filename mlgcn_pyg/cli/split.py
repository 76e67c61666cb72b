"""``mlgcn data split``: divides a table into stratified parts or folds."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.options import DATA, OUTPUT, option
from mlgcn_pyg.cli.outputs import make_folder

if TYPE_CHECKING:  # this loads torch
    from mlgcn_pyg.datasets.part_statistics import PartStatistics

RARE = 10  # maximum number of rare labels in printed text; --json lists all labels
NAMED = 20  # maximum number of label names in a line


def split(
    *,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Images and their labels (.csv, .tsv or .parquet).")],
    val: Annotated[float, option("Fraction of the images in val.", DATA, show_default=False)] = 0.0,
    test: Annotated[float, option("Fraction of the images in test.", DATA, show_default=False)] = 0.0,
    folds: Annotated[
        int | None, option("Write fold1, fold2, … instead of train and val.", DATA, show_default=False)
    ] = None,
    group: Annotated[
        str | None, option("Column whose equal values stay in one part; a row without a value is alone.", DATA)
    ] = None,
    seed: Annotated[int, option("Seed of the random order of the images.", DATA)] = 0,
    image_column: Annotated[str, option("The column of image files.", DATA)] = "image",
    labels_column: Annotated[
        str | None, option("The column of label names; 'labels' if the table has it.", DATA, show_default=False)
    ] = None,
    separator: Annotated[str, option("The separator of label names.", DATA)] = ";",
    max_bytes: Annotated[int, option("Limit on the memory of labels.", DATA, show_default="4 GiB")] = 1 << 32,
    out: Annotated[Path | None, option("Folder for the parts.", OUTPUT, show_default="the folder of the table")] = None,
    overwrite: Annotated[bool, option("Replace parts of a different split in --out.", OUTPUT, "--overwrite")] = False,
    json: options.Json = False,
) -> None:
    """Divide a table into train, val and test, or into folds, with equal shares of each label.

    Writes train.csv, val.csv and test.csv, or fold1.csv, fold2.csv, …, with the
    columns and cells of the table unchanged. The images of each label, rarest
    labels first, are divided in proportion to the parts (iterative
    stratification). A label with one image is in train. Parts have exactly the
    requested sizes, or with --group differ by less than the largest group.
    Unknown labels (-1) count as absent. The same options give the same parts.
    Existing files of different content are kept, unless --overwrite is given.
    The share deviation of a part is the mean absolute difference between its
    share of images with a label and the share in the table, over all labels.
    """
    import numpy as np

    from mlgcn_pyg.datasets.part_statistics import part_statistics
    from mlgcn_pyg.datasets.stratified import LabelTable, shares_of
    from mlgcn_pyg.datasets.table_parts import write_parts

    shares_of(val, test, folds)  # before the table is read, which may take long
    with console.status("reading labels"):
        read = LabelTable.read(
            table,
            image_column=image_column,
            labels_column=labels_column,
            separator=separator,
            group=group,
            max_bytes=max_bytes,
        )
    with console.status("dividing images"):
        parts = read.divide(val, test, folds, seed)
    folder = table.parent if out is None else out
    make_folder("out", folder)
    files = [folder / f"{name}{table.suffix}" for name in parts]
    part_of_row = np.empty(len(read.targets), dtype=np.int64)
    for k, rows in enumerate(parts.values()):
        part_of_row[rows] = k
    write_parts(table, part_of_row, files, overwrite)
    statistics = part_statistics(read.targets, read.label_names, parts)
    if json:
        print_json(_content(table, statistics, files, seed))
    else:
        _show(statistics)
        _name_files(files, folds)
    _warn(read.label_names, statistics)


def _name_files(files: Sequence[Path], folds: int | None) -> None:
    console.say(f"Wrote {', '.join(map(str, files))}")
    if folds is None:
        labels = shlex.quote(str(files[0]))
        console.say(f"Next: mlgcn graph --dataset table --root PHOTOS --labels {labels} --out graph.pt")


def _content(table: Path, statistics: "dict[str, PartStatistics]", files: list[Path], seed: int) -> dict[str, Any]:
    parts = {
        name: {"file": str(file)} | asdict(part) for (name, part), file in zip(statistics.items(), files, strict=True)
    }
    return {"table": str(table), "seed": seed, "parts": parts}


def _show(statistics: "dict[str, PartStatistics]") -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("part", "images", "labels per image", "without labels", "labels without images", "share deviation"):
        table.add_column(column, justify="left" if column == "part" else "right", no_wrap=True)
    for name, part in statistics.items():
        counts = (f"{part.num_images:,}", f"{part.labels_per_image:.3f}", f"{part.num_without_labels:,}")
        table.add_row(name, *counts, f"{len(part.without_positives):,}", f"{100 * part.share_deviation:.3f} %")
    console.show_table(table)
    rarest = sorted(_totals(statistics).items(), key=lambda item: item[1])
    table = Table(title="Rarest labels, in images", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("label", "all", *statistics):
        table.add_column(column, justify="left" if column == "label" else "right", no_wrap=True)
    for label, total in rarest[:RARE]:
        table.add_row(label, f"{total:,}", *(f"{part.positives[label]:,}" for part in statistics.values()))
    if rarest:
        console.show_table(table)


def _totals(statistics: "dict[str, PartStatistics]") -> dict[str, int]:
    """Returns the number of images of each label that has any."""
    parts = list(statistics.values())
    totals = {label: sum(part.positives[label] for part in parts) for label in parts[0].positives}
    return {label: total for label, total in totals.items() if total}


def _warn(label_names: Sequence[str], statistics: "dict[str, PartStatistics]") -> None:
    totals = _totals(statistics)
    if absent := [label for label in label_names if label not in totals]:
        console.note(f"Warning: no image has {_listed(absent)}")
    for name, part in statistics.items():
        if "fold1" not in statistics or name == "test":
            if part.without_positives:
                console.note(f"Warning: no image of {name} has {_listed(part.without_positives)}")
        elif alone := [label for label in totals if part.positives[label] == totals[label]]:
            console.note(f"Warning: without {name}, no image is left that has {_listed(alone)}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more

"""What the commands share: where results go, values of options, options that open a data set."""

import functools
from collections.abc import Callable
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import Argument, InputError, renamed_arguments
from mlgcn_pyg.files import check_file_name


def make_folder(argument: str, path: Path) -> None:
    """Makes the folder that results go to, before any work is done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(argument, "a folder that can be written", f"{path} ({error.strerror})") from error


def check_result(
    argument: str, path: Path, *read: Path | None, called: str = "those that are read", lost: str = "what is in it"
) -> None:
    """InputError, before any work, where a result cannot go to ``path`` or would replace a file that is read for it.

    ``called`` and ``lost`` are what the files that are read are, and hold, in the words of the error.
    """
    check_file_name(argument, path)
    if path.exists() and any(file is not None and file.exists() and path.samefile(file) for file in read):
        raise InputError(argument, f"another file than {called}", path, f"{lost} would be lost")


def pick_device(name: str) -> str:
    """``auto`` is CUDA where there is a GPU; any other name must be a device that torch has here."""
    import torch

    if name in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"  # nothing is put on the first GPU here: this may be the process of another one
    if name == "auto":
        return "cpu"
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError("device", "auto, cpu or a device of this machine", repr(name)) from error
    return name


def sides(image_size: str) -> tuple[int, int]:
    """``"448"`` as (448, 448) and ``"320x640"`` as (320, 640): height and width."""
    parts = image_size.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) for part in parts):
        raise InputError("image_size", "a side such as 448, or HEIGHTxWIDTH", repr(image_size))
    return int(parts[0]), int(parts[-1])


def widths(hidden: str) -> tuple[int, ...]:
    """``"1024,512"`` as (1024, 512)."""
    try:
        return tuple(int(width) for width in hidden.split(",") if width.strip())
    except ValueError as error:
        raise InputError("hidden", "widths such as 1024 or 1024,1024", repr(hidden)) from error


Dataset = Annotated[str, typer.Option(help="voc2007 (its layout), coco2014, or table (CSV or Parquet).")]
Root = Annotated[
    Path, typer.Option(help="Folder of VOCdevkit/VOC2007, of COCO's annotations, or of the table's photographs.")
]
Split = Annotated[
    str | None,
    typer.Option(help="voc2007: trainval, test, …; coco2014: train, val; table: value of its column 'split'."),
]
Labels = Annotated[Path | None, typer.Option(help="The table of labels, for --dataset table.")]
ImageColumn = Annotated[str, typer.Option(help="Table: column of image files.")]
LabelsColumn = Annotated[str | None, typer.Option(help="Table: column of separated label names.")]
Separator = Annotated[str, typer.Option(help="Table: what separates label names.")]
Difficult = Annotated[str, typer.Option(help="voc2007: what difficult objects count as, unknown or positive.")]
KeepEmpty = Annotated[bool, typer.Option("--keep-empty", help="coco2014: also the images without an object.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead, for scripts.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]

DATASETS = ("voc2007", "coco2014", "table")


def open_dataset(
    dataset: Dataset,
    root: Root,
    split: Split = None,
    labels: Labels = None,
    image_column: ImageColumn = "image",
    labels_column: LabelsColumn = None,
    separator: Separator = ";",
    transform=None,
    label_names=None,
    difficult: Difficult = "unknown",
    keep_empty: KeepEmpty = False,
):
    """The data set that the options describe, with at least one image."""
    from mlgcn_pyg.datasets import COCO2014, VOC2007, TableDataset

    check_choice("dataset", dataset, DATASETS)
    _refuse_unused(dataset, labels=labels, difficult=difficult != "unknown", keep_empty=keep_empty)
    if dataset == "table":
        if labels is None:
            raise InputError("labels", "the table of labels", "none", fix=["give ", Argument("labels", "photos.csv")])
        columns = {"image_column": image_column, "labels_column": labels_column, "separator": separator}
        with renamed_arguments(path="labels", image_root="root", labels_path="labels"):
            data = TableDataset(labels, root, **columns, split=split, label_names=label_names, transform=transform)
    elif split is None:
        known = "trainval or test" if dataset == "voc2007" else "train or val"
        raise InputError("split", f"a split such as {known}", "none", fix=["give ", Argument("split")])
    elif dataset == "voc2007":
        data = VOC2007(root, split, transform, difficult=difficult)
    else:
        data = COCO2014(root, split, transform, keep_empty=keep_empty)
    if not len(data):
        raise InputError("dataset", "at least one image", f"none in {root}" + (f", split {split}" if split else ""))
    return data


OPTION_OWNERS = {"labels": "table", "difficult": "voc2007", "keep_empty": "coco2014"}


def _refuse_unused(dataset: str, **given) -> None:
    for option, value in given.items():
        if value and OPTION_OWNERS[option] != dataset:
            raise InputError(option, f"no value with --dataset {dataset}", f"one, which is for {OPTION_OWNERS[option]}")


def opens_dataset(command: Callable) -> Callable:
    """Gives ``command`` the options that describe a data set, said once as the parameters of :func:`open_dataset`.

    In their place the command has one parameter ``open_data``: called with a transform and label names, both optional,
    it opens that data set.
    """
    shared = {n: p for n, p in signature(open_dataset).parameters.items() if n not in ("transform", "label_names")}
    own = {n: p for n, p in signature(command).parameters.items() if n != "open_data"}

    @functools.wraps(command)
    def wrapped(**values):
        chosen = {name: values.pop(name) for name in shared}
        return command(open_data=functools.partial(open_dataset, **chosen), **values)

    options = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (shared | own).values()]
    wrapped.__signature__ = Signature(options)
    wrapped.__annotations__ = {option.name: option.annotation for option in options}
    return wrapped

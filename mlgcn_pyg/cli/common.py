"""What the commands share: clean errors, progress bars, options that open a data set."""

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.cli.endings import refuse, trouble
from mlgcn_pyg.errors import InputError, printable_line
from mlgcn_pyg.files import check_file_name, write_text

# no markup: a label may be called "dog [small]"
# no word twice: of several processes that a launcher started, the first speaks
others = os.environ.get("RANK", "0") != "0"
out = Console(highlight=False, markup=False, quiet=others)
err = Console(stderr=True, highlight=False, markup=False, quiet=others)


def clean_errors(command: Callable) -> Callable:
    """Turns refused input and failing files into one line on stderr and exit code 2.

    With ``--json`` standard output is JSON even then: ``{"error": …}``.
    """

    @functools.wraps(command)
    def wrapped(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except (InputError, OSError) as error:
            told, cause = str(error), error
        except RuntimeError as error:
            if (told := trouble(error)) is None:
                raise
            cause = error
        refuse(told)
        if kwargs.get("json") or kwargs.get("json_out"):
            print_json({"error": printable_line(told)})
        raise typer.Exit(2) from cause

    return wrapped


def show_table(table: Table) -> None:
    """Prints a table whole: a narrow terminal wraps its lines, but no number is cut to an ellipsis."""
    width = table.__rich_measure__(out, out.options.update(width=1000)).maximum
    Console(width=max(out.width, width), highlight=False, markup=False).print(table)


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A bar on stderr; yields ``update(completed, note="")``. Where space is short the bar gives way, not a number."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(what, total=total, note="")
        yield lambda completed, note="": progress.update(task, completed=completed, note=note)


def to_json(content, indent: int | None = None) -> str:
    """JSON in which a number that it has no word for (NaN: an mAP without positives; infinity) is null."""
    return json.dumps(_defined(content), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def _defined(content):
    if isinstance(content, dict):
        return {name: _defined(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_defined(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def print_json(content) -> None:
    """Prints JSON for scripts; what standard output cannot write is escaped in JSON's way."""
    text = to_json(content, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=2) + "\n"
    typer.echo(text, nl=False)


def write_json(path: Path, content: dict) -> None:
    write_text(path, to_json(content, indent=2))


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
    from mlgcn_pyg.datasets import COCO2014, VOC2007, Table

    check_choice("dataset", dataset, DATASETS)
    _refuse_unused(dataset, labels=labels, difficult=difficult != "unknown", keep_empty=keep_empty)
    if dataset == "table":
        if labels is None:
            raise InputError("labels", "the table of labels", "none", fix="give --labels photos.csv")
        columns = {"image_column": image_column, "labels_column": labels_column, "separator": separator}
        data = Table(labels, root, **columns, split=split, label_names=label_names, transform=transform)
    elif split is None:
        known = "trainval or test" if dataset == "voc2007" else "train or val"
        raise InputError("split", f"a split such as {known}", "none", fix="give --split")
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
            name = option.replace("_", "-")
            raise InputError(
                name, f"no --{name} with --dataset {dataset}", f"one, which is for {OPTION_OWNERS[option]}"
            )


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

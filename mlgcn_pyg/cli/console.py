"""Prints results on standard output, and progress and warnings on standard error."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.table import Column, Table
from rich.text import Text

from mlgcn_pyg.errors import InputWarning, printable, printable_line, shortened

# with several processes, only the first prints
_quiet = os.environ.get("RANK", "0") != "0"
LONGEST = 2000  # characters of a message


class PlainConsole(Console):
    """Prints text as it is: brackets are no markup ("dog [small]"), and control characters in names are escaped."""

    def __init__(self, **settings: Any):
        super().__init__(highlight=False, markup=False, quiet=_quiet, **settings)

    def render_str(self, text: str, **style: Any) -> Text:
        """Returns a string, such as the cell of a table, as rich's ``Text``."""
        return super().render_str(printable(text), **style)


out, err = PlainConsole(), PlainConsole(stderr=True)


def say(line: str) -> None:
    """Prints a line of results. A narrow terminal wraps it; a pipe receives one line."""
    out.print(line, soft_wrap=True)


def note(line: str) -> None:
    """Prints a message on stderr, such as a warning or the name of a written file."""
    err.print(shortened(line, LONGEST), soft_wrap=True)


def status(text: str) -> Status:
    """Returns a context manager that shows on stderr what the command is doing."""
    return err.status(Text(printable_line(text)))


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Prints each warning within the block as one line on stderr, without the location in the code."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        note(f"Warning: {printable_line(message)}")

    with warnings.catch_warnings():
        warnings.filterwarnings("once", category=InputWarning)  # also where PYTHONWARNINGS hides those of libraries
        warnings.showwarning = show
        yield


def show_table(table: Table) -> None:
    """Prints a table at full width, so that no number is truncated. A narrow terminal wraps its lines."""
    width = table.__rich_measure__(out, out.options.update(width=1000)).maximum
    PlainConsole(width=max(out.width, width)).print(table)


@contextmanager
def progress_bar(title: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Shows a progress bar on stderr and yields ``update(completed, note="")``.

    On a narrow terminal the bar shrinks, and numbers are not truncated. A block that ends without an exception leaves a
    complete bar, also if items were skipped.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(printable_line(title), total=total, note="")

        def update(completed: float, note: str = "") -> None:
            progress.update(task, completed=completed, note=printable_line(note))

        yield update
        progress.update(task, total=progress.tasks[task].completed or total)

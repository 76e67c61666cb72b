"""Tables of blocks of rows, as Markdown and for the terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from mlgcn_pyg.errors import printable_line

DASH = "–"  # no value
WIDEST = 26  # columns of the first column in the terminal; longer names are continued on the next line


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: its name.
        group: the group that it forms with its neighbours, shown behind the name of a number; empty for none.
        is_number: whether its cells are aligned at the right.
    """

    name: str
    group: str = ""
    is_number: bool = True

    @property
    def header(self) -> str:
        return f"{self.name} ({self.group})" if self.group and self.is_number else self.name


@dataclass(frozen=True)
class Block:
    """Rows of a table below a heading. Each row has one text per column; missing values are dashes."""

    heading: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class TextTable:
    """A table of blocks. ``rich.print(table)`` shows it, and :meth:`markdown` returns it as text.

    In a terminal that is narrower than the table, the columns are divided into parts that are shown one below the
    other. Each part starts with the first column, and has the rows with a value in it.

    Attributes:
        title: the title.
        columns: the columns; the first has the names of the rows.
        blocks: the blocks of rows.
        notes: sentences below the table.
    """

    title: str
    columns: Sequence[Column]
    blocks: Sequence[Block] = field(repr=False)
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """Returns the table as Markdown.

        >>> columns = [Column("method", is_number=False), Column("mAP")]
        >>> print(TextTable("Results", columns, [Block("ours", [["mlgcn", "48.5"]])], ["In per cent."]).markdown())
        **Results**
        <BLANKLINE>
        | method | mAP |
        |---|---:|
        | **ours** |  |
        | mlgcn | 48.5 |
        <BLANKLINE>
        In per cent.
        """
        rows: list[Sequence[str]] = []
        for block in self.blocks:
            rows += [[f"**{printable_line(block.heading)}**"] + [""] * (len(self.columns) - 1), *block.rows]
        table = markdown_table(self.columns, rows)
        return "\n\n".join([f"**{_cell(self.title)}**", table, *map(printable_line, self.notes)])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield Text(printable_line(self.title), style="bold")
        for part in self._parts(options.max_width):
            yield from self._part(part)
            yield Text()
        for note in self.notes:
            yield Text(printable_line(note), style="dim")

    def _widths(self) -> list[int]:
        """Returns the widths of the columns in the terminal, with the blank before each."""
        rows = [[_short(column) for column in self.columns], *(row for block in self.blocks for row in block.rows)]
        widths = [1 + max(cell_len(printable_line(row[k])) for row in rows) for k in range(len(self.columns))]
        return [min(widths[0] - 1, WIDEST), *widths[1:]]

    def _parts(self, width: int) -> list[list[int]]:
        """Returns the columns of each part without the first; a group that fits into the width is not divided."""
        widths = self._widths()
        parts: list[list[int]] = [[]]
        room = width - widths[0]
        for _, members in groupby(range(1, len(self.columns)), key=lambda k: self.columns[k].group or k):
            group = list(members)
            if sum(widths[k] for k in group) > room:
                parts.append([])
                room = width - widths[0]
            for k in group:
                if widths[k] > room and parts[-1]:
                    parts.append([])
                    room = width - widths[0]
                parts[-1].append(k)
                room -= widths[k]
        return [part for part in parts if part]

    def _part(self, part: Sequence[int]) -> Iterator[Text]:
        widths = self._widths()
        aligned = [(k, widths[k], "right" if self.columns[k].is_number else "left") for k in part]

        def line(cells: Sequence[str], style: str = "") -> Text:
            *above, name = textwrap.wrap(printable_line(cells[0]), WIDEST) or [""]
            text = "".join(f"{part}\n" for part in above) + set_cell_size(name, widths[0])
            for k, width, side in aligned:
                cell = printable_line(cells[k])
                blanks = " " * (width - 1 - cell_len(cell))
                text += f" {blanks}{cell}" if side == "right" else f" {cell}{blanks}"
            return Text(text.rstrip(), style=style, no_wrap=True)

        yield line([_short(column) for column in self.columns], "bold")
        for block in self.blocks:
            rows = [row for row in block.rows if any(row[k] not in ("", DASH) for k in part)]
            if rows:
                yield Text(printable_line(block.heading), style="italic")
                yield from map(line, rows)


def _short(column: Column) -> str:
    """Returns the header in the terminal: ``CF1³`` for the top-3 labels, as in the table of ``mlgcn compare``."""
    return column.name + ("³" if column.group == "top-3" else "")


def markdown_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Returns rows as a Markdown table.

    >>> print(markdown_table([Column("head", is_number=False), Column("mAP")], [["a|b", "48.5"]]))
    | head | mAP |
    |---|---:|
    | a\\|b | 48.5 |
    """
    ruler = "|".join("---:" if column.is_number else "---" for column in columns)
    return "\n".join([_row([column.header for column in columns]), f"|{ruler}|", *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return printable_line(text).replace("|", "\\|")

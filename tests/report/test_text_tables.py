"""Tables of blocks in a terminal of any width, and as Markdown."""

import io

from rich.cells import cell_len
from rich.console import Console

from mlgcn_pyg.report.text_tables import Block, Column, TextTable

NUMBERS = [Column(name, part) for part in ("all", "top-3") for name in ("CP", "CR")]
COLUMNS = [Column("method", is_number=False), *NUMBERS]
LONG = "a name that does not fit into its column"
TABLE = TextTable(
    "Results | all",
    COLUMNS,
    [
        Block("published", [["CNN", "66.0", "55.6", "–", "–"]]),
        Block("ours", [["物体 head", "1.0", "2.0", "30.0", "40.0"], [LONG, *"1234"]]),
    ],
    ["In per cent."],
)


def shown(table, width):
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_wide_terminal_shows_all_columns_at_once():
    lines = shown(TABLE, 100)
    assert lines[1].split() == ["method", "CP", "CR", "CP³", "CR³"]
    assert lines[3].split() == ["CNN", "66.0", "55.6", "–", "–"]
    assert len({cell_len(line) for line in lines[3:8] if line[-1] in "0–4"}) == 1  # wide characters take two cells


def test_a_narrow_terminal_shows_groups_of_columns_below_each_other():
    lines = shown(TABLE, 40)
    assert max(map(cell_len, lines)) <= 40
    headers = [line.split() for line in lines if line.startswith("method")]
    assert headers == [["method", "CP", "CR"], ["method", "CP³", "CR³"]]
    assert sum(line.startswith("CNN") for line in lines) == 1  # it has no top-3 values
    assert sum(line.startswith("published") for line in lines) == 1


def test_a_group_that_does_not_fit_is_divided():
    headers = [line.split()[1] for line in shown(TABLE, 34) if line.startswith("method")]
    assert headers == ["CP", "CR", "CP³", "CR³"]


def test_long_names_continue_on_the_next_line():
    lines = shown(TABLE, 100)
    first = lines.index("a name that does not fit")
    assert lines[first + 1].split() == ["into", "its", "column", "1", "2", "3", "4"]


def test_markdown_escapes_bars_and_control_characters():
    text = TextTable("a|b", COLUMNS[:2], [Block("x\n|y", [["c|\x1bd", "1"]])]).markdown()
    assert text.splitlines() == [
        r"**a\|b**", "", "| method | CP (all) |", "|---|---:|", r"| **x \|y** |  |", r"| c\|\x1bd | 1 |",
    ]  # fmt: skip

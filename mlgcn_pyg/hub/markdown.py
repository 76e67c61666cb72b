"""Markdown with texts from files, such as names of labels, which are shown as they are and cannot become markup."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from mlgcn_pyg.errors import printable_line

UNKNOWN = "unknown"
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# what may begin markup, a formula, a link, a mention or an emoji within a line
SPECIAL = re.compile(r"[#$*@\[\\\]^_`{|}~]|:(?=\S)|(?<=[A-Za-z])\.(?=\w)")


def plain(text: object) -> str:
    """Returns a text as Markdown that shows it within a line, without control characters.

    >>> print(plain("<b>*dog*</b> | [x](http://a)"))
    &lt;b&gt;\\*dog\\*&lt;/b&gt; \\| \\[x\\](http\\://a)
    """
    escaped = SPECIAL.sub(r"\\\g<0>", printable_line(text))
    return "".join(ENTITIES.get(character, character) for character in escaped)


def code(text: object) -> str:
    """Returns a text as a code span on one line, also within a table.

    >>> print(code("a`b|c"))
    ``a`b\\|c``
    """
    line = printable_line(text) or " "
    longest = max((len(ticks) for ticks in re.findall("`+", line)), default=0)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    fence = "`" * (longest + 1)
    return f"{fence}{space}{line}{space}{fence}".replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns the lines of a table; all columns but the first are numbers.

    Args:
        header: the names of the columns, as Markdown.
        rows: the cells, as Markdown.
    """
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def listed(values: Iterable[str], most: int) -> str:
    """Returns texts with commas between them, of which the first ``most`` are shown.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    texts = list(values)
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def shown(value: Any) -> str:
    """Returns a setting as Markdown, shortened; ``unknown`` for None.

    >>> shown(None), shown(0.1), shown("adamw"), shown([1, 2])
    ('unknown', '0.1', '`adamw`', '`1, 2`')
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    if isinstance(value, list | tuple):
        return code(", ".join(map(str, value))[:200])
    return plain(value) if isinstance(value, bool | int) else code(str(value)[:500])

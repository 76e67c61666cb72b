"""Texts in Markdown, rendered by a parser of it."""

import html
import re

import pytest

from mlgcn_pyg.hub.markdown import code, listed, plain, table

AWKWARD = [
    "boat [small]", "a|b", "*dog*", "<script>alert(1)</script>", "`x`", "``", "a\nb", "# x", "&amp;", "\x1b[2J",
    "[a](http://b)", "![a](b)", "www.a.com", "me@a.com", "@user", ":smile:", "$x^2$", "~~no~~", "\\", "犬", "",
]  # fmt: skip


def unescaped(text: str) -> str:
    """Returns what escapes and entities stand for, as CommonMark defines them."""
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text))


@pytest.mark.parametrize("text", AWKWARD)
def test_plain_text_is_shown_as_it_is(text):
    found = plain(text)
    assert unescaped(found) == " ".join(text.split()).replace("\x1b", "\\x1b")
    assert not re.search(r"[<>\n]|(?<!\\)[*`|\[\]$@#_~]|(?<!\\)://|www\.|(?<!\\):\w", found)


@pytest.mark.parametrize("text", AWKWARD)
def test_code_spans_end_where_they_should(text):
    fence = re.match("`+", code(text))[0]
    inside = code(text)[len(fence) : -len(fence)]
    assert code(text).endswith(fence) and not re.search(rf"(?<!`){fence}(?!`)", inside) and "\n" not in inside
    assert not re.search(r"(?<!\\)\|", inside)


def test_tables_and_lists():
    assert table(["a", "b"], [["1", "2"]]) == ["| a | b |", "| --- | ---: |", "| 1 | 2 |"]
    assert listed([], 3) == "" and listed(["a", "b"], 2) == "a, b" and listed(["a"] * 3002, 2) == "a, a and 3,000 more"

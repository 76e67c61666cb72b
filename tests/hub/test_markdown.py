"""Texts in Markdown, rendered by a parser of it."""

import html
import re

import pytest
from markdown_it import MarkdownIt

from mlgcn_pyg.hub.markdown import code, listed, plain, table

AWKWARD = [
    "boat [small]", "a|b", "*dog*", "<script>alert(1)</script>", "`x`", "``", "a\nb", "# x", "&amp;", "\x1b[2J",
    "[a](http://b)", "![a](b)", "www.a.com", "me@a.com", "@user", ":smile:", "$x^2$", "~~no~~", "\\", "犬", "",
]  # fmt: skip


MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(text: str) -> str:
    """Returns a text on one line, as HTML."""
    return html.escape(" ".join(text.split()).replace("\x1b", "\\x1b"))


@pytest.mark.parametrize("text", AWKWARD)
def test_plain_text_is_shown_as_it_is(text):
    found = plain(text)
    assert MARKDOWN.renderInline(f"a {found} b") == f"a {shown(text)} b"
    # what the hub reads beyond CommonMark: formulas, mentions, emoji and addresses
    assert not re.search(r"(?<!\\)[$@#]|(?<!\\)://|www\.|(?<!\\):\w", found)


@pytest.mark.parametrize("text", AWKWARD)
def test_code_is_shown_as_it_is(text):
    cell = MARKDOWN.render(f"| a |\n| --- |\n| {code(text)} |\n")
    assert f"<td><code>{shown(text) or ' '}</code></td>" in cell


@pytest.mark.parametrize("text", AWKWARD)
def test_cells_are_shown_as_they_are(text):
    rendered = MARKDOWN.render("\n".join(table(["a", "b"], [[plain(text), "1"]])))
    assert f"<td>{shown(text)}</td>\n" in rendered and rendered.count("<td") == 2


def test_tables_and_lists():
    assert table(["a", "b"], [["1", "2"]]) == ["| a | b |", "| --- | ---: |", "| 1 | 2 |"]
    assert listed([], 3) == "" and listed(["a", "b"], 2) == "a, b" and listed(["a"] * 3002, 2) == "a, a and 3,000 more"

"""HTML that Python's own parser reads back."""

from html.parser import HTMLParser

import numpy as np
import pytest

from mlgcn_pyg.html import Html, element, escaped, joined, number, table


class Parsed(HTMLParser):
    """The elements and the texts of a piece of HTML."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.opened: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.opened.append(tag)
        self.attributes = dict(attrs)

    def handle_data(self, data):
        self.texts.append(data)


HOSTILE = ["<script>alert(1)</script>", "a & b", "\"' onload=x", "</td></table>", "<!--", "]]>", "&amp;"]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text):
    parsed = Parsed(table([text], [[text]], caption=text))
    assert parsed.opened == ["table", "caption", "thead", "tr", "th", "tbody", "tr", "td"]
    assert parsed.texts == [text] * 3


@pytest.mark.parametrize("text", HOSTILE)
def test_attributes_stay_attributes(text):
    assert Parsed(element("td", "x", title=text, data_name=Html("kept"))).attributes == {
        "title": text,
        "data-name": "kept",
    }


def test_control_characters_and_lone_surrogates_are_shown_as_escapes():
    assert escaped("a\x1b[1m\ud800\n b") == "a\\x1b[1m\\ud800 b"
    escaped("\ud800").encode()


def test_html_is_inserted_unchanged_and_only_html():
    assert element("p", Html("<b>x</b>"), "<b>") == "<p><b>x</b>&lt;b&gt;</p>"
    assert joined(["a", "b"], "<") == "a&lt;b"


def test_numbers_are_right_aligned_and_text_is_not():
    html = table(["a", "b", "c", "d"], [[1, np.float32(0.25), "3", None], [np.int64(7), float("nan"), True, -1]])
    assert Parsed(html).texts == ["a", "b", "c", "d", "1", "0.250", "3", "–", "7", "–", "True", "−1"]
    assert html.count("text-align:right") == 6 and html.count('dir="auto"') == 2


def test_a_table_without_rows():
    assert Parsed(table(["a"], [])).opened == ["table", "thead", "tr", "th", "tbody"]


def test_infinite_numbers():
    assert number(float("inf")) == "inf" and number(float("-inf")) == "−inf"

"""The text of a page: one file, well-formed, escaped, with a policy that allows its own scripts only."""

import base64
import hashlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.page import PageContent, StudyContent, write_page, writing
from mlgcn_pyg.report.page.writing import own_script, page_html
from tests.report.page.pages import made_content, made_targets

EMPTY = {"img", "input", "meta"}  # elements without an end


@pytest.fixture(autouse=True)
def short_plotly(monkeypatch):
    """The 5 MB of plotly.js take time to search; the tests in a browser have it."""
    monkeypatch.setattr(writing, "plotly_script", lambda: "var Plotly;")


class Structure(HTMLParser):
    """Checks that each element ends where it must, and that ids are unique."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def data_of(text: str):
    return json.loads(re.search(r'id="page-data">(.*?)</script>', text).group(1), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def content():
    return made_content(12, 80, pictures=3)


def test_the_page_is_well_formed(content):
    found = Structure(page_html(content))
    assert [tag for tag in found.tags if tag in ("h1", "main", "nav")] == ["h1", "nav", "main"]
    for name in ("verdict", "heads", "labels", "curves", "graph", "mistakes", "study", "training", "reproduce"):
        assert name in found.ids


def test_links_lead_to_sections(content):
    text = page_html(content)
    links = re.findall(r'href="#([a-z]+)"', text)
    assert len(links) > 8
    assert set(links) <= set(Structure(text).ids)


def test_nothing_is_requested(content):
    text = page_html(content)
    addresses = re.findall(r'(?:src|href|srcset|action|data)="([^"#][^"]*)"', text)
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert "url(" not in text
    assert "@import" not in text


def test_the_policy_allows_the_scripts_of_the_page_and_nothing_else(content):
    text = page_html(content)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert policy.startswith("default-src 'none'; ")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert set(re.findall(r"'sha256-([^']*)'", policy)) == digests
    assert text.index("Content-Security-Policy") < text.index("<script")
    assert text.index('charset="utf-8"') < 1024


def test_own_scripts_are_strict_and_never_read_text_as_html_or_code():
    script = own_script()
    assert script.startswith('(function () {\n"use strict";')
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "http",
    ):
        assert word not in script.replace("http://www.w3.org/2000/svg", "")


HOSTILE = [
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "</title><b>",
    "]]>--><!--",
    "a\x00b\x1b[2J\u202e",
    "قطة",
    "猫",
]


def test_all_texts_are_escaped():
    """Names, sentences, commands and facts are hostile at once; the structure stays that of the page."""
    names = HOSTILE
    plain = made_content(len(names), 40, pictures=2)
    content = made_content(len(names), 40, names, pictures=2)
    bad = HOSTILE[0]
    content = replace(content, title=bad, verdict=[bad], images=bad, commands=[bad], reference=bad,
                      study=StudyContent([bad], figures={bad: b"png"}))  # fmt: skip
    content = replace(content, heads=[replace(head, name=f"{bad}{k}") for k, head in enumerate(content.heads)])
    text = page_html(content)
    assert Structure(text).tags.count("script") == Structure(page_html(plain)).tags.count("script")
    assert "<script>alert" not in text
    assert 'onload="' not in text
    assert "\x1b" not in text
    assert "\x00" not in text
    assert data_of(text)["labels"][0] == bad


def test_heads_with_several_seeds_are_named(content):
    """The tables show means over seeds, everything else the first seed."""
    assert "Trained with several seeds: mlgcn (3)." in page_html(content)
    single = replace(content, heads=[replace(head, num_seeds=1) for head in content.heads])
    assert "several seeds" not in page_html(single)


def test_sections_without_content_are_left_out():
    content = PageContent("t", ["A sentence."], "test.h5", ["a", "b"], torch.zeros(3, 2, dtype=torch.int8))
    found = Structure(page_html(content))
    assert [name for name in found.ids if name in {name for name, _, _ in writing.SECTIONS}] == ["verdict", "words"]
    assert data_of(page_html(content))["curves"] is None


def test_plotly_is_not_needed_without_curves(monkeypatch, tmp_path):
    monkeypatch.setattr(writing, "plotly_script", pytest.fail)
    content = PageContent("t", ["A sentence."], "test.h5", ["a"], torch.zeros(3, 1, dtype=torch.int8))
    assert write_page(content, tmp_path / "page.html").stat().st_size < 100_000


def test_plotly_is_missing(monkeypatch, tmp_path, content):
    monkeypatch.undo()
    writing.plotly_script.cache_clear()
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(InputError, match=r"plotly \(extra 'report'\).*pip install"):
        write_page(content, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_one_label_one_image_no_edge():
    targets = torch.tensor([[1]], dtype=torch.int8)
    text = page_html(made_content(1, 1, ["cat"], targets=targets))
    assert "No label makes another one likely" in text
    assert data_of(text)["graph"] is None


def test_three_labels_one_image_without_positives_of_two():
    text = page_html(made_content(3, 1, ["cat", "dog", "owl"], targets=torch.tensor([[0, 1, 0]], dtype=torch.int8)))
    assert data_of(text)["AP"][0][0] is None
    assert "nan" not in re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL).casefold()


def test_all_targets_unknown():
    text = page_html(made_content(3, 4, targets=torch.full((4, 3), -1, dtype=torch.int8)))
    assert data_of(text)["mAP"] == [None, None]


def test_a_graph_of_given_probabilities_has_no_counts():
    content = made_content(4, 30)
    graph = LabelGraph.from_targets(made_targets(30, 4), tau=0.2)
    graph.label_counts.zero_()
    text = page_html(replace(content, graph=graph))
    assert data_of(text)["graph"]["counts"] is None
    assert "training images</button>" not in text


def test_counts_of_training_images_may_be_given(content):
    text = page_html(replace(content, graph=None, label_counts=[1234, *range(11)]))
    assert "1,234" in text


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"label_names": ["a"]}, "label_names"),
        ({"label_counts": [1]}, "label_counts"),
        ({"targets": torch.zeros(3, dtype=torch.int8)}, "targets"),
        ({"targets": torch.zeros(7, 12, dtype=torch.int8)}, "logits"),
        ({"graph": LabelGraph.from_targets([[1, 1]])}, "graph"),
    ],
)
def test_shapes_that_do_not_fit(content, changes, argument):
    with pytest.raises(InputError) as caught:
        page_html(replace(content, **changes))
    assert caught.value.argument == argument


def test_an_interrupted_page_leaves_nothing(monkeypatch, tmp_path, content):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "curve_values", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_page(content, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_eighty_labels_with_a_hundred_pictures_are_below_ten_megabytes():
    content = made_content(80, 2000, pictures=100)
    assert len(page_html(content).encode()) + 4_900_000 < 10_000_000


def test_cases_without_pictures_are_rows():
    text = page_html(made_content(5, 50))
    assert "listed by name, without pictures" in text
    assert "<img" not in text


def test_p_of_an_edge_may_be_given():
    text = page_html(made_content(5, 50))
    assert "or the number that was given for a known edge" in text and "P in training" not in text

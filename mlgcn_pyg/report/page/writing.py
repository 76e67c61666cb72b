"""Writes a page: the sections, the style, the data and the scripts, as one file."""

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from mlgcn_pyg.checks import check_text
from mlgcn_pyg.errors import InputError, printable_line
from mlgcn_pyg.evaluation.inputs import check_scores
from mlgcn_pyg.files.atomic import write_text
from mlgcn_pyg.html import Html, element, joined
from mlgcn_pyg.labels import check_label_names
from mlgcn_pyg.report.page.cases import confusions, mistakes, suspects
from mlgcn_pyg.report.page.closing import reproduce, training, training_values, words
from mlgcn_pyg.report.page.content import PageContent
from mlgcn_pyg.report.page.curve_data import curve_values
from mlgcn_pyg.report.page.curve_section import curves
from mlgcn_pyg.report.page.graph_section import graph_values, label_graph
from mlgcn_pyg.report.page.packing import json_script
from mlgcn_pyg.report.page.parts import images
from mlgcn_pyg.report.page.reliability_data import reliability_values
from mlgcn_pyg.report.page.results import heads, labels, verdict
from mlgcn_pyg.report.page.study_section import study

SECTIONS: tuple[tuple[str, str, Callable[[PageContent], Html]], ...] = (
    ("verdict", "Verdict", verdict),
    ("heads", "Heads", heads),
    ("labels", "Labels", labels),
    ("curves", "Curves", curves),
    ("graph", "Label graph", label_graph),
    ("confusions", "Confusions", confusions),
    ("mistakes", "Mistakes", mistakes),
    ("suspects", "Suspected labels", suspects),
    ("study", "Study", study),
    ("training", "Training", training),
    ("reproduce", "Reproduce", reproduce),
    ("words", "Words", lambda _: words()),
)
SCRIPTS = ("report.js", "curves.js", "graph.js", "graph_controls.js", "start.js")


def write_page(content: PageContent, path: str | Path) -> Path:
    """Writes a report as one HTML file, atomically.

    The file requests nothing: style, scripts, data and pictures are within it, and its content security policy forbids
    all else. It is readable without scripts, except for curves and the picture of the graph.

    Args:
        content: what the page shows. A section without content is left out.
        path: the file, such as ``report.html``.

    Returns:
        The path.

    Raises:
        InputError: if plotly is not installed and there are curves, or the shapes of the content do not fit together.
    """
    write_text(path, page_html(content))
    return Path(path)


def page_html(content: PageContent) -> str:
    """Returns the page as text; see :func:`write_page`."""
    check_content(content)
    found = [(name, title, part) for name, title, make in SECTIONS if (part := make(content))]
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in found]
    values = page_values(content)
    scripts = [plotly_script()] if values["curves"] or values["training"] or values["points"] else []
    scripts.append(own_script())
    head = element("head", *_meta(content, scripts), element("style", Html(_file("report.css"))))
    body = element(
        "body",
        element("a", "Skip to the results", href="#verdict", class_="skip"),
        element(
            "header", element("p", "mlgcn_pyg report", class_="kind"), element("h1", content.title), _summary(content)
        ),
        element("nav", element("ul", *links), aria_label="Sections"),
        element("main", *(part for _, _, part in found)),
        json_script("page-data", values),
        *(Html(f"<script>{text}</script>") for text in scripts),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def page_values(content: PageContent) -> dict[str, Any]:
    """Returns the data that the scripts read."""
    logits = [head.logits for head in content.heads]
    calibrated = [head.calibrated for head in content.heads]
    points = content.study.points if content.study else {}
    return {
        "labels": [printable_line(name) for name in content.label_names],
        "heads": [printable_line(head.name) for head in content.heads],
        "positives": (content.targets == 1).sum(0).tolist(),
        "AP": [[None if ap.value != ap.value else round(ap.value, 4) for ap in head.AP] for head in content.heads],
        "mAP": [None if head.mAP.value != head.mAP.value else round(head.mAP.value, 4) for head in content.heads],
        "curves": curve_values(logits, content.targets) if logits else None,
        "reliability": reliability_values(logits, calibrated, content.targets) if logits else None,
        "graph": graph_values(content),
        "training": training_values(tuple(content.heads)),
        "points": [places.detach().cpu().double().round(decimals=4).tolist() for places in points.values()],
    }


def check_content(content: PageContent) -> None:
    """Checks that the shapes of the content fit together.

    Raises:
        InputError: if they do not.
    """
    check_text("title", content.title)
    if content.targets.ndim != 2:
        raise InputError("targets", "shape (N, C)", f"shape {tuple(content.targets.shape)}")
    number = content.targets.size(1)
    check_label_names(content.label_names, number)
    for head in content.heads:
        check_scores(head.logits, content.targets)
        if len(head.AP) != number:
            raise InputError("AP", f"{number} intervals, one per label", len(head.AP))
    if content.graph is not None and content.graph.num_labels != number:
        raise InputError("graph", f"{number} labels", f"{content.graph.num_labels} labels")
    if content.label_counts is not None and len(content.label_counts) != number:
        raise InputError("label_counts", f"{number} counts, one per label", len(content.label_counts))


def own_script() -> str:
    """Returns the scripts of the package as one function, so that they share names and define no global one."""
    return "\n".join(['(function () {\n"use strict";', *map(_file, SCRIPTS), "}());"])


@cache
def plotly_script() -> str:
    """Returns the source of plotly.js.

    Raises:
        InputError: if plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        fix = 'pip install "mlgcn_pyg[report]"'
        raise InputError("plotly", "plotly (extra 'report')", f"no {error.name}", fix) from error
    source: str = get_plotlyjs()
    return source.replace("\r\n", "\n")


def _meta(content: PageContent, scripts: list[str]) -> list[Html]:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    policy = f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
    policy += "base-uri 'none'; form-action 'none'"
    return [
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("title", content.title),
    ]


def _summary(content: PageContent) -> Html:
    known = f"{len(content.heads)} head" + ("" if len(content.heads) == 1 else "s")
    parts = [f"{images(content.num_images)} of {content.images}", f"{len(content.label_names):,} labels"]
    return element("p", joined([*parts, *([known] if content.heads else [])], " · "), class_="summary")


@cache
def _file(name: str) -> str:
    return files("mlgcn_pyg.report.page").joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")

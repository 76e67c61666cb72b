"""The section with the label graph: the data of the interactive picture, its controls, and the edges as a table."""

from typing import Any

import numpy as np

from mlgcn_pyg.html import Html, element, joined
from mlgcn_pyg.report.page.content import PageContent
from mlgcn_pyg.report.page.edge_data import EdgeData, edge_data
from mlgcn_pyg.report.page.label_layout import label_places
from mlgcn_pyg.report.page.packing import packed
from mlgcn_pyg.report.page.parts import Cell, Heading, data_table, label, note, probability, section
from mlgcn_pyg.report.page.results import label_counts

MOST_ROWS = 500  # edges in the table
MOST_NAMES = 40  # labels without edges that are named
ZOOM = (("−", "out", "Zoom out"), ("+", "in", "Zoom in"), ("Reset", "reset", "Show the whole graph"))
EXPLANATION = (
    "An arrow i → j means that j is likely where i appears: P is the share of the training images with i that also "
    "have j. τ is the lowest P of an edge. Larger dots are labels of more images. Edges of hubs, the labels with very "
    "many edges, are pale."
)
HELP = (
    "Point at a label or touch it to see its neighbours; click to keep it selected. Drag labels or the background. "
    "Zoom with the buttons, or with Ctrl and the mouse wheel. With the keyboard, arrow keys go from label to label, "
    "Enter selects, Escape lets go, + and − zoom, and 0 shows everything."
)


def label_graph(content: PageContent) -> Html:
    """Returns the section; empty without a graph."""
    if content.graph is None:
        return Html("")
    edges = edge_data(content)
    if not len(edges.prob):
        sentence = f"No label makes another one likely: there is no pair with P ≥ {content.graph.tau:g}."
        return section("graph", "Label graph", element("p", sentence))
    notes = [_without_edges(content, edges), _left_out(edges)]
    return section("graph", "Label graph", note(EXPLANATION), *_picture(edges), *notes, _table(content, edges))


def graph_values(content: PageContent) -> dict[str, Any] | None:
    """Returns what graph.js draws; None without edges."""
    if content.graph is None:
        return None
    edges = edge_data(content)
    if not len(edges.prob):
        return None
    labels, counts = edges.labels, label_counts(content)
    source, target = (np.searchsorted(labels, ends) for ends in (edges.source, edges.target))
    places = label_places(len(labels), source, target, edges.prob, edges.tau)
    return {
        "labels": packed(labels, "u4"),
        "x": packed(places[:, 0], "f4"),
        "y": packed(places[:, 1], "f4"),
        "counts": None if counts is None else packed(np.asarray(counts)[labels], "u4"),
        "source": packed(source, "u4"),
        "target": packed(target, "u4"),
        "prob": packed(edges.prob, "f8"),
        "learned": [{"head": name, "ratio": packed(ratio, "f4")} for name, ratio in edges.learned.items()],
    }


def _picture(edges: EdgeData) -> list[Html]:
    search = element("label", "Find ", element("input", type="search", id="graph-search", autocomplete="off"))
    low = min(np.floor(100 * edges.prob.min()) / 100, edges.tau)
    limits = {"min": f"{low:g}", "max": 1, "step": 0.01, "value": f"{edges.tau:g}"}
    output = element("output", f"{edges.tau:.2f}", for_="graph-tau", id="graph-tau-value")
    slider = element("label", "τ ", element("input", type="range", id="graph-tau", **limits), " ", output)
    names = [("", "P of training images"), *((name, f"weights that {name} learned") for name in edges.learned)]
    options = joined(element("option", text, value=str(place - 1)) for place, (_, text) in enumerate(names))
    chooser = element("label", "Width ", element("select", options, id="graph-widths")) if edges.learned else Html("")
    dim = element("label", element("input", type="checkbox", id="graph-dim", checked="checked"), " Pale hubs")
    zoom = [element("button", text, type="button", data_zoom=way, aria_label=name) for text, way, name in ZOOM]
    tools = element("div", search, slider, chooser, dim, element("span", *zoom, class_="zoom"), class_="tools")
    count = element("p", id="graph-count", class_="count", role="status", aria_live="polite")
    frame = element("div", id="graph-frame", class_="graph-frame")
    panel = element("aside", id="graph-details", aria_label="The selected label")
    picture = element("div", frame, panel, class_="graph-columns")
    help = element("p", HELP, id="graph-help", class_="note")
    whole = element("div", tools, count, picture, help, id="label-graph", class_="needs-script")
    missing = element("noscript", element("p", "The interactive picture requires scripts; the table does not."))
    return [whole, missing]


def _without_edges(content: PageContent, edges: EdgeData) -> Html:
    """Returns the names of the labels that are not in the picture."""
    lone = np.setdiff1d(np.arange(len(content.label_names)), edges.labels).tolist()
    if not lone:
        return Html("")
    names = joined((label(content.label_names[c]) for c in lone[:MOST_NAMES]), ", ")
    more = Html(f" and {len(lone) - MOST_NAMES:,} more" if len(lone) > MOST_NAMES else "")
    return note(Html("Without an edge in the picture: "), names, more, ".")


def _left_out(edges: EdgeData) -> Html:
    if not edges.left_out:
        return Html("")
    return note(
        f"To keep the page small, {edges.left_out:,} edges are left out, whose P is low or rests on few images."
    )


def _table(content: PageContent, edges: EdgeData) -> Html:
    """Returns the edges as a table within a disclosure, the most probable first."""
    assert content.graph is not None
    counts = label_counts(content)
    order = np.argsort(-edges.prob, kind="stable")[:MOST_ROWS]
    headings = [Heading("i", False), Heading("j", False), Heading("P(j | i)", sorted="descending")]
    headings += [Heading("images with i")] if counts is not None else []
    headings += [Heading(f"weight in {name} / equal") for name in edges.learned]
    rows = []
    for e in order.tolist():
        i, j = int(edges.source[e]), int(edges.target[e])
        row: list[object] = [label(content.label_names[i]), label(content.label_names[j])]
        row += [Cell(probability(edges.prob[e]), edges.prob[e])]
        row += [Cell(f"{counts[i]:,}", counts[i])] if counts is not None else []
        row += [
            Cell(f"{ratio[e]:.2f}" if ratio[e] == ratio[e] else "–", float(ratio[e]))
            for ratio in edges.learned.values()
        ]
        rows.append(row)
    found = f"The {len(rows):,} edges with the highest P" if len(rows) < len(edges.prob) else "All edges"
    caption = f"{found}. {int((edges.prob >= edges.tau).sum()):,} edges have P ≥ {edges.tau:g}."
    listed = data_table(caption, headings, rows, name="edge-table", sortable=True)
    return element("details", element("summary", "Edges as a table"), listed)

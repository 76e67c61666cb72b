"""Data frames, networkx graphs and HTML of label graphs."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import permuted_labels
from tests.graph.oracle import DENSE
from tests.test_html import HOSTILE, Parsed

GRAPH = LabelGraph.from_targets(
    [["person", "tie"], ["person"], ["dog"]], label_names=["person", "tie", "dog", "cat"], p=0.3
)


def coco(shared, **options):
    data = np.load(shared / "coco2014" / "coco2014_multilabel.npz", allow_pickle=False)
    return LabelGraph.from_targets(data["train_y"], label_names=data["classes"].tolist(), **options)


def test_a_frame_lists_the_edges():
    frame = GRAPH.to_frame()
    assert frame.columns.tolist() == ["source", "target", "prob", "count", "weight"]
    assert frame.drop(columns="weight").values.tolist() == [["person", "tie", 0.5, 2], ["tie", "person", 1.0, 1]]
    assert frame["weight"].tolist() == pytest.approx([0.3, 0.3])


@pytest.mark.parametrize("weighting, p", [*((weighting, 0.35) for weighting in DENSE), ("paper", 0.0)])
def test_round_trips_on_coco(shared, weighting, p, tmp_path):
    graph = coco(shared, weighting=weighting, p=p)
    options = {"p": p, "weighting": weighting}
    names = {"label_names": graph.label_names, "label_counts": graph.label_counts}
    assert LabelGraph.from_edges(graph.to_networkx(), **options).digest() == graph.digest()
    frame = graph.to_frame()
    assert LabelGraph.from_edges(frame.sample(frac=1, random_state=0), **names, **options).digest() == graph.digest()
    frame.to_csv(tmp_path / "edges.csv", index=False)
    assert LabelGraph.from_edges(tmp_path / "edges.csv", **names, **options).digest() == graph.digest()


def test_learned_weights_survive_the_round_trip():
    graph = LabelGraph.from_targets([["a", "b", "c"], ["a"]])
    receiver = graph.edge_index[0]
    graph.edge_weight = torch.rand(receiver.numel(), generator=torch.Generator().manual_seed(0)) + 0.1
    total = torch.zeros(3).index_add(0, receiver, graph.edge_weight)
    graph.edge_weight *= graph.p / total[receiver]
    again = LabelGraph.from_edges(graph.to_frame())
    assert torch.allclose(again.edge_weight, graph.edge_weight, rtol=1e-6)


def test_networkx_has_all_labels_and_attributes(shared):
    network = GRAPH.to_networkx()
    assert dict(network.nodes(data=True)) == {
        0: {"name": "person", "count": 2},
        1: {"name": "tie", "count": 1},
        2: {"name": "dog", "count": 1},
        3: {"name": "cat", "count": 0},
    }
    assert network.edges[1, 0] == {"prob": 1.0, "weight": pytest.approx(0.3)} and network.number_of_edges() == 2
    network = coco(shared).to_networkx()
    person = next(node for node, name in network.nodes(data="name") if name == "person")
    assert network.degree(person) == 55 and network.number_of_edges() == 111


def test_a_moved_graph_keeps_its_names():
    moved = permuted_labels(GRAPH, 0)
    assert LabelGraph.from_edges(moved.to_networkx(), p=0.3).digest() == moved.digest()


def test_the_kernel_weighting_has_a_frame():
    graph = LabelGraph.from_targets([["a", "b"], ["b", "c"]], weighting="kernel")
    assert len(graph.to_frame()) == graph.edge_index.size(1)


def test_networkx_is_named_if_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(InputError, match=r"expected networkx, found none; pip install"):
        GRAPH.to_networkx()


def test_a_graph_is_shown_as_html():
    parsed = Parsed(GRAPH._repr_html_())
    text = " ".join(parsed.texts)
    assert "4 labels, 2 edges i → j" in text and "2 labels without edges" in text and "person (2)" in text
    assert parsed.texts[-8:-4] == ["tie", "person", "1.000", "1"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_text(name):
    html = LabelGraph.from_edges([(name, "b"), ("b", name), ("c", name)])._repr_html_()
    assert set(Parsed(html).opened) == {"div", "b", "table", "caption", "thead", "tbody", "tr", "th", "td"}


def test_a_graph_without_edges_has_no_table():
    assert Parsed(LabelGraph.from_edges([], label_names=["a"])._repr_html_()).opened == ["div", "b"]


def test_a_graph_of_many_edges_is_a_short_table():
    html = LabelGraph.from_edges([(i, j) for i in range(40) for j in range(40) if i != j])._repr_html_()
    assert "the strongest 10 of 1560" in html and html.count("<tr>") == 11


def test_a_frame_of_nothing_has_its_columns():
    frame = LabelGraph.from_edges([], label_names=["a"]).to_frame()
    assert frame.empty and isinstance(frame, pd.DataFrame) and len(frame.columns) == 5

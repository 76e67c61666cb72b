"""Graphs from given edges, and graphs with edges added, removed and merged, against dense formulas."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.graph import LabelEmbeddings, random_edges
from mlgcn_pyg.nn import MLGCNHead
from tests.graph.oracle import DENSE

NAMES = ["person", "tie", "dog", "cat", "sofa"]
TARGETS = [["person", "tie"], ["person"], ["person"], ["dog", "sofa"], ["dog"], ["cat", "sofa"], ["cat", "sofa"]]
MINED = LabelGraph.from_targets(TARGETS, label_names=NAMES)  # tie → person 1, dog → sofa 0.5, cat → sofa 1, …


def pairs(graph):
    """{(i, j): P} by names."""
    edges = zip(*graph.edge_index.tolist(), graph.edge_prob.tolist(), strict=True)
    return {(graph.label_names[i], graph.label_names[j]): prob for i, j, prob in edges}


def dense(graph, weighting="paper", p=0.2):
    """Â by the dense formula, from the edges of the graph."""
    a = np.zeros((graph.num_labels,) * 2)
    a[tuple(graph.edge_index.numpy())] = 1
    return DENSE[weighting](a, p)


def assert_defined(graph):
    """The graph is valid, and has the weights that its p and weighting define."""
    graph.validate()
    assert np.abs(graph.to_dense().numpy() - dense(graph, graph.weighting, graph.p)).max() < 1e-6
    assert pairs(graph.reweighted()) == pairs(graph)


@pytest.mark.parametrize("weighting", DENSE)
@pytest.mark.parametrize("name", ["coco", "voc"])
def test_equals_the_graph_of_counts_with_the_same_probabilities(shared, name, weighting):
    from mlgcn_pyg.released import read_released_counts

    counts = read_released_counts(shared / "reference" / f"{name}_adj.pkl")
    counted = LabelGraph.from_counts(*counts, weighting=weighting)
    edges = list(zip(*counted.edge_index.tolist(), counted.edge_prob.tolist(), strict=True))
    order = np.random.default_rng(0).permutation(len(edges))
    built = LabelGraph.from_edges(
        [edges[k] for k in order],
        label_names=counted.label_names,
        label_counts=counted.label_counts,
        weighting=weighting,
    )
    assert built.digest() == counted.digest()


FORMS = {
    "names": [("tie", "person"), ("dog", "sofa", 0.5)],
    "ids": [(1, 0), (2, 4, 0.5)],
    "numpy ids": [(np.int64(1), np.int32(0)), (np.int64(2), np.int64(4), np.float32(0.5))],
    "a generator": (edge for edge in [("tie", "person"), ["dog", "sofa", 0.5]]),
    "a frame": pd.DataFrame({"source": ["tie", "dog"], "target": ["person", "sofa"], "prob": [1, 0.5]}),
    "a frame of ids": pd.DataFrame({"prob": [1, 0.5], "source": [1, 2], "target": [0, 4], "note": ["a", "b"]}),
    "networkx": nx.DiGraph([("tie", "person", {"prob": 1}), ("dog", "sofa", {"prob": 0.5})]),
    "networkx ids": nx.DiGraph([(2, 4, {"prob": 0.5}), (1, 0, {"prob": 1})]),
    "names in other forms": [(" tie ", "per\u200bson"), ("dog", "sofa", 0.5)],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_graph(form):
    graph = LabelGraph.from_edges(FORMS[form], label_names=NAMES)
    assert pairs(graph) == {("tie", "person"): 1.0, ("dog", "sofa"): 0.5}
    assert_defined(graph)


def test_labels_of_the_edges_are_used_if_none_are_given():
    assert LabelGraph.from_edges([("tie", "person")]).label_names == ("person", "tie")
    assert LabelGraph.from_edges([(1, 3)]).label_names == ("0", "1", "2", "3")
    network = nx.DiGraph()
    network.add_nodes_from(["z", "a", "alone"])
    network.add_edge("z", "a")
    assert LabelGraph.from_edges(network).label_names == ("z", "a", "alone")
    network = nx.DiGraph([(2, 0)])
    network.add_node(5)
    assert LabelGraph.from_edges(network).num_labels == 6


def test_labels_that_look_the_same_count_as_one():
    with pytest.warns(InputWarning, match="look the same"):
        graph = LabelGraph.from_edges([("tie", "person"), ("do\u200bg", "person"), ("dog", "tie")])
    assert graph.label_names == ("dog", "person", "tie")


def test_no_edge_at_all():
    graph = LabelGraph.from_edges([], label_names=NAMES)
    assert graph.edge_index.shape == (2, 0) and torch.allclose(graph.to_dense(), 0.8 * torch.eye(5))
    assert pairs(graph.with_edges([("tie", "person")])) == {("tie", "person"): 1.0}
    assert pairs(graph.merge(MINED)) == pairs(MINED) and pairs(MINED.merge(graph, "replace")) == pairs(MINED)
    assert not pairs(MINED.merge(graph, "min")) and pairs(MINED.without_edges([])) == pairs(MINED)
    assert graph.to_frame().empty and LabelGraph.from_edges(graph.to_frame(), label_names=NAMES).num_labels == 5
    with pytest.raises(InputError, match="edges: expected at least one label, found none; pass label_names"):
        LabelGraph.from_edges([])


def test_one_label():
    graph = LabelGraph.from_edges([], label_names=["only"])
    assert graph.to_dense().tolist() == [[pytest.approx(0.8)]]
    assert graph.merge(graph).num_labels == 1 and LabelGraph.from_edges(graph.to_networkx()).label_names == ("only",)


@pytest.mark.parametrize("by_name", [True, False])
def test_counts_of_a_network_belong_to_its_labels(by_name):
    network = nx.DiGraph([("b", "a")] if by_name else [(1, 0)])
    network.add_nodes_from(
        [("b", {"count": 4}), ("a", {"count": 1})] if by_name else [(1, {"count": 4}), (0, {"count": 1})]
    )
    assert LabelGraph.from_edges(network, label_names=["a", "b"]).label_counts.tolist() == [1, 4]
    named = LabelGraph.from_edges(network, label_names=["a", "b"]).to_networkx()
    assert LabelGraph.from_edges(named, label_names=["b", "a"]).label_counts.tolist() == [4, 1]
    assert LabelGraph.from_edges(named, label_names=["a", "b", "c"]).label_counts.tolist() == [0, 0, 0]


def test_a_hub_receives_from_all():
    graph = LabelGraph.from_edges([(0, k) for k in range(1, 50)] + [(k, 0) for k in range(1, 50)])
    assert_defined(graph)
    assert graph.edge_weight[:49].tolist() == pytest.approx([0.2 / 49] * 49)


def test_given_weights_are_relative_among_the_edges_of_a_receiver():
    frame = pd.DataFrame({"source": list("aaab"), "target": list("bcda"), "weight": [1, 2, 5, 9]})
    graph = LabelGraph.from_edges(frame, p=0.4)
    expected = [[0.6, 0.05, 0.1, 0.25], [0.4, 0.6, 0, 0], [0, 0, 0.6, 0], [0, 0, 0, 0.6]]
    assert torch.allclose(graph.to_dense(), torch.tensor(expected))
    assert LabelGraph.from_edges(frame.assign(weight=frame["weight"] * 7.5), p=0.4).digest() == graph.digest()


def test_given_weights_survive_saving_and_a_head(tmp_path):
    frame = pd.DataFrame({"source": ["a", "a"], "target": ["b", "c"], "weight": [1, 3]})
    graph = LabelGraph.from_edges(frame)
    graph.save(tmp_path / "g.pt")
    assert LabelGraph.load(tmp_path / "g.pt").digest() == graph.digest()
    assert MLGCNHead(graph, 4, (3,)).base_graph().edge_weight.tolist() == pytest.approx([0.05, 0.15])


@pytest.mark.parametrize("edit", [
    lambda graph: graph.reweighted(p=0.5),
    lambda graph: graph.with_edges([("b", "a")]),
    lambda graph: graph.without_edges([("a", "b")]),
    lambda graph: graph.merge(graph),
    lambda graph: LabelGraph.from_edges([], label_names=["a", "b", "c"]).merge(graph),
    lambda graph: random_edges(graph, 0),
])  # fmt: skip
def test_given_weights_would_be_lost(edit):
    frame = pd.DataFrame({"source": ["a", "a"], "target": ["b", "c"], "weight": [1, 3]})
    with pytest.raises(InputError, match="would be lost"):
        edit(LabelGraph.from_edges(frame))


@pytest.mark.parametrize("weighting", ["released", "binary", "none"])
def test_other_weightings_have_the_weights_that_they_define(weighting):
    frame = pd.DataFrame({"source": ["a", "a"], "target": ["b", "c"], "weight": [1, 3]})
    with pytest.raises(InputError, match="edges: expected .*weight"):
        LabelGraph.from_edges(frame, weighting=weighting)


def test_edges_are_added_and_removed():
    graph = MINED.with_edges([("sofa", "person", 0.4), ("dog", "sofa", 0.9)])
    assert pairs(graph) == pairs(MINED) | {("sofa", "person"): 0.4, ("dog", "sofa"): 0.9}
    assert_defined(graph)
    assert graph.label_counts.tolist() == MINED.label_counts.tolist()
    back = graph.without_edges([("sofa", "person")]).with_edges([("dog", "sofa", 0.5)])
    assert back.digest() == MINED.digest()


def test_the_graph_itself_is_not_changed():
    before = MINED.digest()
    MINED.with_edges([("sofa", "person")])
    MINED.without_edges([("dog", "sofa")])
    MINED.merge(MINED, "min")
    assert MINED.digest() == before


def test_an_edge_that_is_not_there_cannot_be_removed():
    with pytest.raises(InputError, match=r"edges: expected edges of the graph, which has \d, found person → sofa"):
        MINED.without_edges([("dog", "sofa"), ("person", "sofa")])


def test_a_label_without_edges_must_have_an_embedding():
    x = torch.ones(2, 3)
    x[0] = 0
    graph = LabelGraph.from_edges([("a", "b")], x=x)
    with pytest.raises(InputError, match="x: expected an embedding other than 0"):
        graph.without_edges([("a", "b")])


def test_labels_may_be_in_any_order():
    known = LabelGraph.from_edges([("sofa", "person", 0.7)], label_names=NAMES[::-1])
    assert pairs(MINED.merge(known)) == pairs(MINED) | {("sofa", "person"): 0.7}
    for names in (NAMES[:4], [*NAMES[:4], "couch"]):
        other = LabelGraph.from_edges([], label_names=names)
        with pytest.raises(InputError, match="other: expected the 5 labels of this graph"):
            MINED.merge(other)


def test_edges_below_the_threshold_of_the_graph_are_left_out():
    other = LabelGraph.from_edges([("sofa", "person", 0.3), ("tie", "sofa", 0.45)], label_names=NAMES, tau=0.1)
    assert pairs(MINED.merge(other)) == pairs(MINED) | {("tie", "sofa"): 0.45}
    assert MINED.merge(other).tau == 0.4 and MINED.merge(other, "mean").edge_prob.min() >= 0.4


HOW = {"max": np.maximum, "min": np.minimum, "mean": lambda a, b: (a + b) / 2}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from([*HOW, "replace"]))
def test_merge_equals_the_dense_formula(num_labels, seed, how):
    random = np.random.default_rng(seed)
    given_p = [np.round(random.random((num_labels,) * 2), 2) * (random.random((num_labels,) * 2) < 0.5) for _ in "ab"]
    for p in given_p:
        np.fill_diagonal(p, 0)
    one, two = (
        LabelGraph.from_edges(
            [(i, j, p[i, j]) for i, j in np.argwhere(p)], label_names=[str(k) for k in range(num_labels)], tau=0.01
        )
        for p in given_p
    )
    a, b = given_p
    expected = np.where(b > 0, b, a) if how == "replace" else HOW[how](a, b)
    expected = expected * (expected >= 0.01)
    merged = one.merge(two, how)
    found = np.zeros_like(a)
    found[tuple(merged.edge_index.numpy())] = merged.edge_prob.numpy()
    assert np.array_equal(found, expected)
    assert_defined(merged)


def test_an_edited_graph_can_be_reweighted_saved_and_loaded(tmp_path):
    graph = MINED.with_edges([("sofa", "person", 0.45)])
    graph.save(tmp_path / "g.pt")
    loaded = LabelGraph.load(tmp_path / "g.pt")
    assert loaded.digest() == graph.digest()
    for weighting in DENSE:
        assert_defined(loaded.reweighted(weighting=weighting, p=0.5))
    assert ("sofa", "person") not in pairs(loaded.reweighted(tau=0.5)) and ("sofa", "person") in pairs(graph)


def test_a_complete_graph_keeps_edges_with_probability_zero():
    complete = LabelGraph.from_targets(TARGETS, label_names=NAMES, tau=0)
    graph = complete.without_edges([("tie", "cat")])
    assert len(pairs(graph)) == 19 and pairs(graph.with_edges([("tie", "cat", 0.2)]))["tie", "cat"] == 0.2
    assert len(pairs(complete.merge(graph, "min"))) == 19 and len(pairs(graph.merge(complete))) == 20


def test_the_kernel_weighting_is_refused():
    kernel = LabelGraph.from_targets(TARGETS, label_names=NAMES, weighting="kernel")
    for edit in (
        lambda: kernel.with_edges([("tie", "cat")]),
        lambda: kernel.without_edges([("tie", "person")]),
        lambda: kernel.merge(MINED),
        lambda: LabelGraph.from_edges([("tie", "cat")], weighting="kernel"),
    ):
        with pytest.raises(InputError, match="weighting: expected a weighting whose weights follow from the edges"):
            edit()
    with pytest.raises(InputError, match="other: expected a weighting whose weights follow from the edges"):
        MINED.merge(kernel)


def test_embeddings_and_their_source_are_kept():
    embeddings = LabelEmbeddings(tuple(NAMES), torch.randn(5, 4), {"file": "glove.txt"})
    graph = LabelGraph.from_edges([("tie", "person")], label_names=NAMES, x=embeddings).with_edges([("dog", "cat")])
    assert torch.equal(graph.x, embeddings.x) and graph.x_source == {"file": "glove.txt"}


def test_probabilities_need_not_be_exact_to_reach_tau():
    assert pairs(LabelGraph.from_edges([("a", "b", 0.7)], tau=0.7)) == {("a", "b"): 0.7}


WRONG = {
    "an unknown label": ([("persn", "tie")], r"edges: expected names of the 5 labels, found 'persn'; the first in "
                         r"persn → tie \(row 1\); did you mean 'person'\?"),
    "an unknown id": ([(0, 5)], "edges: expected names of the 5 labels, found '5'"),
    "a negative id": ([(0, -1)], "edges: expected names of the 5 labels, found '-1'"),
    "a self-loop": ([("tie", "person"), ("tie", "tie")], r"between two labels, found tie → tie \(row 2\)"),
    "twice the same edge": ([(1, 0), ("tie", "person")], r"each edge once, found twice tie → person \(row 2\)"),
    "P = 0": ([("tie", "person", 0)], r"edges: expected P in \(0, 1\] for every edge, found 0 for tie → person"),
    "P = 1.5": ([("tie", "person", 1.5)], "found 1.5 for tie"),
    "P is NaN": ([("tie", "person", float("nan"))], "found nan for tie"),
    "P is None": ([("tie", "person", None)], "found None for tie"),
    "P is True": ([("tie", "person", True)], "found True for tie"),
    "P below tau": ([("tie", "person", 0.3)], r"edges: expected P ≥ τ = 0.4 for every edge, found P = 0.3 for tie → "
                    r"person \(row 1\); leave P out for edges that always hold, or pass tau=0.3"),
    "four entries": ([("tie", "person", 1, 1)], "as edge 1"),
    "one entry": ([("tie",)], "as edge 1"),
    "texts": (["ab"], "as edge 1"),
    "an array": (np.array([[1, 0]]), r"found a ndarray of shape \(1, 2\); pass edge_index.t"),
    "an edge index": (torch.tensor([[1], [0]]), "a Tensor of shape"),
    "a number": (3, "edges: expected pairs"),
    "None": (None, "edges: expected pairs"),
    "a dict": ({"tie": "person"}, "edges: expected pairs"),
    "no such column": (pd.DataFrame({"source": ["tie"], "to": ["person"]}), "no column target"),
    "a column twice": (pd.DataFrame([["tie", "cat", "dog"]], columns=["source", "target", "target"]), "target twice"),
    "a missing name": (pd.DataFrame({"source": [None], "target": ["person"]}), "names of the 5 labels"),
    "an undirected graph": (nx.Graph([("tie", "person")]), r"expected a DiGraph, found Graph; pass graph.to_directed"),
    "a multigraph": (nx.MultiDiGraph([("tie", "person")]), "expected a DiGraph, found MultiDiGraph"),
    "weight 0": (pd.DataFrame({"source": ["tie"], "target": ["person"], "weight": [0]}), "a weight > 0"),
    "a negative weight": (pd.DataFrame({"source": ["tie"], "target": ["cat"], "weight": [-1]}), "a weight ≥ 0"),
    "infinite weight": (pd.DataFrame({"source": ["tie"], "target": ["person"], "weight": [np.inf]}), "a weight ≥ 0"),
    "a weight missing": (nx.DiGraph([("tie", "person", {"weight": 1}), ("dog", "cat", {})]), "None for dog → cat"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_edges_are_refused(case):
    edges, message = WRONG[case]
    with pytest.raises(InputError, match=message) as error:
        LabelGraph.from_edges(edges, label_names=NAMES)
    assert "\n" not in str(error.value)
    if case != "weight 0":  # equal weights of a receiver say nothing
        with pytest.raises(InputError, match=message):
            MINED.with_edges(edges)


def test_wrong_arguments_are_refused():
    edges = [("tie", "person")]
    for message, arguments in {
        "label_counts: expected 2 numbers": {"label_counts": [1, 2, 3]},
        "label_counts: expected whole": {"label_counts": [1, -2]},
        "x: expected": {"x": torch.ones(3, 2)},
        "tau: expected": {"tau": 2},
        "p: expected": {"p": -1},
        "weighting: expected": {"weighting": "gcn"},
        "label_names: expected unique": {"label_names": ["tie", "tie"]},
    }.items():
        with pytest.raises(InputError, match=message):
            LabelGraph.from_edges(edges, **arguments)
    with pytest.raises(InputError, match="ids below 1,000,000"):
        LabelGraph.from_edges([(0, 10**12)])
    with pytest.raises(InputError, match="how: expected one of max, min, mean, replace"):
        MINED.merge(MINED, "sum")
    with pytest.raises(InputError, match="other: expected a LabelGraph"):
        MINED.merge(edges)
    with pytest.raises(InputError, match="found given weights"):
        MINED.with_edges(pd.DataFrame({"source": ["tie", "tie"], "target": ["cat", "dog"], "weight": [1, 2]}))

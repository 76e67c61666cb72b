"""Edges from embeddings against scikit-learn's cosines, and from hierarchies against networkx."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelEmbeddings, edges_from_hierarchy, edges_from_similarity, knowledge, label_embeddings


def found(frame):
    return {(source, target): prob for source, target, prob in frame.itertuples(index=False)}


def expected(x, names, threshold, top_k=None):
    x = np.asarray(x, dtype=np.float64)
    cosine = cosine_similarity(x - x.mean(axis=0))
    np.fill_diagonal(cosine, -1)
    edges = {}
    for i, row in enumerate(cosine):
        best = sorted(range(len(row)), key=lambda j: (-row[j], j))[:top_k]
        edges |= {(names[i], names[j]): row[j] for j in best if row[j] >= threshold}
    return edges


@pytest.mark.parametrize("top_k", [None, 1, 3, 100])
@pytest.mark.parametrize("threshold", [0.01, 0.3, 0.9])
def test_similar_embeddings_equal_cosines_of_scikit_learn(threshold, top_k, monkeypatch):
    monkeypatch.setattr(knowledge, "BLOCK", 7)
    x = np.random.default_rng(0).normal(size=(40, 5)) + 3
    names = [f"label {k}" for k in range(40)]
    edges = found(edges_from_similarity(x, names, threshold=threshold, top_k=top_k))
    wanted = expected(x, names, threshold, top_k)
    assert edges.keys() == wanted.keys() and all(edges[e] == pytest.approx(wanted[e]) for e in edges)


def test_similar_words_of_glove(shared):
    names = ["dog", "cat", "horse", "car", "bus", "train", "person"]
    x = label_embeddings(names, shared / "glove" / "glove.6B.50d.12k.txt")
    edges = found(edges_from_similarity(x, threshold=0.3))
    assert ("dog", "cat") in edges and ("bus", "train") in edges and ("dog", "bus") not in edges
    graph = LabelGraph.from_edges(edges_from_similarity(x, threshold=0.4), label_names=names, x=x)
    assert graph.edge_prob.min() >= 0.4


@pytest.mark.parametrize("x", [torch.ones(3, 2), torch.ones(1, 2), torch.zeros(3, 2), torch.full((3, 1), 0.1)])
def test_equal_embeddings_have_no_direction(x):
    assert edges_from_similarity(x).empty


def test_embeddings_bring_their_names():
    x = LabelEmbeddings(("a", "b", "c"), torch.tensor([[1.0, 0.0], [1.0, 0.1], [-2.0, 0.0]]))
    assert found(edges_from_similarity(x)).keys() == {("a", "b"), ("b", "a")}
    assert edges_from_similarity(x.x).values[0].tolist()[:2] == ["0", "1"]
    with pytest.raises(InputError, match="x: expected the 3 labels of label_names"):
        edges_from_similarity(x, ["a", "c", "b"])


def test_wrong_embeddings_are_refused():
    for x in (torch.ones(3), torch.zeros(0, 2), "text", None, torch.tensor([[float("nan")]])):
        with pytest.raises(InputError, match="x: expected"):
            edges_from_similarity(x)
    for arguments in ({"threshold": 0}, {"threshold": 1.5}, {"top_k": 0}, {"label_names": ["a"]}):
        with pytest.raises(InputError, match=next(iter(arguments))):
            edges_from_similarity(torch.eye(2), **arguments)


def test_a_hierarchy_is_its_links_and_their_closure_is_that_of_networkx():
    random = np.random.default_rng(0)
    links = [(f"{k}", f"{random.integers(k)}") for k in range(1, 40) for _ in range(2)]
    links = list(dict.fromkeys(links))
    frame = pd.DataFrame(links, columns=["child", "parent"])
    assert found(edges_from_hierarchy(frame)) == dict.fromkeys(links, 1.0)
    closed = nx.transitive_closure_dag(nx.DiGraph(links)).edges
    assert found(edges_from_hierarchy(frame, closure=True)) == dict.fromkeys(closed, 1.0)


def test_forms_of_hierarchies():
    wanted = {("poodle", "dog"): 1.0, ("poodle", "pet"): 1.0, ("dog", "animal"): 1.0}
    assert found(edges_from_hierarchy({"poodle": ["dog", "pet"], "dog": " animal"})) == wanted
    twice = pd.DataFrame({"child": ["dog", "dog"], "parent": ["animal", "animal"]})
    assert found(edges_from_hierarchy(twice)) == {("dog", "animal"): 1.0}
    assert edges_from_hierarchy({}).empty and list(edges_from_hierarchy({}).columns) == ["source", "target", "prob"]


def test_a_deep_hierarchy():
    chain = {str(k): str(k + 1) for k in range(3000)}
    assert len(edges_from_hierarchy(chain)) == 3000
    with pytest.raises(InputError, match="parents: expected no label among its own ancestors, found 0 → 1 → .* … → 0"):
        edges_from_hierarchy(chain | {"3000": "0"})


@pytest.mark.parametrize("parents, message", [
    ({"dog": "dog"}, "found dog → dog"),
    ({"a": "b", "b": "c", "c": "b"}, "found b → c → b"),
    ({"dog": ""}, "the names of a child and a parent, found 'dog' and ''"),
    ({"dog": 3}, "a parent, or a list of parents"),
    ({1: "dog"}, "the names of a child and a parent"),
    (pd.DataFrame({"child": ["dog"], "parent": [None]}), "the names of a child and a parent"),
    (pd.DataFrame({"child": ["dog"]}), "a dict, or a frame"),
    ([("dog", "animal")], "a dict, or a frame"),
    (None, "a dict, or a frame"),
])  # fmt: skip
def test_wrong_hierarchies_are_refused(parents, message):
    with pytest.raises(InputError, match=message):
        edges_from_hierarchy(parents)

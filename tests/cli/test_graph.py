"""``mlgcn graph`` with known edges: alone, and merged with those of a data set."""

import shlex

import pytest
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.graph import LabelEmbeddings
from tests.cli.test_cli import refused, run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    rows = ["tie;person", "person", "person", "dog;sofa", "dog", "cat;sofa", "cat;sofa"]
    for k in range(len(rows)):
        (tmp_path / f"photos/{k}.jpg").touch()
    table = "".join(f"{k}.jpg,{row},train\n" for k, row in enumerate(rows))
    (tmp_path / "t.csv").write_text("image,labels,split\n" + table)
    (tmp_path / "known.csv").write_text("source,target,prob\ndog,person,0.6\nsofa,cat,0.9\ncat,sofa,0.5\n")
    (tmp_path / "h.csv").write_text("child,parent\ntie,person\n")
    return tmp_path


TABLE = ("--dataset", "table", "--root", "photos", "--labels", "t.csv")


def pairs(path="g.pt"):
    graph = LabelGraph.load(path)
    edges = zip(*graph.edge_index.tolist(), graph.edge_prob.tolist(), strict=True)
    return {(graph.label_names[i], graph.label_names[j]): round(prob, 3) for i, j, prob in edges}


COUNTED = {("tie", "person"): 1, ("dog", "sofa"): 0.5, ("cat", "sofa"): 1, ("sofa", "cat"): 0.667}


@pytest.mark.parametrize("how, changed", {
    "max": {("dog", "person"): 0.6, ("sofa", "cat"): 0.9},
    "replace": {("dog", "person"): 0.6, ("sofa", "cat"): 0.9, ("cat", "sofa"): 0.5},
    "mean": {("sofa", "cat"): 0.783, ("cat", "sofa"): 0.75, ("tie", "person"): 0.5},
    "min": None,
}.items())  # fmt: skip
def test_known_edges_are_merged_with_counted_ones(folder, how, changed):
    output = run("graph", *TABLE, "--edges", "known.csv", "--merge", how, "--out", "g.pt")
    expected = {("sofa", "cat"): 0.667, ("cat", "sofa"): 0.5} if how == "min" else COUNTED | changed
    if how == "mean":
        del expected["dog", "sofa"]  # P = 0.25
    assert pairs() == expected
    assert f"edges: 4 counted, 3 known, {len(expected)} merged ({how})" in output
    assert LabelGraph.load("g.pt").label_counts.tolist() == [2, 2, 3, 3, 1]


def test_the_next_command_is_named(folder):
    output = run("graph", *TABLE, "--split", "train", "--edges", "known.csv", "--out", "my graph.pt")
    last = output.strip().splitlines()[-1]
    assert last.startswith("Next: mlgcn extract --dataset table --root photos --split train --labels t.csv")
    assert "--graph 'my graph.pt' --out train.h5" in last and shlex.split(last)[-2:] == ["--out", "runs/heads"]
    last = run("graph", "--edges", "known.csv", "--out", "g.pt").strip().splitlines()[-1]
    assert last.startswith("Next: mlgcn train-head --graph g.pt --train train.h5 --val val.h5 --out runs/heads")


def test_known_edges_alone(folder):
    output = run(
        "graph", "--edges", "known.csv", "--hierarchy", "h.csv", "--p", 0.5, "--out", "g.pt", "--plot", "g.png"
    )
    assert pairs() == {("dog", "person"): 0.6, ("sofa", "cat"): 0.9, ("cat", "sofa"): 0.5, ("tie", "person"): 1}
    graph = LabelGraph.load("g.pt")
    assert list(graph.label_names) == ["cat", "dog", "person", "sofa", "tie"] and graph.p == 0.5
    assert "5 labels, 4 directed edges" in output and "labels in no image" not in output
    assert (folder / "g.png").stat().st_size > 1000


def test_given_weights_alone_and_not_with_counts(folder):
    (folder / "known.csv").write_text("source,target,weight\ndog,person,1\ndog,sofa,3\n")
    run("graph", "--edges", "known.csv", "--out", "g.pt")
    assert LabelGraph.load("g.pt").edge_weight.tolist() == pytest.approx([0.05, 0.15])
    line = refused("graph", *TABLE, "--edges", "known.csv", "--out", "g.pt")
    assert "--edges: expected a graph whose weights follow from its edges" in line


def test_similar_labels(folder):
    x = torch.tensor([[1, 0, 0], [0.9, 0.1, 0.1], [0, 1, 0], [-1, 0, 0.3], [0, -0.9, -0.5]])
    LabelEmbeddings(("cat", "dog", "person", "sofa", "tie"), x).save(folder / "e.pt")
    run("graph", *TABLE, "--embeddings", "e.pt", "--similar", 0.9, "--out", "g.pt")
    assert pairs().keys() == COUNTED.keys() | {("cat", "dog"), ("dog", "cat")}
    run("graph", "--embeddings", "e.pt", "--similar", 0.9, "--out", "g.pt")
    assert pairs().keys() == {("cat", "dog"), ("dog", "cat")}
    assert torch.equal(LabelGraph.load("g.pt").x, x)
    line = refused("graph", *TABLE, "--similar", 0.9, "--out", "g.pt")
    assert "--similar: expected embeddings of the labels, found none; give --embeddings" in line
    line = refused("graph", *TABLE, "--embeddings", "e.pt", "--similar", 0.1, "--out", "g.pt")
    assert "--similar: expected P ≥ τ = 0.4" in line and "--tau" in line


def test_refusals(folder):
    (folder / "typo.csv").write_text("source,target\ndog,pesron\n")
    (folder / "loop.csv").write_text("child,parent\ndog,dog\n")
    (folder / "weak.csv").write_text("source,target,prob\ndog,person,0.2\n")
    (folder / "columns.csv").write_text("from,to\ndog,person\n")
    (folder / "latin.csv").write_bytes("source,target\ndog,M\xe4nner\n".encode("latin-1"))
    for words, message in (
        ((*TABLE, "--edges", "typo.csv"), "--edges: expected names of the 5 labels, found 'pesron'"),
        ((*TABLE, "--edges", "typo.csv"), "did you mean 'person'?"),
        ((*TABLE, "--hierarchy", "loop.csv"), "--hierarchy: expected no label among its own ancestors"),
        ((*TABLE, "--edges", "weak.csv"), "leave P out for edges that always hold, or pass --tau 0.2"),
        (("--edges", "columns.csv"), "--edges: expected a CSV file with the columns source, target"),
        (("--edges", "latin.csv"), "--edges: expected a table in UTF-8"),
        (("--edges", "none.csv"), "--edges: expected a file that exists"),
        ((), "--dataset: expected a data set, or known edges, found neither; give --dataset, --edges"),
        (("--labels", "t.csv", "--edges", "known.csv"), "--dataset: expected one of voc2007"),
        (("--dataset", "table", "--labels", "t.csv"), "--root: expected the folder of the data set, found none"),
        (("--edges", "known.csv", "--top-k", 2), "--top-k: expected no value without a data set"),
        (("--edges", "known.csv", "--weighting", "kernel"), "--weighting: expected a weighting whose weights follow"),
        ((*TABLE, "--edges", "known.csv", "--weighting", "kernel"), "--weighting: expected a weighting whose weights"),
        ((*TABLE, "--edges", "known.csv", "--merge", "sum"), "--merge: expected one of max, min, mean, replace"),
        ((*TABLE, "--similar", 1.5), "--similar: expected a number in (0, 1]"),
    ):
        assert message in refused("graph", *words, "--out", "g.pt"), words
    assert not (folder / "g.pt").exists()
    assert "--out" in refused("graph", "--edges", "known.csv", "--out", "known.csv")

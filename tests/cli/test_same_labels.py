"""Commands name labels that cannot be told apart, and options of ``mlgcn graph`` that choose edges."""

import json

import pytest
import torch
from PIL import Image

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.cli.data import _strongest_pairs
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.features import FeatureCache
from tests.cli.test_cli import refused, run


@pytest.fixture
def folder(tmp_path):
    """Five photographs, of which people and People have the same neighbours, and word vectors."""
    rows = ["people;sea", "People;sea", "dog;cat", "sea", "kite"]
    for k in range(len(rows)):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{k}.png")
    (tmp_path / "t.csv").write_text("image,labels\n" + "".join(f"{k}.png,{row}\n" for k, row in enumerate(rows)))
    (tmp_path / "v.txt").write_text("people 1 2\nsea 2 1\ndog 1 1\ncat 3 1\n")
    return tmp_path


def table(folder):
    return "--dataset", "table", "--root", folder, "--labels", folder / "t.csv"


def test_graph_names_twins_and_names_that_look_alike(folder):
    vectors = "--embeddings", folder / "v.txt", "--alias", "kite=sea dog"
    output = run("graph", *table(folder), *vectors, "--out", folder / "g.pt")
    assert "give these labels one classifier: 'People' = 'people'" in output
    assert "only case, spacing or Unicode form differs: 'People' = 'people'" in output


def test_inspect_names_labels_that_look_alike_or_have_equal_targets(folder):
    output = run("data", "inspect", *table(folder))
    assert "Labels that differ only in case, spacing or Unicode form: 'People' = 'people'" in output
    assert "Labels with equal targets in every image: 'cat' = 'dog'" in output
    content = json.loads(run("data", "inspect", *table(folder), "--no-decode", "--json"))
    assert content["look_alike"] == [["People", "people"]] and content["same_targets"] == [["cat", "dog"]]


def test_embed_names_equal_embeddings(folder):
    aliases = "--alias", "dog=cat", "--alias", "kite=sea"
    output = run("embed", *table(folder), "--embeddings", folder / "v.txt", *aliases, "--out", folder / "e.pt")
    assert "Warning: these labels have equal embeddings: 'People' = 'people'; 'cat' = 'dog'; 'kite' = 'sea'" in output


def test_graph_refuses_a_zero_embedding_without_edges_with_the_remedy(folder):
    zero = "--embeddings", folder / "v.txt", "--oov", "zero", "--out", folder / "g.pt"
    line = refused("graph", *table(folder), *zero)
    assert "--embeddings: expected an embedding other than 0" in line and "0 for 'kite'" in line
    assert "--oov random" in line and "--alias 'kite=its words'" in line and not (folder / "g.pt").exists()
    run("graph", *table(folder), *zero, "--oov", "random")
    run("embed", *table(folder), "--embeddings", folder / "v.txt", "--oov", "zero", "--out", folder / "e.pt")
    line = refused("graph", *table(folder), "--embeddings", folder / "e.pt", "--out", folder / "h.pt")
    assert "0 for 'kite'" in line


def test_train_head_warns_of_twins_once(folder):
    vectors = "--embeddings", folder / "v.txt", "--alias", "kite=sea dog"
    run("graph", *table(folder), *vectors, "--out", folder / "g.pt")
    names = LabelGraph.load(folder / "g.pt").label_names
    for split in ("train", "val"):
        FeatureCache.from_arrays(folder / f"{split}.h5", torch.randn(8, 4), torch.eye(6).repeat(2, 1)[:8], names)
    files = "--graph", folder / "g.pt", "--train", folder / "train.h5", "--val", folder / "val.h5"
    options = "--epochs", 1, "--seeds", 2, "--hidden", 3, "--device", "cpu"
    output = run("train-head", *files, *options, "--out", folder / "runs")
    assert output.count("Warning: equal embeddings and neighbours give these labels one classifier") == 1


def test_graph_chooses_edges_by_count_interval_and_number(folder):
    def edges(*options):
        run("graph", *table(folder), "--tau", 0.2, *options, "--out", folder / "g.pt")
        graph = LabelGraph.load(folder / "g.pt")
        names = graph.label_names
        return {(names[i], names[j]) for i, j in graph.edge_index.t().tolist()}, graph

    every, _ = edges()
    assert ("sea", "people") in every and ("sea", "People") in every
    assert edges("--min-count", 2)[0] == set()
    wilson, graph = edges("--probability", "wilson")
    assert wilson < every and graph.probability == "wilson" and ("sea", "people") not in wilson
    first, _ = edges("--top-k", 1)
    assert ("sea", "People") in first and ("sea", "people") not in first
    for option, value in (("--top-k", 0), ("--min-count", -1), ("--probability", "bayes")):
        assert option in refused("graph", *table(folder), option, value, "--out", folder / "h.pt")


def test_the_strongest_pairs_are_those_of_all_pairs():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(-1, 2, (60, 7), generator=generator, dtype=torch.int8)
    data = LabeledImages([f"{k}.png" for k in range(60)], targets, list("abcdefg"))
    pairs = []
    for i in range(7):
        for j in range(7):
            has_i, known = targets[:, i] == 1, targets[:, j] != -1
            together = int((has_i & (targets[:, j] == 1)).sum())
            if i != j and together and int(has_i.sum()) >= 20:
                pairs.append((-together / int((has_i & known).sum()), -int(has_i.sum()), i, j, together))
    expected = [("abcdefg"[i], "abcdefg"[j], -prob, together, -n) for prob, n, i, j, together in sorted(pairs)[:9]]
    assert [tuple(pair.values()) for pair in _strongest_pairs(data, 20, 9)] == expected
    assert _strongest_pairs(data, 20, 0) == [] and _strongest_pairs(data, 61, 5) == []


def test_an_image_with_very_many_labels_is_inspected_in_little_memory(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    names = ";".join(f"label{k}" for k in range(20_000))
    (tmp_path / "t.csv").write_text(f'image,labels\na.png,"{names}"\n')
    output = run("data", "inspect", *table(tmp_path))
    assert "20,000 labels" in output and max(map(len, output.splitlines())) < 1000

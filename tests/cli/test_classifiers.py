"""``mlgcn classifiers``: its numbers, its picture, labels that lack what it needs, and wrong input."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mlgcn_pyg.checkpoints import save_head
from mlgcn_pyg.evaluation import cosines, neighbour_purity, rank_correlation
from mlgcn_pyg.graph import LabelEmbeddings, LabelGraph
from mlgcn_pyg.nn import LinearHead, MLGCNHead
from tests.cli.test_cli import refused, run

NAMES = ["dog", "cat", "horse", "car", "bus", "train", "sea", "kite"]  # of sea, no data set has a super-category
GROUPS = ("animal", "animal", "animal", "vehicle", "vehicle", "vehicle", None, "sports")
FEW = ("--permutations", 99)


def linear(folder, names, weights=None, name="linear-seed0.pt"):
    head = LinearHead(len(names), 6, names)
    random = np.random.default_rng(0).normal(size=(len(names), 6)) if weights is None else weights
    head.linear.weight.data = torch.as_tensor(np.asarray(random), dtype=torch.float32)
    save_head(folder / name, head)
    return head


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a linear and an ML-GCN head, and another head, which is recommended."""
    folder = tmp_path_factory.mktemp("heads")
    generator = np.random.default_rng(1)
    targets = generator.random((60, len(NAMES))) < 0.4
    x = torch.from_numpy(generator.normal(size=(len(NAMES), 5)).astype(np.float32))
    graph = LabelGraph.from_targets(targets.astype(np.int8), label_names=NAMES, x=x)
    graph.save(folder / "g.pt")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_head(folder / "mlgcn-seed0.pt", MLGCNHead(graph, 6, (4,)))
    linear(folder, NAMES)
    linear(folder, NAMES, np.eye(8, 6), "recommended.pt")
    return folder


def content(*words):
    return json.loads(run("classifiers", *words, *FEW, "--json"))


def heads_of(folder):
    from mlgcn_pyg.checkpoints import load_head

    return {name: load_head(folder / f"{name}-seed0.pt") for name in ("linear", "mlgcn")}


def test_the_linear_and_the_ml_gcn_head_of_a_folder_are_compared(made):
    found = content("--checkpoint", made, "--neighbours", 2)
    assert found["groups"] == dict(zip(NAMES, GROUPS, strict=True)) and found["neighbours"] == 2
    assert found["relations"] == dict.fromkeys(("embeddings", "co_occurrence"), str(made / "mlgcn-seed0.pt"))
    graph = LabelGraph.load(made / "g.pt")
    co_occurrence = np.zeros((8, 8))
    for (i, j), p in zip(graph.edge_index.t().tolist(), graph.edge_prob.tolist(), strict=True):
        co_occurrence[i, j] = p
    relations = {"embeddings": cosines(graph.x), "co_occurrence": co_occurrence}
    assert list(found["checkpoints"]) == [str(made / "linear-seed0.pt"), str(made / "mlgcn-seed0.pt")]
    for name, head in heads_of(made).items():
        numbers = found["checkpoints"][str(made / f"{name}-seed0.pt")]
        w = head.classifiers().detach()
        assert numbers["purity"] == vars(neighbour_purity(w, GROUPS, k=2, permutations=99))
        for relation, values in relations.items():
            assert numbers[relation] == vars(rank_correlation(w, values, permutations=99))


def test_the_table_shows_the_numbers_and_where_they_are_from(made):
    printed = run("classifiers", "--checkpoint", made, "--neighbours", 2, *FEW)
    purity = neighbour_purity(heads_of(made)["linear"].classifiers().detach(), GROUPS, k=2, permutations=99)
    assert f"{100 * purity.value:.1f} %" in printed and "purity@2" in printed
    assert "purity: 7 of 8 labels in 3 super-categories" in printed
    assert "0 for pairs without an edge (τ = 0.4)" in printed and "mlgcn-seed0" in printed


def test_a_complete_graph_and_embeddings_of_the_labels_can_be_given(made, tmp_path):
    graph = LabelGraph.from_targets(np.eye(8, dtype=np.int8), label_names=NAMES, tau=0)
    graph.save(tmp_path / "g0.pt")
    LabelEmbeddings(tuple(NAMES), torch.from_numpy(np.random.default_rng(5).normal(size=(8, 3)))).save(
        tmp_path / "e.pt"
    )
    given = ("--graph", tmp_path / "g0.pt", "--embeddings", tmp_path / "e.pt")
    printed = run("classifiers", "--checkpoint", made, *given, *FEW)
    assert "P(j | i) in" in printed and "without an edge" not in printed
    found = content("--checkpoint", made, *given)
    assert found["relations"] == {"embeddings": str(tmp_path / "e.pt"), "co_occurrence": str(tmp_path / "g0.pt")}
    assert found["checkpoints"][str(made / "linear-seed0.pt")]["co_occurrence"]["value"] is None  # all P are 0


def test_the_picture_is_drawn(made, tmp_path):
    printed = run("classifiers", "--checkpoint", made, "--out", tmp_path / "c.png", "--method", "pca", *FEW)
    assert f"Wrote {tmp_path / 'c.png'}" in " ".join(printed.split("\n"))
    with Image.open(tmp_path / "c.png") as picture:
        wide = picture.size
        assert wide[0] > 1.5 * wide[1]  # two heads side by side, one method
    run("classifiers", "--checkpoint", made / "linear-seed0.pt", "--out", tmp_path / "d.svg", *FEW)
    assert "<svg" in (tmp_path / "d.svg").read_text()


def test_groups_of_a_file_in_other_scripts_and_labels_without_one(tmp_path):
    names = ["собака", "кошка", "車", "バス", "sea"]
    head = linear(tmp_path, names)
    rows = (
        "label,group,note\nсобака,животное,x\n кошка ,животное,\n車,乗り物,\nバス,乗り物,\nsea,,\nunknown,животное,\n"
    )
    (tmp_path / "g.csv").write_text(rows, encoding="utf-8-sig")
    words = ("--checkpoint", tmp_path / "linear-seed0.pt", "--groups", tmp_path / "g.csv")
    groups = ["животное", "животное", "乗り物", "乗り物", None]
    found = content(*words)
    assert found["groups"] == dict(zip(names, groups, strict=True))
    assert found["neighbours"] == 3 and found["relations"] == {}  # of the four labels with a group
    (numbers,) = found["checkpoints"].values()
    assert numbers["purity"] == vars(neighbour_purity(head.classifiers().detach(), groups, k=3, permutations=99))
    assert numbers["embeddings"] is None
    run("classifiers", *words, "--out", tmp_path / "c.png", *FEW)
    assert (tmp_path / "c.png").stat().st_size > 1000


def test_unknown_labels_have_no_purity(tmp_path):
    linear(tmp_path, ["a", "b", "c"])
    printed = run("classifiers", "--checkpoint", tmp_path, *FEW)
    assert "purity: unknown, since no label has a super-category; --groups names them" in printed
    assert content("--checkpoint", tmp_path)["groups"] is None


def test_no_two_labels_of_a_group(tmp_path):
    linear(tmp_path, ["dog", "car", "sea"])
    (numbers,) = content("--checkpoint", tmp_path)["checkpoints"].values()
    assert numbers["purity"] == {"value": None, "expected": None, "p": None, "num_labels": 0}
    assert run("classifiers", "--checkpoint", tmp_path, *FEW).count("–") == 7


def test_one_label_has_no_number_and_no_picture(tmp_path):
    graph = LabelGraph.from_targets([[1], [0]], label_names=["dog"], x=torch.ones(1, 3))
    save_head(tmp_path / "one.pt", MLGCNHead(graph, 6, (4,)))
    (numbers,) = content("--checkpoint", tmp_path / "one.pt")["checkpoints"].values()
    assert numbers == {"purity": None, "embeddings": None, "co_occurrence": None}
    line = refused("classifiers", "--checkpoint", tmp_path / "one.pt", "--out", tmp_path / "c.png", *FEW)
    assert "--checkpoint: expected at least three labels, found 1" in line and not (tmp_path / "c.png").exists()


def test_a_head_whose_classifiers_are_0(made, tmp_path):
    linear(tmp_path, NAMES, np.zeros((8, 6)), "zero.pt")
    words = ("--checkpoint", tmp_path / "zero.pt", "--checkpoint", made / "mlgcn-seed0.pt")
    numbers = content(*words)["checkpoints"][str(tmp_path / "zero.pt")]
    assert numbers["purity"]["value"] is None and numbers["embeddings"]["value"] is None
    run("classifiers", *words, "--out", tmp_path / "c.png", *FEW)
    assert (tmp_path / "c.png").exists()


def test_heads_of_equal_names_are_told_apart(made, tmp_path):
    linear(tmp_path, NAMES)
    printed = run("classifiers", "--checkpoint", made, "--checkpoint", tmp_path, *FEW)
    assert str(made / "linear-seed0.pt") in printed and str(tmp_path / "linear-seed0.pt") in printed


@pytest.mark.parametrize(
    "rows, text",
    [
        ("name,group\ndog,a\n", "--groups: expected CSV with the columns label and group, found 'name, group' in"),
        ("", "--groups: expected CSV with the columns label and group"),
        ("label,group\ndog,a\ndog,b\n", "--groups: expected each label once, found 'dog' twice in"),
        ("label,group\nship,a\n", "--groups: expected a group for some of the labels, found none for 'dog' …"),
        ("label,group\ndog\n", "--groups: expected a group for some of the labels"),
        (b"label,group\n\xff\xfe,a\n", "--groups: expected CSV in UTF-8, found"),
    ],
)
def test_a_wrong_table_of_groups_is_one_line(made, tmp_path, rows, text):
    (tmp_path / "g.csv").write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    assert text in refused("classifiers", "--checkpoint", made, "--groups", tmp_path / "g.csv")


def test_other_wrong_input_is_one_line(made, tmp_path):
    linear(tmp_path, NAMES[::-1], name="other.pt")
    line = refused("classifiers", "--checkpoint", made, "--checkpoint", tmp_path / "other.pt")
    assert "--checkpoint: expected the 8 labels of" in line and "the same labels in a different order" in line
    (tmp_path / "empty").mkdir()
    assert "--checkpoint: expected at least one head" in refused("classifiers", "--checkpoint", tmp_path / "empty")
    LabelGraph.from_targets([[1, 0]], label_names=["a", "b"]).save(tmp_path / "g.pt")
    line = refused("classifiers", "--checkpoint", made, "--graph", tmp_path / "g.pt")
    assert "--graph: expected the 8 labels of" in line
    weights = np.ones((8, 6))
    weights[2, 3] = np.nan
    linear(tmp_path, NAMES, weights, "nan.pt")
    line = refused("classifiers", "--checkpoint", tmp_path / "nan.pt", *FEW)
    assert line.startswith("mlgcn: error: --checkpoint: expected")
    line = refused("classifiers", "--checkpoint", made, "--out", made / "linear-seed0.pt")
    assert "--out: expected a name that ends in .png, .svg or .pdf" in line
    (tmp_path / "head.png").write_bytes((made / "linear-seed0.pt").read_bytes())
    line = refused("classifiers", "--checkpoint", tmp_path / "head.png", "--out", tmp_path / "head.png")
    assert "--out: expected a different file than the input files" in line

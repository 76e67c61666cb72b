import pickle

import numpy as np
import pytest
import torch
from torch_geometric.utils import to_networkx

from mlgcn_pyg.datasets.voc import VOC_LABELS
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import ALIASES, LabelEmbeddings, LabelGraph, label_embeddings


def test_voc_labels_have_glove_vectors_through_the_alias_table(shared):
    path = shared / "glove" / "glove.6B.50d.12k.txt"
    x = label_embeddings(VOC_LABELS, path).x
    assert x.shape == (20, 50) and x.dtype == torch.float32
    table = {line.split(" ")[0]: np.array(line.split(" ")[1:], dtype=float) for line in path.open(encoding="utf-8")}
    assert x[VOC_LABELS.index("dog")].numpy() == pytest.approx(table["dog"], abs=1e-6)
    both = (table["dining"] + table["table"]) / 2
    assert x[VOC_LABELS.index("diningtable")].numpy() == pytest.approx(both, abs=1e-6)


def test_coco_labels_average_their_words(shared, coco_targets):
    path = shared / "glove" / "glove.6B.50d.12k.txt"
    names = coco_targets["classes"].tolist()
    made = label_embeddings(names, path)
    assert made.x.shape == (80, 50) and made.source["oov_words"] == [] and "traffic light" in names
    with path.open(encoding="utf-8") as file:
        table = {line.split(" ")[0]: np.array(line.split(" ")[1:], dtype=float) for line in file}
    by_hand = (table["traffic"] + table["light"]) / 2
    assert made.x[names.index("traffic light")].numpy() == pytest.approx(by_hand, abs=1e-6)


@pytest.fixture
def file(tmp_path):
    """Two words of two numbers."""
    (tmp_path / "v.txt").write_text("bicycle 1 0\nperson 0 3\n")
    return tmp_path / "v.txt"


def test_unknown_words_are_listed_with_near_spellings(file):
    with pytest.raises(InputError, match=r"'bycicle' \(similar: bicycle\), 'zzz' in .*v.txt;.*aliases=.*oov='zero'"):
        label_embeddings(["bycicle", "zzz", "person"], file)


def test_names_without_words_and_missing_files(file):
    with pytest.raises(InputError, match="at least one word"):
        label_embeddings(["_"], file)
    with pytest.raises(InputError, match="path: expected a file that exists"):
        label_embeddings(["person"], file.parent / "absent")
    with pytest.raises(InputError, match="unique names, found 'person' twice"):
        label_embeddings(["person", "person"], file)
    for option, value in {"format": "glove", "oov": "skip", "seed": -1}.items():
        with pytest.raises(InputError, match=f"{option}: expected"):
            label_embeddings(["person"], file, **{option: value})


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda file: label_embeddings(None, file), "label_names: expected a sequence of strings, found None"),
        (lambda file: label_embeddings([1], file), "label_names: expected strings"),
        (lambda file: label_embeddings(["person"], file, format=None), "format: expected one of auto"),
        (lambda file: label_embeddings(["person"], file, oov=["zero"]), "oov: expected one of error"),
        (lambda file: label_embeddings(["person"], file, seed="0"), "seed: expected an integer ≥ 0, found '0'"),
        (lambda file: label_embeddings(["person"], file, aliases="person"), "aliases: expected a dict"),
        (lambda file: label_embeddings(["person"], file, aliases={"person": 3}), "aliases: expected a string, found 3"),
        (lambda file: LabelEmbeddings(("a",), [[1.0]]), r"x: expected a tensor \(C, F\), found list"),
        (lambda file: LabelEmbeddings(None, torch.ones(1, 1)), "label_names: expected a sequence of strings"),
        (lambda file: LabelEmbeddings(("a",), torch.ones(1, 1)).select(3), "label_names: expected a sequence"),
        (lambda file: LabelEmbeddings(("a",), torch.ones(1, 1)).select("b"), "label_names: expected labels that have"),
    ],
)
def test_arguments_of_the_wrong_type(file, call, message):
    with pytest.raises(InputError, match=f"^{message}"):
        call(file)


def test_zero_vectors_of_unknown_words_are_averaged_and_recorded(file):
    made = label_embeddings(["person", "bicycle lamp", "lamp"], file, oov="zero")
    assert made.x.tolist() == [[0, 3], [0.5, 0], [0, 0]]
    assert made.source["oov"] == "zero" and made.source["oov_words"] == ["lamp"]
    assert made.source["oov_labels"] == ["bicycle lamp", "lamp"] and made.source["seed"] is None


def test_random_vectors_depend_only_on_seed_and_word(file):
    x = {seed: label_embeddings(["lamp", "person", "desk"], file, oov="random", seed=seed) for seed in (0, 1)}
    other = label_embeddings(["bicycle", "lamp"], file, oov="random", seed=0)  # other labels, another order
    assert torch.equal(other.x[0], torch.tensor([1.0, 0.0])) and x[0].source["seed"] == 0
    assert not torch.equal(x[0].x[0], x[1].x[0]) and not torch.equal(x[0].x[0], x[0].x[2])
    again = label_embeddings(["person", "desk", "lamp"], file, oov="random", seed=0)
    assert torch.equal(again.x[2], x[0].x[0]) and torch.equal(again.x[1], x[0].x[2])


def test_random_vectors_have_the_norm_of_known_vectors(tmp_path):
    rows = "".join(f"w{k} " + " ".join(f"{v:.4f}" for v in 5 * torch.randn(400)) + "\n" for k in range(3))
    (tmp_path / "v.txt").write_text(rows)
    x = label_embeddings(["w0", "w1", "w2", "unheard"], tmp_path / "v.txt", oov="random").x
    assert float(x[3].norm() / x[:3].norm(dim=1).mean()) == pytest.approx(1, abs=0.15)


def test_a_file_without_any_known_word_is_refused_under_every_rule(file):
    for oov in ("error", "zero", "random"):
        with pytest.raises(InputError, match="a vector for every word of the labels"):
            label_embeddings(["lamp"], file, oov=oov)


def test_the_record_names_the_file_and_the_aliases_used(file):
    made = label_embeddings(["cycle", "person"], file, aliases=ALIASES | {"cycle": "bicycle", "unused": "person"})
    assert made.source["file"] == "v.txt" and made.source["format"] == "text"
    assert made.source["aliases"] == {"cycle": "bicycle"} and len(made.source["sha256"]) == 64
    before = made.source["sha256"]
    file.write_text(file.read_text().replace("3", "4"))
    assert label_embeddings(["person"], file).source["sha256"] != before


def test_rows_of_an_array_follow_the_label_order(tmp_path):
    rows = np.arange(6).reshape(3, 2)
    for dtype in (np.float16, np.float64, np.int64):
        np.save(tmp_path / "x.npy", rows.astype(dtype))
        made = label_embeddings("abc", tmp_path / "x.npy")
        assert made.x.tolist() == rows.tolist() and made.x.dtype == torch.float32 and made.source["format"] == "npy"
    with pytest.raises(InputError, match="2 rows, one per label, found 3; pass one row per name, in the order of"):
        label_embeddings("ab", tmp_path / "x.npy")


@pytest.mark.parametrize(
    "array, message",
    [
        (np.array([[1.0, np.nan]]), "NaN or Inf"),
        (np.array([[1e300, 0]]), "NaN or Inf"),  # no float32
        (np.zeros(3), r"a matrix of numbers, found shape \(3,\)"),
        (np.zeros((1, 0)), r"shape \(1, 0\)"),
        (np.array([["a"]]), "a matrix of numbers"),
        (np.array([[1j]]), "a matrix of numbers"),
    ],
)
def test_arrays_that_are_not_embeddings(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=message):
        label_embeddings(["a"], tmp_path / "x.npy")


class Hostile:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_hostile_arrays_pickles_and_saved_files_run_no_code(tmp_path):
    ran, hostile = tmp_path / "ran", tmp_path / "h"
    np.save(tmp_path / "h.npy", np.array([[Hostile(ran)]], dtype=object), allow_pickle=True)
    hostile.write_bytes(pickle.dumps(Hostile(ran)))
    torch.save({"format": "mlgcn_pyg.label_embeddings", "x": Hostile(ran)}, tmp_path / "h.pt")
    for path in (tmp_path / "h.npy", hostile, tmp_path / "h.pt"):
        with pytest.raises(InputError):
            label_embeddings(["a"], path)
    assert not ran.exists()


def test_a_truncated_array(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 4)))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-20])
    with pytest.raises(InputError, match="x.npy"):
        label_embeddings("abcd", tmp_path / "x.npy")


@pytest.mark.parametrize(
    "damage", [(b"}", b" "), (b"'shape': (4, 4)", b"'shape': (4" + b"0" * 12 + b",4)"), (b"<f8", b"<q9")]
)
def test_an_array_whose_header_is_damaged(tmp_path, damage):
    np.save(tmp_path / "x.npy", np.zeros((4, 4)))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes().replace(*damage))
    with pytest.raises(InputError, match="a matrix of numbers, found .*x.npy"):
        label_embeddings("abcd", tmp_path / "x.npy")


def test_lone_surrogates_are_refused(file):
    with pytest.raises(InputError, match=r"aliases: expected text that can be encoded in UTF-8, found '\\udcff'"):
        label_embeddings(["person"], file, aliases={"person": "\udcff"})
    with pytest.raises(InputError, match="label_names: expected text that can be encoded in UTF-8"):
        label_embeddings(["\ud83d"], file, oov="zero")


def test_saved_embeddings_are_selected_by_name(file, tmp_path):
    made = label_embeddings(["cycle", "person"], file, aliases={"cycle": "bicycle"})
    made.save(tmp_path / "e.pt")
    same = LabelEmbeddings.load(tmp_path / "e.pt")
    assert same.label_names == made.label_names and torch.equal(same.x, made.x) and same.source == made.source
    other_order = label_embeddings(["person", "cycle"], tmp_path / "e.pt")
    assert torch.equal(other_order.x, made.x.flip(0)) and other_order.source == made.source
    with pytest.raises(InputError, match=r"none for 'dog' \(v.txt\)"):
        label_embeddings(["person", "dog"], tmp_path / "e.pt")


def test_files_that_are_not_saved_embeddings(tmp_path):
    torch.save({"format": "other"}, tmp_path / "e.pt")
    with pytest.raises(InputError, match="saved by LabelEmbeddings.save, found other content"):
        label_embeddings(["a"], tmp_path / "e.pt")
    content = {"format": "mlgcn_pyg.label_embeddings", "version": 1, "label_names": ("a",), "x": torch.ones(1, 2)}
    for change, message in [
        ({"version": 2}, "version 1, found 2"),
        ({}, "label_names, x and source"),
        ({"source": {}, "x": torch.ones(2, 2)}, "1 rows, one per label, found 2"),
        ({"source": {}, "x": torch.full((1, 2), torch.nan)}, "NaN"),
    ]:
        torch.save(content | change, tmp_path / "e.pt")
        with pytest.raises(InputError, match=message):
            label_embeddings(["a"], tmp_path / "e.pt")


def test_a_graph_keeps_the_record_of_its_embeddings(file, tmp_path):
    made = label_embeddings(["cycle", "person"], file, aliases={"cycle": "bicycle"})
    graph = LabelGraph.from_targets([[1, 1]], label_names=["cycle", "person"], x=made)
    graph.save(tmp_path / "g.pt")
    again = LabelGraph.load(tmp_path / "g.pt")
    assert torch.equal(again.x, made.x) and again.x_source == made.source == graph.reweighted(p=0.5).x_source
    plain = LabelGraph.from_targets([[1, 1]], label_names=["cycle", "person"], x=made.x)
    assert plain.x_source == {} and plain.digest() == graph.digest()  # the same graph, whatever it was made of
    with pytest.raises(InputError, match="x: expected the 2 labels of the graph, found the same labels in a different"):
        LabelGraph.from_targets([[1, 1]], label_names=["person", "cycle"], x=made)


def test_graph_files_without_a_record_of_the_embeddings_are_read():
    graph = LabelGraph.from_targets([[1, 1]], x=torch.ones(2, 3))
    old = graph.state()
    del old["x_source"]
    assert LabelGraph.from_state(old).x_source == {} and LabelGraph.from_state(old).digest() == graph.digest()
    with pytest.raises(InputError, match="state: expected a dict as x_source"):
        LabelGraph.from_state(old | {"x_source": "glove"})


def test_a_graph_with_a_record_is_still_an_ordinary_data(file):
    made = label_embeddings(["cycle", "person"], file, aliases={"cycle": "bicycle"})
    graph = LabelGraph.from_targets([[1, 1], [0, 1]], label_names=["cycle", "person"], x=made)
    for same in (graph.clone(), graph.to("cpu")):
        assert same.x_source == made.source and same.validate()
    assert to_networkx(graph).number_of_nodes() == 2 and "x_source" in repr(graph)


def test_labels_are_selected_in_any_form_and_odd_tensors_are_refused():
    embeddings = LabelEmbeddings(
        ("traffic  light", "cafe\u0301"), torch.eye(2)
    )  # as files of earlier versions hold them
    assert embeddings.select(["caf\u00e9", "traffic light"]).x.tolist() == [[0, 1], [1, 0]]
    assert (
        LabelGraph.from_targets(torch.eye(2), label_names=["traffic light", "caf\u00e9"], x=embeddings).x.size(1) == 2
    )
    for x in (torch.eye(2).to_sparse(), torch.eye(2).to(torch.complex64), torch.eye(2).to(torch.float8_e4m3fn)):
        with pytest.raises(InputError, match="x: expected one row of numbers per label"):
            LabelEmbeddings(("a", "b"), x)

"""Label embeddings and released files from the command line."""

import json
import pickle

import pytest
import torch
from PIL import Image

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.checkpoints import load_head
from mlgcn_pyg.graph import LabelEmbeddings, sentence_embeddings
from mlgcn_pyg.nn import Backbone
from tests.cli.test_cli import refused, run
from tests.graph.encoders import tiny_encoder
from tests.released.test_network import NUMS, PAIRS, released


@pytest.fixture
def folder(tmp_path):
    """One image with the labels tvset and dog, their names, and word vectors."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("image,labels\na.png,tvset;dog\n")
    (tmp_path / "names.txt").write_text("\ufefftvset\n\n dog \n", encoding="utf-8")
    (tmp_path / "v.txt").write_text("tv 1 0\nset 0 1\ndog 2 2\n")
    (tmp_path / "aliases.csv").write_text("label,words\ntvset,tv set\n")
    return tmp_path


def table(folder):
    return "--dataset", "table", "--root", folder, "--labels", folder / "t.csv"


def test_embeddings_made_once_give_the_graph_that_raw_vectors_give(folder):
    words = ("--alias-file", folder / "aliases.csv", "--embeddings", folder / "v.txt")
    said = run("embed", "--names", folder / "names.txt", *words, "--out", folder / "e.pt")
    assert "2 labels, 2 numbers each" in said
    run("graph", *table(folder), "--embeddings", folder / "e.pt", "--out", folder / "one.pt")
    run("graph", *table(folder), *words, "--out", folder / "two.pt")
    one, two = LabelGraph.load(folder / "one.pt"), LabelGraph.load(folder / "two.pt")
    assert one.digest() == two.digest() and one.x_source == two.x_source
    assert one.x_source["aliases"] == {"tvset": "tv set"} and one.x[one.label_names.index("tvset")].tolist() == [
        0.5,
        0.5,
    ]


def test_names_of_a_data_set_and_one_alias_over_a_file(folder):
    (folder / "aliases.json").write_text(json.dumps({"tvset": "dog"}))
    words = ("--alias-file", folder / "aliases.json", "--embeddings", folder / "v.txt")
    run("embed", *table(folder), *words, "--alias", "tvset=tv", "--out", folder / "e.pt")
    made = LabelEmbeddings.load(folder / "e.pt")
    assert set(made.label_names) == {"tvset", "dog"} and made.select(["tvset"]).x.tolist() == [[1, 0]]


def test_words_without_a_vector(folder):
    words = ("graph", *table(folder), "--embeddings", folder / "v.txt", "--out", folder / "g.pt")
    assert "found none for 'tvset'" in refused(*words) and not (folder / "g.pt").exists()
    assert "Words without a vector (zero): tvset in tvset" in run(*words, "--oov", "zero")
    graph = LabelGraph.load(folder / "g.pt")
    assert graph.x[graph.label_names.index("tvset")].tolist() == [0, 0] and graph.x_source["oov_labels"] == ["tvset"]
    run(*words, "--oov", "random", "--seed", 3)
    assert LabelGraph.load(folder / "g.pt").x_source["seed"] == 3
    assert "--oov: expected one of error, zero, random" in refused(*words, "--oov", "skip")


@pytest.mark.parametrize(
    "words, message",
    [
        ((), "--names: expected one source of label names, found none; give --names or --dataset"),
        (("--names", "names.txt", "--dataset", "table"), "found two; give --names or --dataset"),
        (("--names", "absent.txt"), "no file"),
        (("--names", "a.png"), "UTF-8"),
        (("--names", "empty.txt"), "label names, one per line, found none"),
        (("--names", "twice.txt"), "unique names, found 'dog' twice"),
        (("--names", "names.txt", "--alias-file", "v.txt"), "--alias-file: expected"),
        (("--names", "names.txt", "--alias", "tvset"), "--alias: expected label=words"),
        (("--names", "names.txt", "--embeddings-format", "npy"), "--embeddings: expected a matrix of numbers"),
    ],
)
def test_refusals(folder, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    (folder / "empty.txt").write_text("\n")
    (folder / "twice.txt").write_text("dog\ndog\n")
    assert message in refused("embed", "--embeddings", "v.txt", "--out", "e.pt", *words)
    assert not (folder / "e.pt").exists()


def test_an_alias_that_would_not_be_used_is_refused(folder):
    """A slip of the pen would otherwise give the label its own name's vector, silently."""
    words = ("embed", "--names", folder / "names.txt", "--embeddings", folder / "v.txt", "--out", folder / "e.pt")
    aliases = ("--alias", "tvset=tv set")
    line = refused(*words, *aliases, "--alias", "Dog=tv")
    assert "--alias: expected one of the 2 labels, found 'Dog'; did you mean 'dog'?" in line
    assert "found 'emu'; pass names of other labels in --alias-file" in refused(*words, *aliases, "--alias", "emu=tv")
    run(*words, *aliases)
    again = ("embed", "--names", folder / "names.txt", "--embeddings", folder / "e.pt", "--out", folder / "f.pt")
    for more in (aliases, ("--alias-file", folder / "aliases.csv"), ("--oov", "zero")):
        line = refused(*again, *more)
        assert "--embeddings: expected word vectors for --alias, --alias-file, --oov" in line
    assert not (folder / "f.pt").exists()
    run(*again)


@pytest.mark.parametrize(
    "command, option, read",
    [
        ("embed", "out", "v.txt"),
        ("embed", "out", "names.txt"),
        ("embed", "out", "aliases.csv"),
        ("graph", "out", "v.txt"),
        ("graph", "out", "aliases.csv"),
        ("graph", "out", "t.csv"),
        ("graph", "plot", "t.csv"),
    ],
)
def test_no_result_replaces_a_file_that_it_is_made_of(folder, command, option, read):
    before = (folder / read).read_bytes()
    (folder / "link").symlink_to(folder / read)
    words = (command, "--embeddings", folder / "v.txt", "--alias-file", folder / "aliases.csv")
    words += ("--names", folder / "names.txt") if command == "embed" else table(folder)
    words += ("--out", folder / "g.pt") if option == "plot" else ()
    for path in (folder / read, folder / "link"):
        line = refused(*words, f"--{option}", path)
        assert f"{option}: expected a different file than the input files" in line
    assert (folder / read).read_bytes() == before and not (folder / "g.pt").exists()


def test_a_plot_does_not_replace_its_graph(folder):
    words = ("graph", *table(folder), "--out", folder / "g.pt", "--plot", folder / "g.pt")
    assert "--plot: expected a different file than --out" in refused(*words) and not (folder / "g.pt").exists()


def test_a_released_checkpoint_becomes_files_of_this_package(tmp_path):
    content, x, oracle = released()
    torch.save(content, tmp_path / "c.pth.tar", _use_new_zipfile_serialization=False)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(x.numpy(), protocol=2))
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps({"nums": NUMS, "adj": PAIRS}, protocol=2))
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    words = ("--checkpoint", tmp_path / "c.pth.tar", "--embeddings", tmp_path / "x.pkl", "--backbone", "resnet18")
    words = ("import-released", *words, "--names", tmp_path / "names.txt", "--adj", tmp_path / "adj.pkl")
    run(*words, "--out", tmp_path / "r")
    head, backbone = load_head(tmp_path / "r/head.pt"), Backbone("resnet18", tmp_path / "r/backbone.pth").eval()
    assert head.label_names == tuple("abcde") and LabelGraph.load(tmp_path / "r/graph.pt").x_source["file"] == "x.pkl"
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        expected = oracle(images)
        assert torch.allclose(head(backbone(images)), expected, atol=1e-4 * float(expected.abs().max()))
    assert "--adj: expected the counts from which A was computed" in refused(
        *words, "--tau", 0.6, "--out", tmp_path / "other"
    )
    assert not (tmp_path / "other").exists()


def test_an_alias_of_a_label_with_an_equals_sign(tmp_path):
    (tmp_path / "v.txt").write_text("carbon 1 2\nx-ray 3 4\n")
    (tmp_path / "n.txt").write_text("C=C\nR\u00f6ntgen\n", encoding="utf-8")
    files = "--names", tmp_path / "n.txt", "--embeddings", tmp_path / "v.txt", "--out", tmp_path / "e.pt"
    run("embed", *files, "--alias", "C=C=carbon", "--alias", "Ro\u0308ntgen = x-ray")
    assert LabelEmbeddings.load(tmp_path / "e.pt").x.tolist() == [[1, 2], [3, 4]]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


def test_a_sentence_encoder_gives_embeddings_and_graphs(folder, encoder):
    words = ("--embeddings", f"sentence:{encoder}", "--prompt", "a photo of the {}", "--prompt", "{}")
    said = run("embed", "--names", folder / "names.txt", *words, "--alias", "tvset=tv", "--out", folder / "e.pt")
    made = LabelEmbeddings.load(folder / "e.pt")
    assert "2 labels, 8 numbers each" in said and "encoding labels" in said and "Loading" not in said
    prompts = ["a photo of the {}", "{}"]
    expected = sentence_embeddings(["tvset", "dog"], encoder, prompts=prompts, aliases={"tvset": "tv"})
    assert torch.equal(made.x, expected.x) and made.source == expected.source and made.source["prompts"] == prompts
    run("graph", *table(folder), *words, "--alias", "tvset=tv", "--out", folder / "g.pt")
    graph = LabelGraph.load(folder / "g.pt")
    assert torch.equal(graph.x, made.select(graph.label_names).x) and graph.x_source == made.source


@pytest.mark.parametrize(
    "words, message",
    [
        (("--embeddings", "sentence:absent/encoder"), "--embeddings: expected a folder, or a name on the Hugging Face"),
        (("--embeddings", "sentence:./absent"), "--embeddings: expected a folder, or a name on the Hugging Face"),
        (("--embeddings", "sentence:"), "--embeddings: expected a folder, or a name on the Hugging Face"),
        (("--embeddings", "sentence:~absent-user/x"), "--embeddings: expected a path, found ~absent-user/x"),
        (("--embeddings", "sentence:{encoder}", "--prompt", "a photo"), "--prompt: expected texts with one {} for the"),
        (("--embeddings", "sentence:{encoder}", "--oov", "zero"), "--oov: expected a file of word vectors or embedd"),
        (("--embeddings", "sentence:{encoder}", "--embeddings-format", "npy"), "--embeddings-format: expected a file"),
        (("--embeddings", "v.txt", "--prompt", "a {}"), "--prompt: expected sentence:ENCODER in --embeddings"),
    ],
)
def test_refusals_of_sentence_encoders(folder, encoder, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = [word.replace("{encoder}", str(encoder)) for word in words]
    assert message in refused("embed", "--names", "names.txt", "--out", "e.pt", *words)
    assert not (folder / "e.pt").exists()


def test_edges_by_similarity_alone_need_a_file_that_names_the_labels(folder, encoder):
    words = ("graph", "--similar", "0.5", "--out", folder / "g.pt")
    assert "write them with mlgcn embed first" in refused(*words, "--embeddings", f"sentence:{encoder}")

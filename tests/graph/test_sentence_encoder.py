"""Folders of sentence encoders that are refused, and names of encoders."""

import json
import os
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import sentence_embeddings
from tests.graph.encoders import change_json, tiny_encoder


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture
def encoder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "encoder")


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def module(**values):
    """Changes the second entry of modules.json."""

    def change(folder):
        modules = json.loads((folder / "modules.json").read_text())
        modules[1] |= values
        (folder / "modules.json").write_text(json.dumps(modules))

    return change


def config(name, **values):
    return lambda folder: change_json(folder / name, **values)


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


def pickled(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Touch(folder / "ran")))


def own_code(folder):
    (folder / "evil.py").write_text(f"import os; os.mkdir({str(folder / 'ran')!r})\nclass Evil: pass\n")
    module(type="evil.Evil")(folder)


def own_model(folder):
    (folder / "evil.py").write_text(f"import os; os.mkdir({str(folder / 'ran')!r})\nclass Evil: pass\n")
    change_json(
        folder / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    )


def dense(folder):
    (folder / "2_Dense").mkdir()
    sizes = {"in_features": 9_000_000, "out_features": 9_000_000}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(sizes))
    save_file({"linear.weight": torch.ones(2, 8)}, folder / "2_Dense" / "model.safetensors")
    module(type="sentence_transformers.models.Dense", path="2_Dense")(folder)


def weights(change):
    def changed(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return changed


def truncated(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def pipe(folder):
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


REFUSED = {
    "modules of another library": (module(type="os.path.join"), "the module 'os.path.join'"),
    "a class in the folder": (own_code, "the module 'evil.Evil'"),
    "a model in the folder": (own_model, "without running code of its folder"),
    "another class of the library": (module(type="sentence_transformers.util.Router"), "the module"),
    "a module outside": (module(path="../.."), "the module"),
    "no file of modules": (lambda folder: (folder / "modules.json").unlink(), "no modules.json in"),
    "no modules": (text("modules.json", "[]"), "at least one module"),
    "modules that are numbers": (text("modules.json", "[1]"), "the module ''"),
    "no list": (text("modules.json", "{}"), "a JSON list"),
    "damaged modules": (text("modules.json", "[{"), "valid JSON"),
    "deep modules": (text("modules.json", "[" * 100_000), "valid JSON"),
    "a list of settings": (text("config.json", "[1]"), "a JSON dict"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "the words that the encoder knows"),
    "a damaged tokenizer": (text("tokenizer.json", "{"), "encoder"),
    "weights in a pickle": (pickled, "weights in safetensors"),
    "truncated weights": (truncated, "encoder"),
    "an adapter": (text("adapter_config.json", "{}"), "an encoder without an adapter"),
    "arguments that load code": (
        config("sentence_bert_config.json", model_args={"attn_implementation": "me/kernel"}),
        "the arguments attn_implementation",
    ),
    "an encoder of pairs": (config("config_sentence_transformers.json", model_type="CrossEncoder"), "a CrossEncoder"),
    "a layer without weights": (config("config.json", num_hidden_layers=3), "none for encoder.layer.2"),
    "a billion layers": (config("config.json", num_hidden_layers=10**9), "num_hidden_layers = 1,000,000,000"),
    "a billion layers of a part": (
        config("config.json", text_config={"num_hidden_layers": 10**9}),
        "num_hidden_layers = 1,000,000,000",
    ),
    "texts that are longer than the model's": (
        config("sentence_bert_config.json", max_seq_length=1000),
        "an encoder that can encode 'dog dog dog",
    ),
    "a billion words": (config("config.json", vocab_size=10**9), "encoder"),
    "a huge dense layer": (dense, "the sizes of the weights"),
    "weights that are not finite": (
        weights(lambda tensors: tensors["embeddings.word_embeddings.weight"].fill_(torch.nan)),
        "encoder: expected finite",
    ),
    "a pipe": (pipe, "the pipe"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_folders(encoder, name, capfd):
    change, message = REFUSED[name]
    change(encoder)
    with pytest.raises(InputError, match="^encoder: expected ") as error:
        sentence_embeddings(["dog"], encoder, prompts=["dog " * (40 if "longer" in name else 1) + "{}"])
    assert message in str(error.value) and not (encoder / "ran").exists()
    assert capfd.readouterr() == ("", "")


def test_code_and_pickles_that_are_not_needed_are_not_run(encoder, original):
    (encoder / "pytorch_model.bin").write_bytes(pickle.dumps(Touch(encoder / "ran")))
    (encoder / "modeling_evil.py").write_text(f"import os; os.mkdir({str(encoder / 'ran')!r})")
    change_json(encoder / "config.json", auto_map={"AutoModel": "modeling_evil.Evil"})
    assert torch.equal(sentence_embeddings(["dog"], encoder).x, sentence_embeddings(["dog"], original).x)
    assert not (encoder / "ran").exists()


def test_modules_without_settings_and_other_kinds_of_modules(original, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Normalize, StaticEmbedding
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(original).backend_tokenizer
    modules = [StaticEmbedding(tokenizer, embedding_dim=6), Dense(6, 3), LayerNorm(3), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(tmp_path / "static"))
    (tmp_path / "static" / "3_Normalize" / "config.json").write_text("{}")
    found = sentence_embeddings(["dog", "cat"], tmp_path / "static").x
    torch.testing.assert_close(found, torch.from_numpy(model.encode(["dog", "cat"])))


def test_a_pooler_without_weights_is_not_missed(encoder, original):
    weights(lambda tensors: [tensors.pop(f"pooler.dense.{name}") for name in ("weight", "bias")])(encoder)
    assert torch.equal(sentence_embeddings(["dog"], encoder).x, sentence_embeddings(["dog"], original).x)


@pytest.mark.parametrize("name", ["./absent", "/absent", "a/b/c", "", "bad name", "~x/y"])
def test_what_is_neither_a_folder_nor_a_name(name):
    with pytest.raises(InputError, match="encoder: expected a folder, or a name on the Hugging Face Hub, found no"):
        sentence_embeddings(["dog"], name)


def test_a_name_that_cannot_be_reached(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="can be reached, found me/absent .*; without a network, pass the folder"):
        sentence_embeddings(["dog"], "me/absent")


def test_a_name_that_was_downloaded_before(original, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--sentence-transformers--tiny"
    shutil.copytree(original, kept / "snapshots" / ("a" * 40))
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("a" * 40)
    made = sentence_embeddings(["dog"], "tiny")
    assert torch.equal(made.x, sentence_embeddings(["dog"], original).x) and made.source["encoder"] == "tiny"

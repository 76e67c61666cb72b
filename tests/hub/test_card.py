"""Model cards: metadata that the hub reads, results of the run, and programs that run as they are printed."""

import json
import os
import re
import shlex

import pytest
import torch
from huggingface_hub import ModelCard

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.files.runs import checkpoint_file
from mlgcn_pyg.graph import LabelEmbeddings
from mlgcn_pyg.hub import HubModel, RunResults, model_card
from mlgcn_pyg.hub.card_results import _minus
from mlgcn_pyg.nn import LabelGNNHead, LinearHead, SharingHead
from tests.hub.runs import NAMES, make_caches, make_run, network, photo, rare_run
from tests.run_report.runs import run


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    make_caches(folder)
    return make_run(folder)


def sections(card: ModelCard) -> dict[str, str]:
    titles = re.split(r"^## (.*)\n", card.text, flags=re.M)
    return {name: text.strip() for name, text in zip(titles[1::2], titles[2::2], strict=True)}


def blocks(card: ModelCard, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", card.text, flags=re.M | re.S)


def test_metadata_and_results_are_those_of_the_run(heads):
    card = HubModel.from_checkpoint(heads, license="mit").generate_model_card("hub:me/x")
    content = json.loads((heads / "metrics.json").read_text())
    kind = content["recommendation"]["head"]
    found = content["intervals"]["heads"][kind]["mAP"]
    data = ModelCard(str(card)).data  # as the hub reads it
    assert (data.library_name, data.pipeline_tag, data.license) == ("mlgcn_pyg", "image-classification", "mit")
    (result,) = data.eval_results
    assert (result.dataset_name, result.metric_type) == ("test.h5", "mAP")
    assert result.metric_value == pytest.approx(found["value"], abs=1e-4)
    results = sections(card)["Results"]
    shown = [f"{100 * found[name]:.1f}" for name in ("value", "low", "high")]
    assert rf"| **{kind}** | {shown[0]} \[{shown[1]}, {shown[2]}\] |" in results
    for name in ("linear", "sharing", "mlgcn"):
        assert name in results
    assert "48 images of `test.h5`" in results and "Recommended" in results
    for part in ("train", "val", "test"):
        assert content["setup"][part]["sha256"] in sections(card)["Training"]


def test_names_of_labels_are_no_markup(heads):
    card = str(HubModel.from_checkpoint(heads).generate_model_card())
    assert "<script" not in card and "&lt;script&gt;alert(1)&lt;/script&gt;" in card and "chat &amp; chien" in card
    card = str(model_card(Checkpoint(LinearHead(2, 3, ["a\n## Results\n", "---\nlicense: mit"])), source="x\n---\n"))
    assert len(re.findall("^## Results", card, flags=re.M)) == 1 and ModelCard(card).data.license is None
    assert card.count("\n---\n") == 1


def test_what_is_not_recorded_is_unknown():
    card = model_card(Checkpoint(LinearHead(2, 4, ["cat", "dog"])))
    found = sections(card)
    assert found["Results"].startswith("Unknown") and "quality of the predictions is unknown" in found["Limits"]
    assert "* training images: unknown" in found["Training"] and "* backbone: unknown" in found["Features"]
    assert "licence is not stated" in found["Limits"] and card.data.license is None and card.data.eval_results is None
    assert "no calibration is recorded" in found["Decisions"] and "above 0.5" in found["Decisions"]
    assert "linear" in found["Label graph"]


def test_the_label_graph(heads):
    graph = LabelGraph.from_targets(torch.tensor([[1, 1, 0], [1, 0, 1]]), tau=0.5, p=0.3, label_names=["a", "b", "c"])
    for head in (MLGCNHead(graph, 4), SharingHead(graph, 4)):
        text = sections(model_card(Checkpoint(head)))["Label graph"]
        assert "τ of the edges: 0.5" in text and "neighbours: 0.3" in text and "edges: 4" in text and "one-hot" in text


def test_a_gnn_has_its_size_and_no_weighting():
    config = {
        "recipe": "auto", "lr": None, "momentum": 0.9, "lr_step": 40, "lr_gamma": 0.1, "schedule": None, "val_every": 1,
        "clip_norm": 10.0, "optimizer": None,
    }  # fmt: skip
    head = LabelGNNHead(LabelGraph.from_targets([[1, 0], [0, 1]], p=0.2, label_names=["a", "b"]), 4, "sage", 3)
    card = model_card(Checkpoint(head, config=config))
    found = sections(card)
    assert "a GNN head (`sage`)" in card.text and "edges weighted by P: no" in found["Label graph"]
    assert "weighting" not in found["Label graph"] and "weight p" not in found["Label graph"]
    assert "* layers: 2\n* width of the layers: 3\n" in found["Training"]
    assert "maximum norm of the gradient: 10" in found["Training"]
    for unused in ("momentum", "reduction", "val", "lr"):  # AdamW with the cosine schedule
        assert unused not in found["Training"].replace("validation images", "")
    chosen = "chosen by the recipe `auto`, and not recorded: epochs, images per step, optimizer, schedule of the "
    assert f"* {chosen}learning rate, learning rate, weight decay" in found["Training"]


@pytest.mark.parametrize(("schedule", "recipe", "shown"), [
    ("step", "auto", True), (None, "paper", True), (None, "auto", False), ("cosine", "paper", False),
])  # fmt: skip
def test_settings_of_a_schedule_that_is_not_used(schedule, recipe, shown):
    config = {"recipe": recipe, "schedule": schedule, "lr_step": 40, "lr_gamma": 0.1, "momentum": 0.9}
    text = sections(model_card(Checkpoint(LinearHead(2, 4), config=config)))["Training"]
    assert ("epochs between reductions of the learning rate: 40" in text) == shown and "momentum: 0.9" in text


def test_values_that_were_selected_are_those_of_the_run(heads):
    last = RunResults.of_checkpoint(heads / "linear-seed0.pt").metrics.heads["linear"].last
    text = sections(HubModel.from_checkpoint(heads / "linear-seed0.pt").generate_model_card())["Training"]
    assert f"strength λ of the L2 penalty: {last['l2']:.6g}".replace("-", "−") in text
    for name in ("select", "tolerance", r"per\_label", "views", "l2"):
        assert f"* {name}:" not in text
    last = RunResults.of_checkpoint(heads / "mlgcn-seed0.pt").metrics.heads["mlgcn"].last
    text = sections(HubModel.from_checkpoint(heads / "mlgcn-seed0.pt").generate_model_card())["Training"]
    assert f"* epochs: {last['epoch']}" in text and "* width of the hidden layers: " in text


def test_a_head_that_was_not_recommended_says_so(heads):
    recommended = json.loads((heads / "metrics.json").read_text())["recommendation"]["head"]
    other = next(kind for kind in ("linear", "mlgcn") if kind != recommended)
    text = sections(HubModel.from_checkpoint(heads / f"{other}-seed0.pt").generate_model_card())["Results"]
    assert f"This model is the `{other}` head; recommended was `{recommended}`." in text
    assert "recommended was" not in str(HubModel.from_checkpoint(heads).generate_model_card())


def test_negative_numbers_have_a_minus_sign_and_names_keep_their_hyphens():
    assert _minus("lower for t-3 -0.1 [-1.2, -0.2]") == "lower for t-3 −0.1 [−1.2, −0.2]"


def test_embeddings_of_a_sentence_encoder():
    x = LabelEmbeddings(["a", "b"], torch.randn(2, 3), {"encoder": "me/x", "prompts": ["a photo of a {}", "{}"]})
    head = MLGCNHead(LabelGraph.from_targets([[1, 0], [0, 1]], x=x, label_names=["a", "b"]), 4)
    assert "3 numbers each, source `x`, prompts `a photo of a {}`, `{}`" in str(model_card(Checkpoint(head)))


def test_a_label_without_images_has_unknown_results(tmp_path):
    model = HubModel.from_checkpoint(rare_run(tmp_path), dataset_name="my photos")
    found = sections(model.generate_model_card())
    sentence = f"None of the 48 images of my photos, `test.h5` has {NAMES[-1]}, whose results are unknown"
    assert sentence in found["Limits"]
    assert f"| {NAMES[-1]} | 0 | – |" in found["Results"]
    assert model.generate_model_card().data.eval_results[0].dataset_name == "my photos"


def test_heads_of_a_run_have_their_own_results(heads):
    for kind in ("linear", "mlgcn"):
        found = RunResults.of_checkpoint(heads / f"{kind}-seed0.pt")
        assert (
            found.kind == kind
            and f"This model is the `{kind}` head"
            in sections(HubModel.from_checkpoint(heads / f"{kind}-seed0.pt").generate_model_card())["Results"]
        )
    second = HubModel.from_checkpoint(heads / "mlgcn-seed1.pt").generate_model_card()
    assert "means over 2 seeds" in sections(second)["Results"]
    other = heads / "calibrated.pt"
    other.write_bytes(checkpoint_file(heads).read_bytes())
    assert RunResults.of_checkpoint(other) is None
    other.unlink()


def test_paths_and_commands_are_not_published(heads, tmp_path):
    HubModel.from_checkpoint(heads).save_pretrained(tmp_path / "m")
    for file in ("README.md", "metrics.json", "config.json"):
        text = (tmp_path / "m" / file).read_text()
        assert str(heads.parent) not in text and "--train" not in text and ".." + os.sep not in text


def test_the_programs_of_a_head_run_as_printed(heads, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    HubModel.from_checkpoint(heads).save_pretrained("m")
    card = ModelCard.load("m/README.md")
    (program,) = blocks(card, "python")
    values: dict = {}
    exec(program, values)
    assert values["logits"].shape == (1, len(NAMES))
    (command,) = blocks(card, "sh")
    assert "--backbone NAME --weights weights.pth" in command  # the features of this run are of no backbone


def test_the_programs_of_a_head_with_a_known_backbone_run_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "photo.jpg")
    whole = network()
    torch.save(whole.backbone.state_dict(), "weights.pth")
    HubModel(Checkpoint(whole.head, config={"features": whole.provenance})).save_pretrained("m")
    card = ModelCard.load("m/README.md")
    assert whole.provenance["weights_sha256"] in card.text
    (command,) = blocks(card, "sh")
    name, *words = shlex.split(command)
    assert name == "mlgcn" and "photo.jpg" in run(*words)


def test_the_programs_of_a_network_run_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "photo.jpg")
    HubModel(network()).save_pretrained('my "pets"')
    card = ModelCard.load('my "pets"/README.md')
    (program,) = blocks(card, "python")
    exec(program, {})
    assert "photo.jpg" in capsys.readouterr().out
    (command,) = blocks(card, "sh")
    assert "photo.jpg" in run(*shlex.split(command)[1:])
    found = sections(card)
    assert "thresholds are between 0.500 and 0.731" in found["Decisions"] and "were calibrated" in found["Decisions"]
    assert "dog \\| \\*" in found["Labels"]


def test_many_labels_make_a_short_card():
    card = str(model_card(Checkpoint(LinearHead(5000, 2))))
    assert "and 4,800 more" in card and len(card) < 10_000

"""Explanations: the terms of the head for the features of the backbone, on files of every kind."""

import pytest
import torch
from PIL import Image

import mlgcn_pyg
from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.datasets import read_image
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.prediction import Explanation, LabelExplanation, Predictor, find_images
from tests.prediction.example import NAMES
from tests.prediction.test_predict import Tiny

pytestmark = pytest.mark.filterwarnings("ignore:left out")


@pytest.fixture(scope="module")
def predictor(made):
    return mlgcn_pyg.load(made / "model.pt")


def test_the_terms_are_those_of_the_head_and_sum_to_the_logits_of_the_predictor(made, predictor):
    files = find_images([made / "photos"])
    logits, features = predictor.logits(files), predictor.features(files)
    expected = predictor.checkpoint.head.contributions(features)
    for row, one in enumerate(predictor.explain(files, top_k=4, batch_size=2)):
        assert one.image == files[row] and one.error is None
        names = [label.label for label in one.labels]
        assert names == [NAMES[k] for k in logits[row].argsort(descending=True)]
        for label in one.labels:
            c = NAMES.index(label.label)
            assert label.logit == pytest.approx(float(logits[row, c]), abs=1e-4)
            assert label.probability == pytest.approx(float(logits[row, c].sigmoid()), abs=1e-5)
            assert label.own == pytest.approx(float(expected.own[row, c]), abs=1e-4)
            edges = (expected.receiver == c).nonzero().flatten()
            terms = {NAMES[expected.sender[e]]: float(expected.edges[row, e]) for e in edges}
            assert dict(label.neighbours) == pytest.approx(terms, abs=1e-4)
            sizes = [abs(value) for _, value in label.neighbours]
            assert sizes == sorted(sizes, reverse=True)
            total = label.own + sum(terms.values()) + label.bias
            assert total == pytest.approx(label.logit, abs=1e-4)
            assert float(label.cells.sum()) == pytest.approx(label.logit - label.bias, abs=1e-9)
            assert label.cells.dim() == 2 and sum(value for _, value in label.terms(1)) == pytest.approx(label.logit)


def test_chosen_labels_keep_their_order(predictor):
    image = Image.new("RGB", (50, 40), "teal")
    [one] = predictor.explain(image, labels=["é,x", "sea", "é,x"])
    assert [label.label for label in one.labels] == ["é,x", "sea"] and one.picture().size == (50, 40)
    for labels, message in [
        (["bota [small]"], r"labels: .*found 'bota \[small\]'; such as 'boat \[small\]'"),
        ([], "labels: expected at least one label"),
        ("sea", "labels: expected a list of names of labels, found 'sea'"),
    ]:
        with pytest.raises(InputError, match=message):
            predictor.explain(image, labels=labels)
    with pytest.raises(InputError, match="top_k: expected an integer ≥ 1"):
        predictor.explain(image, top_k=0)


def test_images_that_cannot_be_read_keep_their_place(made, predictor, tmp_path):
    good, bad = made / "photos" / "a.JPG", tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    first, second, third = predictor.explain([bad, good, tmp_path / "bad.jpg", made / "photos" / "one pixel.png"])
    assert "can be decoded" in first.error and first.labels == () and str(first) == first.error
    assert second.image == good and third.image.name == "one pixel.png" and len(third.labels) == 3
    assert second.picture().tobytes() == read_image(good).tobytes()
    assert predictor.explain([bad])[0].error is not None and predictor.explain([]) == []


def test_a_backbone_without_maps_has_terms_and_no_cells():
    predictor = Predictor(Checkpoint(LinearHead(4, 6, NAMES), Tiny(), (64, 64)))
    [one] = predictor.explain(Image.new("RGB", (64, 64), "teal"), top_k=2)
    assert len(one.labels) == 2
    for label in one.labels:
        assert label.cells is None and label.neighbours == ()
        assert label.own + label.bias == pytest.approx(label.logit)


def test_a_head_of_low_precision_is_explained(made, tmp_path):
    head = LinearHead(4, 512, NAMES).half()
    predictor = Predictor(Checkpoint(head, mlgcn_pyg.load(made / "model.pt").checkpoint.backbone, (48, 48)))
    image = Image.new("RGB", (50, 40), "teal")
    [one] = predictor.explain(image, labels=NAMES)
    found = torch.tensor([label.logit for label in one.labels])
    assert torch.allclose(found, predictor.logits(image)[0], atol=1e-2)


def test_the_text_lists_the_strongest_neighbours_and_the_sum_of_the_others():
    neighbours = [("a\x1b", -3.0), ("b", 2.0), ("c", 1.0), ("d", 0.5), ("e", -0.25), ("f", 0.125), ("g", 0.125)]
    label = LabelExplanation("tie", 1.5, 0.8175, 0.75, neighbours, 0.25)
    assert str(Explanation("x.jpg", [label])).splitlines() == [
        "tie: probability 0.818, logit +1.50",
        "     +0.75  own classifier",
        "     -3.00  a\\x1b",
        "     +2.00  b",
        "     +1.00  c",
        "     +0.50  d",
        "     -0.25  e",
        "     +0.25  2 other neighbours",
        "     +0.25  bias",
    ]
    assert label.terms(6)[-2] == ("1 other neighbour", 0.125)
    assert len(str(LabelExplanation("tie", 1.0, 0.7, 1.0, (), 0.0)).splitlines()) == 2

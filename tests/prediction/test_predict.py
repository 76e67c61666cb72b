"""Predictions against the network called by hand."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from mlgcn_pyg.checkpoints import Checkpoint, load_checkpoint, save_linear, save_model
from mlgcn_pyg.datasets import VOC2007, LabeledImages, eval_transform, read_image
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.features import extract_features
from mlgcn_pyg.nn import Backbone, LinearHead
from mlgcn_pyg.prediction import Predictor, find_images, open_model
from mlgcn_pyg.training import HeadConfig, fit_head
from tests.prediction.example import NAMES, SIZE, by_hand

# the folder of photographs has a text in it; test_photographs.py tests what is said of it
pytestmark = pytest.mark.filterwarnings("ignore:left out")


@pytest.fixture(scope="module")
def predictor(made):
    return Predictor(made / "model.pt")


@pytest.mark.parametrize("batch_size, num_workers", [(2, 0), (16, 0), (2, 1)])
def test_every_kind_of_image_equals_the_network_called_by_hand(made, predictor, batch_size, num_workers):
    rows = list(predictor.predict(made / "photos", top_k=4, batch_size=batch_size, num_workers=num_workers))
    assert [row.image.name for row in rows] == [
        "a.JPG", "cmyk.tiff", "palette.gif", "sixteen bits.png", "one pixel.png",
    ]  # fmt: skip
    for row in rows:
        expected = by_hand(made, row.image)
        assert [NAMES.index(name) for name, _ in row.labels] == expected.argsort(descending=True).tolist()
        assert [p for _, p in row.labels] == pytest.approx(expected.sort(descending=True).values.tolist(), abs=1e-4)


def test_pillow_images_files_and_folders_agree(made, predictor):
    files = find_images([made / "photos"])
    expected = [row.labels for row in predictor.predict([str(made / "photos")])]
    assert any(expected) and [row.labels for row in predictor.predict(files)] == expected
    images = [read_image(path) for path in files]
    rows = list(predictor.predict(images))
    assert [row.labels for row in rows] == expected and all(a.image is b for a, b in zip(rows, images, strict=True))
    assert predictor.predict(images[0])[0].labels == predictor.predict(str(files[0]))[0].labels
    assert list(predictor.predict([])) == []


def test_thresholds_passed_stored_and_by_default(made, predictor, tmp_path):
    files = find_images([made / "photos"])
    probabilities = {path: by_hand(made, path) for path in files}

    def labels(predictor=predictor, **given):
        return {row.image: {name for name, _ in row.labels} for row in predictor.predict(files, **given)}

    def above(limits):
        return {
            path: {name for name, p, limit in zip(NAMES, values, limits, strict=True) if p > limit}
            for path, values in probabilities.items()
        }

    assert labels() == above([0.5] * 4)
    assert labels(threshold=0.8) == above([0.8] * 4)
    assert labels(threshold=0) == above([-1] * 4) and labels(threshold=1) == above([2] * 4)
    assert all(len(names) == 1 for names in labels(top_k=1).values())
    limits = [0.9, 0.1, 0.5, 0.3]
    logits = torch.tensor(limits, dtype=torch.float64).logit()
    save_model(tmp_path / "own.pt", predictor.checkpoint.model, image_size=SIZE, thresholds=logits)
    stored = Predictor(tmp_path / "own.pt")
    assert labels(stored) == above(limits) != above([0.5] * 4)
    assert labels(stored, threshold=0.5) == above([0.5] * 4) and labels(stored, top_k=4) == above([-1] * 4)
    assert labels(thresholds=logits) == labels(thresholds=logits.tolist()) == above(limits)
    assert labels(stored, thresholds={"sea": 0.2}) == above([0.2, *limits[1:]])
    assert labels(stored, thresholds={"sea": 0.2, "é,x": 1}, threshold=0.5) == above([0.2, 0.5, 0.5, 1])
    assert all(len(names) <= 1 for names in labels(stored, thresholds={"sea": 0}, top_k=1).values())


@pytest.mark.parametrize(
    "given, argument",
    [
        ({"images": "no.jpg"}, "images"),
        ({"images": [3]}, "images"),
        ({"images": ["a.jpg", Image.new("RGB", (1, 1))]}, "images"),
        ({"top_k": 0}, "top_k"),
        ({"threshold": 1.5}, "threshold"),
        ({"thresholds": {"boat": 0.5}}, "thresholds"),
        ({"thresholds": {"sea": 2}}, "thresholds"),
        ({"thresholds": [0.0] * 3}, "thresholds"),
        ({"thresholds": [0.0] * 4, "threshold": 0.5}, "thresholds"),
        ({"batch_size": 0}, "batch_size"),
        ({"num_workers": -1}, "num_workers"),
    ],
)
def test_arguments_that_are_wrong_are_named(predictor, given, argument):
    with pytest.raises(InputError) as caught:
        predictor.predict(**({"images": []} | given))
    assert caught.value.argument == argument
    if argument != "images":
        with pytest.raises(InputError):
            predictor.predict_batches(**({"images": []} | given))  # before the first batch


def test_models_that_cannot_predict_are_refused(made, backbone):
    head = load_checkpoint(made / "head.pt")
    for checkpoint in (head, Checkpoint(head.head, backbone)):
        with pytest.raises(InputError, match="checkpoint: expected a .*model"):
            Predictor(checkpoint)


def test_logits_that_are_not_finite_are_refused(made, tmp_path):
    broken = load_checkpoint(made / "model.pt").model
    broken.head.convs[0].weight.data.fill_(torch.nan)
    save_model(tmp_path / "nan.pt", broken, image_size=SIZE)
    with pytest.raises(InputError, match="checkpoint: expected finite logits"):
        Predictor(tmp_path / "nan.pt").predict(made / "photos")


def test_a_batch_that_does_not_fit_the_device_names_its_argument(made, predictor, monkeypatch):
    def full(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(predictor.network, "forward", full)
    with pytest.raises(InputError) as caught:
        predictor.predict(made / "photos", batch_size=4)
    assert caught.value.argument == "batch_size" and caught.value.fix[-1] == Argument("batch_size")


class Tiny(torch.nn.Module):
    num_features = 6

    def forward(self, images):
        return images.flatten(2).mean(dim=2).repeat(1, 2)


def test_ten_thousand_images_would_need_no_more_memory_than_a_thousand(tmp_path):
    """The memory of a batch is released: the same small file under many names."""
    Image.new("RGB", (16, 16), "red").save(tmp_path / "0.png")
    for k in range(1, 3000):
        os.link(tmp_path / "0.png", tmp_path / f"{k}.png")
    predictor, sizes = Predictor(Checkpoint(LinearHead(4, 6, NAMES), Tiny(), (64, 64))), []
    for batch in predictor.predict_batches(find_images([tmp_path]), threshold=0.0, batch_size=50):
        assert len(batch) == 50 and all(len(row.labels) == 4 for row in batch)
        sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
    # the 2,000 images after the first 1,000 are 94 MiB of pixels
    assert len(sizes) == 60 and sizes[-1] - sizes[20] < 8, sizes


def test_a_linear_export_of_low_precision_predicts(made, tmp_path):
    head = load_checkpoint(made / "head.pt")
    save_linear(tmp_path / "half.safetensors", head.head.half(), config=head.config)
    half = Predictor(open_model(tmp_path / "half.safetensors", weights=made / "weights.pth"))
    [row] = half.predict(made / "photos" / "a.JPG", top_k=4)
    expected = by_hand(made, made / "photos" / "a.JPG")
    assert len(row.labels) == 4
    for name, probability in row.labels:
        assert probability == pytest.approx(float(expected[NAMES.index(name)]), abs=0.01)


def test_the_right_objects_are_named_in_real_photographs(shared, tmp_path):
    root, weights = shared / "voc2007", shared / "weights/mobilenet_v2-b0353104.pth"
    data = VOC2007(root, "sample_trainval", eval_transform(128))
    train = LabeledImages(data.image_paths[:120], data.targets[:120], data.label_names, transform=eval_transform(128))
    backbone = Backbone("mobilenet_v2", weights)
    cache = extract_features(backbone, train, tmp_path / "t.h5", dtype="float32")
    head = LinearHead(20, 1280, data.label_names)
    fit_head(head, cache, config=HeadConfig(recipe="paper", lr=0.05, epochs=30))
    features = {name: cache.meta[name] for name in ("backbone", "weights_sha256", "pool", "image_size", "transform")}
    predictor = Predictor(Checkpoint(head, config={"features": features}).with_backbone(backbone))
    test = VOC2007(root, "sample_test")
    most_probable = [row.labels[0][0] for row in predictor.predict(test.image_paths[:40], top_k=1)]
    right = [int(test.targets[k, data.label_names.index(name)]) == 1 for k, name in enumerate(most_probable)]
    commonest = float((test.targets[:40] == 1).double().mean(dim=0).max())  # always the same label, in hindsight
    assert len(right) == 40 and sum(right) / 40 > 1.2 * commonest
    # the training images are predicted as from the features in the cache
    logits = head.to_linear()(cache.load()[0][:10, 0])
    found = [row.labels[0][0] for row in predictor.predict(train.image_paths[:10], top_k=1)]
    assert found == [data.label_names[k] for k in logits.argmax(dim=1)]

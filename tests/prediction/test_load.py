"""``mlgcn_pyg.load``: the numbers of the command line, for files, folders, Pillow images, arrays and tensors."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import mlgcn_pyg
from mlgcn_pyg.cli.main import app
from mlgcn_pyg.datasets import read_image
from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.prediction import Prediction, Predictions, find_images
from tests.prediction.example import NAMES, SIZE, by_hand

pytestmark = pytest.mark.filterwarnings("ignore:left out")


@pytest.fixture(scope="module")
def predictor(made):
    return mlgcn_pyg.load(made / "model.pt")


@pytest.mark.parametrize("file", ["model.pt", "head.pt", "head.safetensors", "bare.pt"])
def test_the_numbers_are_those_of_the_command_line(made, file):
    given = {} if file == "model.pt" else {"weights": made / "weights.pth"}
    given |= {"backbone": "squeezenet1_1", "image_size": SIZE} if file == "bare.pt" else {}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    words = ["predict", made / "photos", f"--checkpoint={made / file}", *words, "--top-k=4", "--format=jsonl"]
    printed = CliRunner().invoke(app, [*map(str, words)]).stdout
    told = [json.loads(line) for line in printed.splitlines()]
    found = mlgcn_pyg.load(made / file, **given).predict(made / "photos", top_k=4)
    assert [str(one.image) for one in found] == [row["image"] for row in told] and len(found) == 5
    for one, row in zip(found, told, strict=True):
        shown = [{"label": name, "probability": float(f"{p:.6g}")} for name, p in one.labels]
        assert shown == row["labels"]


def test_the_folder_of_a_run_is_its_recommended_head_or_its_last_network(made, tmp_path):
    images = [Image.new("RGB", (50, 40), "teal")]
    for name in ("linear-seed0.pt", "mlgcn-seed0.pt"):
        (tmp_path / name).write_bytes((made / "head.pt").read_bytes())
    with pytest.raises(InputError, match=r"path: .*found 2 in the folder .*choose one of linear-seed0.pt, mlgcn"):
        mlgcn_pyg.load(tmp_path, weights=made / "weights.pth")
    (tmp_path / "recommended.pt").write_bytes((made / "head.pt").read_bytes())
    recommended = mlgcn_pyg.load(tmp_path, weights=made / "weights.pth").logits(images)
    (tmp_path / "last.pt").write_bytes((made / "model.pt").read_bytes())
    assert torch.allclose(mlgcn_pyg.load(tmp_path).logits(images), recommended, atol=1e-5)
    with pytest.raises(InputError, match="path: expected one checkpoint, found none in the folder"):
        mlgcn_pyg.load(made / "photos")
    with pytest.raises(InputError, match="weights: expected the weights that computed the features of the head"):
        mlgcn_pyg.load(made / "head.pt")


def test_arrays_tensors_pillow_images_and_files_agree(made, predictor):
    files = [path for path in find_images([made / "photos"]) if path.name in ("a.JPG", "cmyk.tiff")]
    images = [read_image(path) for path in files]
    arrays = [np.asarray(image) for image in images]
    tensors = [torch.from_numpy(array.copy()).permute(2, 0, 1) for array in arrays]
    expected = predictor.logits(files)
    assert expected.shape == (2, 4) and expected.isfinite().all() and not expected[0].equal(expected[1])
    for many in (images, arrays, tensors, [tensor / 255 for tensor in tensors], [images[0], tensors[1]]):
        assert torch.equal(predictor.logits(many), expected)
    assert torch.equal(predictor.logits(np.stack(arrays)), expected)
    assert torch.equal(predictor.logits(torch.stack(tensors)), expected)
    assert torch.allclose(predictor.logits(arrays[1]), expected[1:], atol=1e-5)
    assert torch.equal(predictor.logits(arrays[0][::-1, ::-1]), predictor.logits(arrays[0][::-1, ::-1].copy()))


def test_logits_and_features_are_those_of_the_network(made, predictor):
    files = find_images([made / "photos"])
    logits, features = predictor.logits(files, batch_size=2), predictor.features(files, batch_size=3, num_workers=1)
    assert torch.allclose(logits.double().sigmoid(), torch.stack([by_hand(made, path) for path in files]), atol=1e-4)
    assert features.shape == (5, 512) and not features.requires_grad
    assert torch.allclose(predictor.checkpoint.head.to_linear()(features), logits, atol=1e-4)
    assert predictor.logits([]).shape == (0, 4) and predictor.features([]).shape == (0, 512)


def test_images_that_cannot_be_read_are_errors_and_rows_of_nan(made, predictor, tmp_path):
    good, bad = made / "photos" / "a.JPG", tmp_path / "bad.jpg"
    bad.write_bytes(good.read_bytes()[:200])
    first, second = predictor.predict([bad, good], top_k=2)
    assert "can be decoded" in first.error and first.labels == () and second.error is None
    for of_images in (predictor.logits, predictor.features):
        with pytest.warns(InputWarning, match=r"1 images could not be read, .*the first: .*bad.jpg"):
            rows = of_images([bad, good])
        assert rows[0].isnan().all() and torch.allclose(rows[1:], of_images(good), atol=1e-5)


def test_the_table_has_a_row_per_label_and_one_for_an_image_without_any(made, predictor, tmp_path):
    good, bad = made / "photos" / "a.JPG", tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    found = predictor.predict([good, bad], top_k=2)
    frame = found.to_frame()
    assert list(frame.columns) == ["image", "label", "probability", "error"]
    assert frame["image"].tolist() == [str(good), str(good), str(bad)]
    assert list(zip(frame["label"][:2], frame["probability"][:2], strict=True)) == list(found[0].labels)
    assert frame["label"][2] is None and np.isnan(frame["probability"][2]) and frame["error"][2] == found[1].error
    assert frame["error"][0] is None
    assert predictor.predict([Image.new("RGB", (9, 9))] * 2, threshold=1).to_frame()["image"].tolist() == [0, 1]
    empty = Predictions([]).to_frame()
    assert len(empty) == 0 and list(empty.columns) == list(frame.columns)
    assert pd.api.types.is_float_dtype(empty["probability"])


def test_predictions_are_a_sequence_with_a_readable_text(made, predictor):
    found = predictor.predict(made / "photos", top_k=1)
    assert len(found) == 5 and found[-1] is list(found)[4] and list(reversed(found))[0] is found[4]
    assert isinstance(found[1:3], Predictions) and list(found[1:3]) == [found[1], found[2]] and found[:] == found
    name, probability = found[0].labels[0]
    assert repr(found).startswith("Predictions for 5 images:\n") and f"a.JPG: {name} {probability:.3f}" in repr(found)
    many = Predictions([Prediction(f"{k}\n.jpg", error="broken") for k in range(1000)])
    lines = repr(many).splitlines()
    assert lines[0] == "Predictions for 1,000 images, 1,000 of which could not be read:" and len(lines) == 12
    assert lines[1] == "  0 .jpg: broken" and lines[-1] == "  … and 990 more"
    assert repr(Predictions([])) == "Predictions for 0 images"
    assert repr(predictor) == "Predictor(4 labels, squeezenet1_1, 48 × 48 pixels, cpu)"


RGB = np.zeros((8, 9, 3), np.uint8)


@pytest.mark.parametrize(
    "images, message",
    [
        (RGB[..., 0], r"arrays of shape \(height, width, 3\), uint8, found shape \(8, 9\), uint8$"),
        (RGB.transpose(2, 0, 1), r"found shape \(3, 8, 9\), uint8; use array.transpose\(1, 2, 0\)$"),
        (RGB / 255, r"found shape \(8, 9, 3\), float64; use \(255 \* array\).round\(\).astype\('uint8'\)"),
        (RGB.astype(int), r"found shape \(8, 9, 3\), int64$"),
        (RGB[:0], r"found shape \(0, 9, 3\)"),
        ([RGB, RGB[..., :2]], r"found shape \(8, 9, 2\)"),
        (
            torch.zeros(8, 9, 3),
            r"shape \(3, height, width\), found shape \(8, 9, 3\), .*; use tensor.permute\(2, 0, 1\)",
        ),
        (torch.zeros(3, 8), r"tensors of shape \(3, height, width\), found shape \(3, 8\)"),
        (torch.zeros(3, 0, 9), r"found shape \(3, 0, 9\)"),
        (torch.full((3, 8, 9), 200.0), r"in \[0, 1\], found 200 to 200; pass images before they are normalised"),
        (torch.full((3, 8, 9), torch.nan), r"in \[0, 1\], found nan to nan"),
        (torch.zeros(3, 8, 9, dtype=torch.int32), r"uint8, or floating-point numbers in \[0, 1\], found shape"),
        ([RGB, "a.jpg"], "either files and folders, or images that were read, found both"),
        ([[RGB]], "found list"),
    ],
)
def test_images_of_wrong_shapes_types_and_ranges_are_refused(predictor, images, message):
    for method in (predictor.predict, predictor.logits, predictor.features):
        with pytest.raises(InputError, match=message) as caught:
            method(images)
        assert caught.value.argument == "images" and str(caught.value).isprintable()


def test_unknown_labels_are_answered_with_near_names(predictor):
    with pytest.raises(InputError, match=r"found 'dog, cat'; such as 'dog; cat' … \(4 labels\)"):
        predictor.predict([], thresholds={"dog, cat": 0.5})
    with pytest.raises(InputError, match=r"found 'zebra'; such as 'sea'") as caught:
        predictor.predict([], thresholds={"zebra": 0.5})
    assert all(repr(name) in str(caught.value) for name in NAMES)

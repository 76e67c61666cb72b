"""Heads are put on the backbone of their features, and on no other."""

import pytest
import torch

from mlgcn_pyg.checkpoints import load_checkpoint
from mlgcn_pyg.datasets import eval_transform
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.prediction import open_model
from tests.prediction.example import SIZE


@pytest.mark.parametrize("head", ["head.pt", "head.safetensors", "bare.pt"])
def test_a_head_on_its_backbone_is_the_whole_model(made, head):
    given = {"backbone": "squeezenet1_1", "image_size": SIZE} if head == "bare.pt" else {}
    opened, whole = open_model(made / head, weights=made / "weights.pth", **given), open_model(made / "model.pt")
    assert opened.image_size == whole.image_size == (SIZE, SIZE)
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.allclose(opened.model.eval()(images), whole.model.eval()(images), atol=1e-4)


def test_a_size_that_is_not_square(made):
    bare = open_model(made / "bare.pt", backbone="squeezenet1_1", weights=made / "weights.pth", image_size=(40, 56))
    assert bare.image_size == (40, 56)
    bare = open_model(made / "bare.pt", backbone="squeezenet1_1", weights=str(made / "weights.pth"))
    assert bare.image_size == (448, 448)


@pytest.mark.parametrize(
    "file, given, argument, message",
    [
        ("model.pt", {"backbone": "resnet18"}, "backbone", "no value, since the checkpoint contains its backbone"),
        ("model.pt", {"pool": "avg"}, "pool", "no value, since the checkpoint contains its backbone"),
        ("model.pt", {"image_size": 32}, "image_size", "as in training, found [32, 32]"),
        ("model.pt", {"image_size": "32"}, "image_size", "an integer ≥ 1"),
        ("bare.pt", {}, "backbone", "the backbone that computed the features of the head"),
        ("head.pt", {}, "weights", "the weights that computed the features of the head"),
        ("head.pt", {"weights": "weights.pth", "image_size": 64}, "image_size", "image_size [48, 48]"),
        ("head.pt", {"weights": "weights.pth", "pool": "avg"}, "backbone", "features with pool max"),
        ("head.pt", {"weights": "weights.pth", "backbone": "resnet18"}, "weights", "a state dict of torchvision"),
        ("bare.pt", {"weights": "weights.pth", "backbone": "squeezenet1_1", "image_size": 1}, "image_size", "a size"),
    ],
)
def test_arguments_that_are_missing_or_contradict_the_file(made, file, given, argument, message):
    if "weights" in given:
        given = given | {"weights": made / given["weights"]}
    with pytest.raises(InputError) as caught:
        open_model(made / file, **given)
    assert caught.value.argument == argument and message in str(caught.value)


def test_a_missing_backbone_is_asked_for_by_argument(made):
    with pytest.raises(InputError) as caught:
        open_model(made / "bare.pt")
    assert {part.name for part in caught.value.fix if isinstance(part, Argument)} == {"backbone", "weights"}
    assert "--" not in str(caught.value)


def test_features_of_other_transforms_are_refused(made, tmp_path):
    content = torch.load(made / "head.pt", weights_only=True)
    for transform in (" ".join(repr(eval_transform(SIZE)).split()), "my own crop"):
        content["config"]["features"]["transform"] = transform
        torch.save(content, tmp_path / "h.pt")
        if transform == "my own crop":
            with pytest.raises(InputError, match="found my own crop"):
                open_model(tmp_path / "h.pt", weights=made / "weights.pth")
        else:
            assert open_model(tmp_path / "h.pt", weights=made / "weights.pth").label_names == (
                load_checkpoint(made / "model.pt").label_names
            )

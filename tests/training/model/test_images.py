"""Damaged images: found before the first epoch, and skipped if asked for."""

import json

import pytest
import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.datasets import LabeledImages, Scenes, eval_transform, train_transform
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone
from mlgcn_pyg.training import ModelConfig, fit_model
from mlgcn_pyg.training.model.images import Kept
from mlgcn_pyg.training.model.trainee import Trainee


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    for split, count in (("train", 18), ("test", 6)):
        Scenes(root, count, split=split, image_size=32)
    return root


def data(root, damaged=(), damaged_val=()):
    """Copies of the data sets whose files at the given positions are cut."""
    sets = []
    for split, count, bad in (("train", 18, damaged), ("test", 6, damaged_val)):
        scenes = Scenes(root, count, split=split, image_size=32)
        paths = list(scenes.image_paths)
        for row in bad:
            paths[row] = root / f"cut-{paths[row].name}"
            paths[row].write_bytes(scenes.image_paths[row].read_bytes()[:200])
        transform = train_transform(32) if split == "train" else eval_transform(32)
        sets.append(LabeledImages(paths, scenes.targets, scenes.label_names, transform=transform))
    return sets


def network(train):
    torch.manual_seed(0)
    backbone = Backbone("squeezenet1_1")
    graph = LabelGraph.from_targets(train.targets, label_names=train.label_names)
    return MLGCN(backbone, MLGCNHead(graph, backbone.num_features, (8,)))


CONFIG = ModelConfig(epochs=2, batch_size=8, lr=0.01, cpu=True)


@pytest.fixture
def steps(monkeypatch):
    """The number of training steps that were taken."""
    taken, step = [], Trainee.step
    monkeypatch.setattr(Trainee, "step", lambda *values: taken.append(1) or step(*values))
    return taken


@pytest.mark.parametrize("num_workers", [0, 1])
def test_damaged_images_are_counted_and_named_before_the_first_step(root, steps, num_workers):
    train, val = data(root, damaged=[3, 16])
    config = ModelConfig(epochs=2, batch_size=8, cpu=True, num_workers=num_workers)
    with pytest.raises(InputError) as refused:
        fit_model(network(train), train, val, config)
    line = str(refused.value)
    assert line.startswith("train_set: expected images that can be decoded, found 2 of 18 that cannot be decoded: cut-")
    assert str(train.image_paths[3]) in line and "on_error='skip'" in line and not steps
    train, val = data(root, damaged_val=[5])
    with pytest.raises(InputError, match="val_set: expected images that can be decoded, found 1 of 6"):
        fit_model(network(train), train, val, CONFIG)
    assert not steps


def test_a_run_that_skips_images_equals_a_run_without_them(root, tmp_path, steps):
    train, val = data(root, damaged=[3, 16], damaged_val=[0])
    skipping = network(train)
    seen = []
    history = fit_model(
        skipping, train, val, CONFIG, folder=tmp_path, on_error="skip", checking=lambda *values: seen.append(values)
    )
    assert len(history.epochs) == 2 and "mAP" in history.last and len(steps) == 2 * 2
    assert seen[17] == (18, "looking for images that cannot be decoded: 2") and len(seen) == 24
    assert {split: list(images) for split, images in json.loads((tmp_path / "skipped.json").read_text()).items()} == {
        "train": [train.ids[3], train.ids[16]], "val": [val.ids[0]],
    }  # fmt: skip
    whole, whole_val = data(root)
    reference = network(whole)
    kept, kept_val = (
        Kept(whole, dict.fromkeys([whole.ids[3], whole.ids[16]], "")),
        Kept(whole_val, {whole_val.ids[0]: ""}),
    )
    assert fit_model(reference, kept, kept_val, CONFIG).epochs == history.epochs
    for a, b in zip(skipping.state_dict().values(), reference.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_resumed_run_skips_the_same_images_without_decoding_all_again(root, tmp_path, monkeypatch):
    train, val = data(root, damaged=[3])
    once = ModelConfig(epochs=2, batch_size=8, lr=0.01, cpu=True, frozen_epochs=1)
    fit_model(network(train), train, val, once, folder=tmp_path, on_error="skip")
    with monkeypatch.context() as patch:
        patch.setattr("mlgcn_pyg.training.model.images.broken_images", lambda *values: pytest.fail("decoded again"))
        assert len(fit_model(network(train), train, val, once, folder=tmp_path, on_error="skip").epochs) == 2
        with pytest.raises(InputError, match="on_error: expected 'skip', as the run in the folder was started"):
            fit_model(network(train), train, val, once, folder=tmp_path)
    (tmp_path / "skipped.json").write_text('{"train": 3}')
    with pytest.raises(InputError, match="folder: expected a readable skipped.json, found .*remove the folder"):
        fit_model(network(train), train, val, once, folder=tmp_path, on_error="skip")


def test_without_damaged_images_nothing_is_written_or_wrapped(root, tmp_path):
    train, val = data(root)
    fit_model(network(train), train, val, CONFIG, folder=tmp_path, on_error="skip")
    assert not (tmp_path / "skipped.json").exists()
    assert train.seed is None


def test_no_image_left(root):
    train, val = data(root, damaged=range(18))
    with pytest.raises(InputError, match="train_set: expected images that can be decoded, found 18 of 18"):
        fit_model(network(train), train, val, CONFIG, on_error="skip")


def test_an_unknown_choice(root):
    train, val = data(root)
    with pytest.raises(InputError, match="on_error: expected one of stop, skip, found 'ignore'"):
        fit_model(network(train), train, val, CONFIG, on_error="ignore")


def test_kept_images_keep_their_augmentation(root):
    train, _ = data(root)
    train.seed, train.epoch = 1, 2
    kept = Kept(train, {train.ids[0]: "", train.ids[5]: ""})
    assert len(kept) == 16 and kept.ids[0] == train.ids[1] and len(kept.image_paths) == 16
    image, target, index = kept[4]
    assert index == 4 and torch.equal(target, train.targets[6]) and torch.equal(image, train[6][0])
    kept.epoch = 3
    assert train.epoch == 3 and kept.seed == 1 and not torch.equal(kept[4][0], image)

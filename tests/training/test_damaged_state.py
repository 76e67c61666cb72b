"""States of runs with damaged keys, types or shapes: one line, and never a run with other numbers."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from mlgcn_pyg import MLGCN
from mlgcn_pyg.datasets import VOC2007, Scenes, train_transform
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.training import HeadConfig, ModelConfig, fit_head, fit_model


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A finished run of a small network on a few scenes."""
    root = tmp_path_factory.mktemp("scenes")
    Scenes(root, 8, split="train", image_size=32)

    def fit(folder):
        train = VOC2007(root, "train", train_transform(32))
        torch.manual_seed(0)
        backbone = Backbone("shufflenet_v2_x0_5")
        model = MLGCN(backbone, LinearHead(train.num_labels, backbone.num_features, train.label_names))
        fit_model(model, train, config=ModelConfig(epochs=1, batch_size=4), folder=folder)

    folder = tmp_path_factory.mktemp("run")
    fit(folder)
    return SimpleNamespace(folder=folder, fit=fit)


def changed(path, change):
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def renamed_key(place, old, new):
    place[new] = place.pop(old)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: renamed_key(s["trainee"]["model"], "head.linear.weight", "head.linear.xeight"), "head.linear"),
        (lambda s: renamed_key(s["trainee"], "model", "xodel"), "KeyError: 'model'"),
        (lambda s: renamed_key(s["trainee"]["optimizer"], "param_groups", "param_xroups"), "KeyError: 'param_groups'"),
        (lambda s: renamed_key(s["trainee"]["optimizer"]["state"][0], "momentum_buffer", "momentum_xuffer"), "xuffer"),
        (lambda s: s["trainee"]["optimizer"]["state"][0].update(momentum_buffer=torch.zeros(1)), "of the optimizer"),
        (lambda s: s["trainee"]["model"].update({"head.linear.weight": torch.zeros(1)}), "size mismatch"),
        (lambda s: renamed_key(s["history"][0], "loss", "xoss"), "the record"),
        (lambda s: s.update(history=3), "TypeError"),
        (lambda s: s.update(losses=None), "AttributeError"),
        (lambda s: s.update(step=1000), "state.pt"),
        (lambda s: s.update(epoch="2"), "epoch and step as integers, found '2' and"),
        (lambda s: s.update(step=-1), "epoch and step as integers"),
        (lambda s: s.update(setup=None), "a dict as setup"),
    ],
)
def test_a_network_whose_state_has_damaged_keys_or_shapes(interrupted, tmp_path, change, message):
    """The file has no digest any more, as files of earlier versions."""
    shutil.copytree(interrupted.folder, tmp_path, dirs_exist_ok=True)
    changed(tmp_path / "state.pt", change)
    with pytest.raises(InputError, match=f"folder: expected .*{message}") as caught:
        interrupted.fit(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_heads_whose_state_has_damaged_keys_or_shapes(tmp_path):
    features, targets = torch.randn(8, 4), torch.ones(8, 2, dtype=torch.int8)
    config = HeadConfig(recipe="paper", lr=0.1, epochs=2, batch_size=4)

    def fit():
        fit_head(LinearHead(2, 4), (features, targets), config=config, folder=tmp_path)

    for change in (
        lambda s: renamed_key(s["tensors"][0], next(iter(s["tensors"][0])), "x"),
        lambda s: s["tensors"][0].update({next(iter(s["tensors"][0])): torch.zeros(1)}),
        lambda s: s["tensors"].clear(),
        lambda s: s["histories"].clear() or s["histories"].append([{"epoch": 2}]),
        lambda s: s.update(losses=torch.zeros(1, 7)),
    ):
        fit()
        changed(tmp_path / "state.pt", change)
        with pytest.raises(InputError, match="folder: expected a complete state of a training run, found .*state.pt"):
            fit()
        (tmp_path / "state.pt").unlink()

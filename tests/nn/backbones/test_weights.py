"""Weights as other programs save them."""

import argparse
import pathlib
from collections import defaultdict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone

NAME = "squeezenet1_1"


@pytest.fixture(scope="module")
def state():
    return get_model(NAME).state_dict()


@pytest.fixture(scope="module")
def digest(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(state, path)
    return Backbone(NAME, path).digest()


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


class Config:
    """A class of the program that saved the file."""

    def __init__(self, lr):
        self.lr = lr


WRAPPED = {
    "model": lambda s: {"model": s, "optimizer": {"state": {0: {"m": torch.ones(1)}}, "param_groups": [{"lr": 0.1}]}},
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "best": np.float64(0.5)},
    "model_state_dict": lambda s: {"model_state_dict": prefixed(s, "module."), "loss": torch.tensor(1.0)},
    "module": lambda s: prefixed(s, "module."),
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "two wrappers": lambda s: prefixed(s, "module._orig_mod."),
    "lightning": lambda s: {"state_dict": prefixed(s, "model."), "hyper_parameters": {"path": pathlib.Path("/data")}},
    "backbone": lambda s: prefixed(s, "backbone."),
    "Namespace": lambda s: {"state_dict": s, "args": argparse.Namespace(lr=0.1, root=pathlib.Path("/x"))},
    "another class": lambda s: {"net": s, "config": Config(0.1), "counts": defaultdict(list, {"a": [1]})},
    "NumPy arrays": lambda s: {"net": s, "mean": np.ones(3), "type": np.dtype("f4")},
}


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_state_dicts_are_read(state, digest, tmp_path, wrap, zip_format):
    torch.save(wrap(state), tmp_path / "w.pth", _use_new_zipfile_serialization=zip_format)
    assert Backbone(NAME, tmp_path / "w.pth").digest() == digest


def test_a_prefix_in_a_safetensors_file(state, digest, tmp_path):
    save_file(prefixed(state, "module."), tmp_path / "w.safetensors")
    assert Backbone(NAME, tmp_path / "w.safetensors").digest() == digest


class Hostile:
    def __reduce__(self):
        return open, ("ran", "w")


UNSAFE = {
    "two networks": (lambda s: {"model": s, "model_ema": s}, "2 of them, 'model', 'model_ema', in .*w.pth; save one"),
    "two parts": (
        lambda s: prefixed(s, "encoder_q.") | prefixed(s, "encoder_k."),
        "its keys begin with 'encoder_k', 'encoder_q'",
    ),
    "no state dict": (lambda s: {"epoch": 3, "lr": 0.1}, "a dict with the keys 'epoch', 'lr' in .*w.pth"),
    "many keys": (lambda s: {f"k{n}": n for n in range(9)}, "'k0', 'k1', 'k2', 'k3', 'k4' and 4 more in"),
    "empty": (lambda s: {}, "an empty dict"),
    "a list": (lambda s: [s], "list in .*w.pth"),
    "a network": (lambda s: get_model(NAME), "w.pth"),
    "a function beside a state dict": (lambda s: {"model": s, "x": Hostile()}, "a call of _?io.open, which"),
    "control characters": (lambda s: {"\x1b[2J\nkey": 1}, r"x1b\[2J"),
}


@pytest.mark.parametrize("change, message", UNSAFE.values(), ids=UNSAFE)
def test_what_cannot_be_read_safely_is_named_in_one_line(state, tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    torch.save(change(state), tmp_path / "w.pth")
    with pytest.raises(InputError, match=f"weights: expected .*{message}") as caught:
        Backbone(NAME, tmp_path / "w.pth")
    assert str(caught.value).isprintable() and not (tmp_path / "ran").exists()

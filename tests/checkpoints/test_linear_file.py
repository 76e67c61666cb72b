"""Folded heads in safetensors files, read with the safetensors library only."""

import json
import random

import pytest
import torch
from safetensors.torch import load_file, safe_open, save, save_file

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import linear_file, load_linear, save_head, save_linear
from mlgcn_pyg.checkpoints.linear_file import read_linear
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LinearHead


@pytest.mark.parametrize("bias", [True, False])
def test_the_file_can_be_read_without_this_package(tmp_path, bias):
    head, features = LinearHead(3, 8, ["a", "b", "é [x]"], bias=bias), torch.randn(4, 8)
    save_linear(tmp_path / "l.safetensors", head, config={"lr": 0.1})
    tensors = load_file(tmp_path / "l.safetensors")
    logits = features @ tensors["weight"].T + tensors.get("bias", 0)
    assert torch.allclose(logits, head(features), atol=1e-6) and ("bias" in tensors) == bias
    with safe_open(tmp_path / "l.safetensors", "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["label_names"]) == ["a", "b", "é [x]"] and json.loads(metadata["config"]) == {"lr": 0.1}
    assert torch.equal(load_linear(tmp_path / "l.safetensors")(features), head(features))


def test_the_gcn_is_folded(tmp_path):
    head = MLGCNHead(LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5)), 8, (4,))
    save_linear(tmp_path / "l.safetensors", head)
    features = torch.randn(2, 8)
    assert torch.allclose(load_linear(tmp_path / "l.safetensors")(features), head(features), atol=1e-6)


def test_files_that_are_not_linear_exports(tmp_path):
    good, path = tmp_path / "l.safetensors", tmp_path / "x.safetensors"
    save_linear(good, LinearHead(3, 8))
    tensors = load_file(good)
    metadata = {"format": "mlgcn_pyg.linear", "version": "1", "label_names": '["a", "b", "c"]', "config": "{}"}
    for parts, stored, message in [
        (tensors, {}, "a linear export"),
        (tensors, metadata | {"version": "2"}, "version 1, found 2"),
        (tensors, metadata | {"sha257": "0" * 64}, "unknown metadata 'sha257'"),
        (tensors, metadata | {"label_names": '["a"]'}, "3 names, one per label"),
        (tensors, metadata | {"label_names": '["a", "b'}, "a complete linear export"),
        (tensors, metadata | {"config": "{"}, "a complete linear export"),
        ({"bias": tensors["bias"]}, metadata, "a complete linear export"),
        (tensors | {"bias": torch.zeros(2)}, metadata, "a complete linear export"),
        (tensors | {"weight": torch.full((3, 8), torch.nan)}, metadata, "finite numbers"),
    ]:
        save_file(parts, path, stored)
        with pytest.raises(InputError, match=message):
            load_linear(path)
    path.write_bytes(good.read_bytes()[:-5])
    with pytest.raises(InputError, match="a safetensors file"):
        load_linear(path)
    save_head(path, LinearHead(3, 8))
    with pytest.raises(InputError, match="a safetensors file"):
        load_linear(path)


def test_non_finite_weights_are_not_exported(tmp_path):
    head = LinearHead(3, 8)
    head.linear.weight.data[1, 2] = torch.inf
    with pytest.raises(InputError, match="head: expected finite numbers"):
        save_linear(tmp_path / "l.safetensors", head)
    with pytest.raises(InputError, match="thresholds: expected one logit per label"):
        save_linear(tmp_path / "l.safetensors", LinearHead(3, 8), thresholds=torch.zeros(2))
    assert not list(tmp_path.iterdir())


def test_a_file_that_differs_from_what_was_written_is_not_kept(tmp_path, monkeypatch):
    def save_other(tensors, metadata):
        return save(tensors | {"weight": tensors["weight"] + 1}, metadata)

    monkeypatch.setattr(linear_file, "save", save_other)
    with pytest.raises(OSError, match="l.safetensors differs from the content that was written"):
        save_linear(tmp_path / "l.safetensors", LinearHead(3, 8))
    assert not list(tmp_path.iterdir())


def test_the_same_head_gives_the_same_bytes(tmp_path):
    head = LinearHead(3, 5, ["a", "b", "c"])
    for k in range(8):  # safetensors orders metadata at random
        save_linear(tmp_path / f"{k}.safetensors", head, config={"lr": 0.1}, image_size=64)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_the_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "other").write_text("")
    save_linear(tmp_path / "h.safetensors", LinearHead(2, 4))
    assert (tmp_path / "h.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_no_flipped_bit_is_read_as_other_numbers(tmp_path):
    path = tmp_path / "h.safetensors"
    save_linear(path, LinearHead(3, 8, ["a", "b", "c"]), config={"lr": 0.25}, thresholds=torch.zeros(3), image_size=64)
    raw, whole = path.read_bytes(), read_linear(path)
    generator, refused = random.Random(0), 0
    for _ in range(300):
        bit = generator.randrange(8 * len(raw))
        data = bytearray(raw)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            read = read_linear(path)
        except InputError as error:
            refused += "\n" not in str(error)
            continue
        assert torch.equal(read.head.linear.weight, whole.head.linear.weight), bit
        assert (read.label_names, read.config, read.image_size) == (("a", "b", "c"), {"lr": 0.25}, (64, 64)), bit
    assert refused > 250


def test_a_file_of_an_earlier_version_has_no_digest(tmp_path):
    save_linear(tmp_path / "h.safetensors", LinearHead(3, 8))
    with safe_open(tmp_path / "h.safetensors", "pt") as file:
        metadata = {name: text for name, text in file.metadata().items() if name != "sha256"}
    tensors = load_file(tmp_path / "h.safetensors")
    save_file(tensors, tmp_path / "old.safetensors", metadata)
    assert torch.equal(load_linear(tmp_path / "old.safetensors").linear.weight, tensors["weight"])

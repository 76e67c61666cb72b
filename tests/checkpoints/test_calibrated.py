"""Calibrated checkpoints: the logits, the thresholds and the files of heads of every kind."""

import pytest
import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import Checkpoint, calibrated_checkpoint, load_checkpoint, save_checkpoint
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone, LinearHead, SharingHead

NAMES = ["sea", "boat", "dog"]
GRAPH = LabelGraph.from_targets([[1, 1, 0], [1, 0, 0], [0, 0, 1]], label_names=NAMES)
SCALE, SHIFT = torch.tensor([0.5, 2.0, 1.0]), torch.tensor([0.3, -1.0, 0.0])


def heads():
    torch.manual_seed(0)
    standardised = LinearHead(3, 8, NAMES)
    standardised.set_statistics(torch.randn(8), torch.rand(8) + 0.5)
    return [LinearHead(3, 8, NAMES, bias=False), standardised, SharingHead(GRAPH, 8), MLGCNHead(GRAPH, 8, (4,))]


@pytest.mark.parametrize("head", heads(), ids=lambda head: type(head).__name__)
def test_logits_are_scaled_and_shifted_and_thresholds_with_them(head, tmp_path):
    thresholds = torch.tensor([0.2, -0.1, torch.inf])
    made = calibrated_checkpoint(Checkpoint(head, thresholds=thresholds, config={"lr": 0.1}), SCALE, SHIFT)
    x = torch.randn(20, 8)
    before, after = head(x).detach(), made.head(x).detach()
    assert torch.allclose(after, SCALE * before + SHIFT, atol=1e-5)
    assert torch.equal(after.double() > made.thresholds, before.double() > thresholds)
    save_checkpoint(tmp_path / "c.pt", made)
    loaded = load_checkpoint(tmp_path / "c.pt")
    assert torch.equal(loaded.head(x), after) and torch.equal(loaded.thresholds, made.thresholds)
    assert loaded.config["lr"] == 0.1 and loaded.config["calibration"]["scale"] == SCALE.tolist()
    assert loaded.label_names == tuple(NAMES)


def test_a_network_keeps_its_backbone(tmp_path):
    backbone = Backbone("squeezenet1_1")
    whole = Checkpoint(LinearHead(3, 512, NAMES), backbone, 64)
    save_checkpoint(tmp_path / "c.pt", calibrated_checkpoint(whole, SCALE, SHIFT))
    loaded, images = load_checkpoint(tmp_path / "c.pt"), torch.rand(2, 3, 64, 64)
    expected = SCALE * whole.model.eval()(images) + SHIFT
    assert torch.allclose(loaded.model.eval()(images), expected, atol=1e-5) and loaded.image_size == (64, 64)
    assert isinstance(loaded.model, MLGCN) and loaded.thresholds is None
    with pytest.raises(InputError, match="image_size"):
        save_checkpoint(tmp_path / "d.pt", Checkpoint(LinearHead(3, 512, NAMES), backbone))


@pytest.mark.parametrize("scale, shift, argument", [
    (torch.ones(2), SHIFT, "scale"), (torch.tensor([1.0, 0.0, 1.0]), SHIFT, "scale"),
    (torch.tensor([1.0, torch.nan, 1.0]), SHIFT, "scale"), (SCALE, torch.full((3,), torch.inf), "shift"),
])  # fmt: skip
def test_wrong_numbers_are_refused(scale, shift, argument):
    with pytest.raises(InputError) as error:
        calibrated_checkpoint(Checkpoint(LinearHead(3, 8, NAMES)), scale, shift)
    assert error.value.argument == argument

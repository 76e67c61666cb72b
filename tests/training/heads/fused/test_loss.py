"""The loss kernel and its gradient, in Triton's interpreter, against the loss and its backward pass."""

import importlib.util

import pytest
import torch

from mlgcn_pyg.nn import multilabel_soft_margin

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from mlgcn_pyg.training.heads.fused import loss as module
from mlgcn_pyg.training.heads.fused.loss import soft_margin

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2}


def random(heads, rows, labels, dtype=torch.float64):
    logits = (5 * torch.randn(heads, rows, labels, dtype=torch.float64)).to(dtype)
    return logits.to(DEVICE), torch.randint(-1, 2, (rows, labels), dtype=torch.int8).to(DEVICE)


def agree(logits, targets, weight=None):
    dtype = logits.dtype
    leaf = logits.detach().double().requires_grad_()
    losses = multilabel_soft_margin(leaf, targets, pos_weight=weight, check=False)
    (slopes,) = torch.autograd.grad(losses.sum(), leaf)
    found, gradient = soft_margin(logits.detach(), targets, weight)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert gradient.dtype == dtype and gradient.shape == logits.shape
    assert torch.allclose(found.double(), losses.detach(), rtol=TOLERANCE[dtype], atol=0)
    most = slopes.abs().max()
    assert (gradient.double() - slopes).abs().max() <= TOLERANCE[dtype] * most
    return found, gradient


SHAPES = {
    "COCO's labels": (1, 32, 80),
    "several blocks": (2, 70, 130),
    "one label": (3, 9, 1),
    "one image": (2, 1, 7),
    "one entry": (1, 1, 1),
}


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_random_logits(shape, dtype):
    agree(*random(*shape, dtype))


@pytest.mark.parametrize("shape", [(3,), (2, 1, 3)])
def test_weights_of_present_labels(shape):
    logits, targets = random(2, 6, 3)
    agree(logits, targets, torch.rand(shape, dtype=torch.float64, device=DEVICE) + 0.5)


def test_unknown_targets_only():
    logits, targets = random(2, 4, 3)
    unknown = torch.full_like(targets, -1)
    agree(logits, unknown)
    found, gradient = soft_margin(logits * torch.inf, unknown)
    assert not found.any() and not gradient.any()


@pytest.mark.parametrize("layout", ["heads last", "labels first", "every second label", "repeated"])
def test_logits_of_any_strides(layout):
    logits, targets = random(3, 4, 6)
    if layout == "heads last":  # as those of stacked linear heads
        logits = logits.transpose(0, 1).contiguous().transpose(0, 1)
    elif layout == "labels first":
        logits = logits.mT.contiguous().mT
    elif layout == "every second label":
        logits = torch.cat([logits, logits], 2)[:, :, ::2]
    else:
        logits = logits[:1].expand(3, 4, 6)
    assert layout == "repeated" or not logits.is_contiguous()
    agree(logits, targets)
    agree(logits, targets.t().contiguous().t())


def test_large_logits_neither_overflow_nor_vanish():
    logits = torch.tensor([[[1e4, -1e4, 40.0, -40.0]]], dtype=torch.float32, device=DEVICE)
    for sign in (0, 1):
        agree(logits, torch.full((1, 4), sign, dtype=torch.int8, device=DEVICE))
    tiny = soft_margin(logits[..., 3:], torch.zeros(1, 1, dtype=torch.int8, device=DEVICE))
    expected = torch.tensor(-40.0, dtype=torch.float64).exp().item()
    assert tiny[0].item() == pytest.approx(expected, rel=1e-5) and tiny[1].item() == pytest.approx(expected, rel=1e-5)


def test_losses_of_several_blocks_do_not_depend_on_their_order(monkeypatch):
    logits, targets = random(2, 10, 10)
    whole = soft_margin(logits, targets)
    monkeypatch.setattr(module, "BLOCK", 16)
    parts = soft_margin(logits, targets)
    assert torch.allclose(whole[0], parts[0], rtol=1e-14) and torch.equal(whole[1], parts[1])

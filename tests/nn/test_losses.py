"""The losses against their formulas in plain Python floats, entry by entry."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import LOSSES, asymmetric, make_loss, multilabel_soft_margin

OPTIONS = [
    {"gamma_neg": 4, "gamma_pos": 1, "margin": 0.05},
    {"gamma_neg": 4, "gamma_pos": 0, "margin": 0.0},
    {"gamma_neg": 0, "gamma_pos": 0, "margin": 0.2},
    {"gamma_neg": 0.5, "gamma_pos": 2.5, "margin": 0.3},
    {"gamma_neg": 1, "gamma_pos": 1, "margin": 0.0},
]
ALL = [("multilabel_soft_margin", {}), *(("asymmetric", options) for options in OPTIONS)]


def by_hand(logits, targets, gamma_neg, gamma_pos, margin):
    """The printed formula, for logits at which nothing rounds to 0 or 1."""
    total = 0.0
    for z, y in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        if y == 1:
            total -= (1 - p) ** gamma_pos * math.log(p)
        elif y == 0:
            p_m = max(p - margin, 0)
            total -= p_m**gamma_neg * math.log(1 - p_m)
    return total / logits.numel()


@pytest.mark.parametrize("options", OPTIONS)
def test_asymmetric_equals_its_formula(options):
    logits = 3 * torch.randn(6, 5, dtype=torch.float64)
    targets = torch.randint(-1, 2, (6, 5))
    expected = by_hand(logits, targets, **options)
    for dtype in (torch.int8, torch.int64, torch.float32, torch.float64):
        assert float(asymmetric(logits, targets.to(dtype), **options)) == pytest.approx(expected, rel=1e-12)


def test_asymmetric_without_asymmetry_is_the_soft_margin():
    logits, targets = 20 * torch.randn(8, 7), torch.randint(-1, 2, (8, 7))
    flat = asymmetric(logits, targets, gamma_neg=0, gamma_pos=0, margin=0)
    assert torch.allclose(flat, multilabel_soft_margin(logits, targets))


@pytest.mark.parametrize("weights", [2.5, [0.1, 1.0, 3.0, 10.0, 0.5]])
def test_weights_of_present_labels_are_those_of_torch(weights):
    logits, targets = 3 * torch.randn(6, 5, dtype=torch.float64), torch.randint(-1, 2, (6, 5))
    tensor = torch.tensor(weights, dtype=torch.float64)
    terms = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets.clamp(min=0).double(), pos_weight=tensor.expand(5), reduction="none"
    )
    expected = float(terms[targets >= 0].sum()) / targets.numel()
    given = weights if isinstance(weights, float) else tensor
    assert float(multilabel_soft_margin(logits, targets, pos_weight=given)) == pytest.approx(expected, rel=1e-12)
    assert float(make_loss("multilabel_soft_margin", pos_weight=given)(logits, targets)) == pytest.approx(expected)
    half = multilabel_soft_margin(logits.bfloat16(), targets, pos_weight=given)
    assert half.dtype == torch.float32 and float(half) == pytest.approx(expected, rel=0.05)
    of_heads = torch.stack([torch.ones(5), tensor.expand(5)]).unsqueeze(1)  # heads with weights of their own
    both = multilabel_soft_margin(logits.expand(2, 6, 5), targets, pos_weight=of_heads)
    assert both[0] == multilabel_soft_margin(logits, targets) and float(both[1]) == pytest.approx(expected, rel=1e-12)


def test_refused_weights():
    z, y = torch.zeros(2, 3), torch.ones(2, 3)
    for weight, message in [
        (0.0, "a number > 0|a number in"), ("2", "a number"), (torch.ones(2), r"shape \(3,\), found shape \(2,\)"),
        (torch.tensor([1.0, -1.0, 1.0]), "positive, finite"), (float("inf"), "a number"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=f"pos_weight: expected .*{message}"):
            multilabel_soft_margin(z, y, pos_weight=weight)
    with pytest.raises(InputError, match="pos_weight: expected None for the loss asymmetric"):
        make_loss("asymmetric", pos_weight=2.0)


@pytest.mark.parametrize("name, options", ALL)
def test_gradients_by_finite_differences(name, options):
    loss = make_loss(name, **options)
    logits = (2 * torch.randn(4, 5, dtype=torch.float64)).requires_grad_()
    targets = torch.tensor([[1, 0, -1, 1, 0]] * 4)
    assert gradcheck(lambda z: loss(z, targets), logits, eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("name, options", ALL)
def test_extreme_logits_have_finite_values_and_gradients(name, options):
    z = torch.tensor([-1e4, -200, -90, -17, -1e-30, 0, 1e-30, 17, 90, 200, 1e4]).repeat(3, 1).requires_grad_()
    targets = torch.tensor([[1], [0], [-1]]).expand(3, 11)
    loss = make_loss(name, **options)(z, targets)
    loss.backward()
    assert loss.isfinite() and z.grad.isfinite().all() and (z.grad[2] == 0).all()
    assert (z.grad[0] <= 0).all() and (z.grad[1] >= 0).all()  # never away from the target
    # far on the wrong side a positive costs its logit, whatever the focus
    assert float(make_loss(name, **options)(torch.tensor([[-1e4]]), torch.tensor([[1]]))) == pytest.approx(1e4)


def test_a_negative_exactly_at_the_margin_has_no_undefined_gradient():
    z = torch.tensor([[math.log(0.25 / 0.75)]], dtype=torch.float64, requires_grad=True)  # p = margin
    for gamma in (0, 0.5, 1, 4):
        (gradient,) = torch.autograd.grad(asymmetric(z, torch.tensor([[0]]), gamma_neg=gamma, margin=0.25), z)
        assert gradient.isfinite()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name, options", ALL)
def test_half_precision_logits_are_computed_in_float32(name, options, dtype):
    loss = make_loss(name, **options)
    half = torch.tensor([[60000.0, -60000, 3, -3]] if dtype == torch.float16 else [[1e30, -1e30, 3, -3]], dtype=dtype)
    for targets in (torch.tensor([[1, 0, 1, 0]]), torch.tensor([[-1, -1, 0, 1]])):
        whole = half.float().requires_grad_()
        leaf = half.clone().requires_grad_()
        value = loss(leaf, targets)
        assert value.dtype == torch.float32 and torch.equal(value, loss(whole, targets))
        value.backward(), loss(whole, targets).backward()
        assert torch.equal(leaf.grad, whole.grad.to(dtype)) and leaf.grad.isfinite().all()


@pytest.mark.parametrize("name, options", ALL)
def test_autocast_changes_nothing(name, options):
    loss, logits, targets = make_loss(name, **options), 5 * torch.randn(4, 3), torch.randint(-1, 2, (4, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(logits, targets), loss(logits.clone(), targets)) and loss(logits, targets) > 0
        inside = loss(logits, targets)
    assert torch.equal(inside, loss(logits, targets)) and inside.dtype == torch.float32


@pytest.mark.parametrize("name, options", ALL)
def test_the_loss_is_zero_without_images_or_known_targets(name, options):
    loss = make_loss(name, **options)
    assert loss(torch.zeros(0, 3), torch.zeros(0, 3)) == 0
    logits = torch.randn(2, 3, requires_grad=True)
    value = loss(logits, torch.full((2, 3), -1))
    value.backward()
    assert value == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_of_two_halves_is_the_loss_of_the_batch(name):
    loss, logits, targets = make_loss(name), torch.randn(6, 4), torch.randint(-1, 2, (6, 4))
    halves = (loss(logits[:3], targets[:3]) + loss(logits[3:], targets[3:])) / 2
    assert torch.allclose(halves, loss(logits, targets))


def test_make_loss_and_its_errors():
    logits, targets = torch.randn(2, 3), torch.ones(2, 3)
    assert torch.equal(make_loss("asymmetric", margin=0.1)(logits, targets), asymmetric(logits, targets, margin=0.1))
    for name, options, message in [
        ("bce", {}, "name: expected one of multilabel_soft_margin, asymmetric, found 'bce'"),
        ("multilabel_soft_margin", {"margin": 0.1}, "margin: expected None for the loss multilabel_soft_margin"),
        ("multilabel_soft_margin", {"gamma_neg": 0}, "gamma_neg: expected None for the loss .*, found 0"),
        ("asymmetric", {"margin": 1.0}, r"margin: expected a number in \[0, 1\), found 1"),
        ("asymmetric", {"margin": float("nan")}, "margin"),
        ("asymmetric", {"gamma_neg": -1}, "gamma_neg"),
        ("asymmetric", {"gamma_pos": float("nan")}, "gamma_pos"),
    ]:
        with pytest.raises(InputError, match=message):
            make_loss(name, **options)
    with pytest.raises(TypeError, match="clip"):
        make_loss("asymmetric", clip=0.1)


@pytest.mark.parametrize("name", LOSSES)
def test_the_losses_of_many_heads_are_each_heads_loss(name):
    loss, logits, targets = make_loss(name), torch.randn(3, 7, 5), torch.randint(-1, 2, (7, 5))
    expected = torch.stack([loss(head_logits, targets) for head_logits in logits])
    assert torch.allclose(loss(logits, targets), expected, rtol=1e-6)
    with pytest.raises(InputError, match=r"targets: expected the shape of logits, \(7, 5\), found shape \(3, 7, 5\)"):
        loss(logits, targets.expand(3, 7, 5))


@pytest.mark.parametrize("name", LOSSES)
def test_invalid_targets_raise(name):
    loss = make_loss(name)
    assert loss(torch.zeros(1, 2), torch.tensor([[1, -1]])) > 0
    with pytest.raises(InputError, match=r"targets: expected values in \{-1, 0, 1\}, found 2 at image 0, label 1"):
        loss(torch.zeros(1, 2), torch.tensor([[1, 2]]))
    with pytest.raises(InputError, match="targets: expected the shape of logits"):
        loss(torch.zeros(1, 2), torch.zeros(2, 1))
    with pytest.raises(InputError, match="logits: expected floating-point numbers, found torch.int64"):
        loss(torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name, options", ALL)
def test_the_same_on_cuda_under_autocast(name, options):
    loss, logits, targets = make_loss(name, **options), 5 * torch.randn(4, 3), torch.randint(-1, 2, (4, 3))
    with torch.autocast("cuda", dtype=torch.float16):
        found = loss(logits.cuda(), targets.cuda())
    assert found.dtype == torch.float32 and float(found) == pytest.approx(float(loss(logits, targets)), rel=1e-5)

"""The inference form: its features are those of the backbone, and it exists for all families."""

import copy

import pytest
import torch
from torch import nn

from mlgcn_pyg.nn import Backbone
from mlgcn_pyg.nn.backbones.inference import inference_form
from tests.nn.backbones.test_backbone import FAMILIES

# families in which batch normalisation comes before convolutions and cannot be folded, and what remains of it
REMAINING = {"densenet121": 62}


def trained(backbone):
    """Gives batch normalisation statistics and weights as after training, in place of 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for norm in norms(backbone):
        norm.running_mean.normal_(0, 0.1, generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
        norm.weight.data.uniform_(0.5, 1.5, generator=generator)
        norm.bias.data.normal_(0, 0.1, generator=generator)
    return backbone


def norms(backbone):
    return [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]


def check(backbone, side):
    before = backbone.digest()
    form = backbone.inference_form((side, side))
    images = torch.randn(2, 3, side, side + side // 4 if side < 200 else side)
    with torch.inference_mode():
        expected, found = backbone.eval()(images), form(images)
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())
    assert backbone.digest() == before and not any(p.requires_grad for p in form.parameters())
    return form


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_torchvision_has_one(name):
    torch.manual_seed(0)
    backbone = trained(Backbone(name))
    form = check(backbone, 96)
    assert len(norms(form)) == REMAINING.get(name, 0)
    kernels = [layer.weight for layer in form.modules() if isinstance(layer, nn.Conv2d)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert all(p.requires_grad for p in backbone.parameters()) == all(
        p.requires_grad for p in Backbone(name).parameters()
    )


TIMM = {"resnet18": 0, "tf_efficientnet_b0": 0, "mobilenetv3_small_050": 0, "repvgg_a0": 17, "vit_tiny_patch16_224": 0}


@pytest.mark.parametrize("name", TIMM)
def test_families_of_timm_have_one(name):
    """Their batch normalisation may include an activation, and their convolutions may pad by themselves."""
    pytest.importorskip("timm")
    torch.manual_seed(0)
    form = check(trained(Backbone(f"timm:{name}")), 224)
    assert len(norms(form)) == TIMM[name]


def test_a_worked_example():
    """(2 x + 1 − 1) / √(3 + 1) · 4 + 5 = 4 x + 5."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=1.0)).eval()
    conv, norm = network
    with torch.no_grad():
        conv.weight.fill_(2), conv.bias.fill_(1)
        norm.running_mean.fill_(1), norm.running_var.fill_(3), norm.weight.fill_(4), norm.bias.fill_(5)
    form = inference_form(network, torch.ones(1, 1, 2, 2))
    assert isinstance(form[1], nn.Identity) and (form[0].weight.item(), form[0].bias.item()) == (4, 5)
    assert (conv.weight.item(), conv.bias.item()) == (2, 1)


class Reused(nn.Module):
    """Convolutions whose batch normalisation cannot be folded, or only with a different result."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.conv, self.norm = kind, nn.Conv2d(3, 3, 1), trained(nn.BatchNorm2d(3))

    def forward(self, images):
        maps = self.conv(images)
        if self.kind == "convolution twice":
            return self.norm(maps) + self.conv(images * 2)
        if self.kind == "normalisation twice":
            return self.norm(maps) + self.norm(images)
        if self.kind == "in place":
            return self.norm(torch.relu_(maps))
        if self.kind == "a view":
            return self.norm(maps.flip(1))
        return self.norm(maps) + maps  # the output of the convolution is used elsewhere too


@pytest.mark.parametrize("kind", ["convolution twice", "normalisation twice", "in place", "a view"])
def test_batch_normalisation_that_cannot_be_folded_stays(kind):
    torch.manual_seed(0)
    network = Reused(kind).eval()
    images = torch.randn(2, 3, 4, 4)
    form = inference_form(network, images)
    assert len(norms(form)) == 1 and torch.allclose(form(images), network(images), atol=1e-6)


def test_a_form_that_differs_is_not_used():
    torch.manual_seed(0)
    assert inference_form(Reused("used elsewhere").eval(), torch.randn(2, 3, 4, 4)) is None


def test_networks_without_statistics_or_batch_normalisation():
    images = torch.randn(1, 3, 4, 4)
    without = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False))
    assert len(norms(inference_form(without, images))) == 1
    assert inference_form(nn.Flatten(), images) is not None


def test_no_affine_weights_and_a_form_of_a_form():
    network = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2, affine=False))
    network[1].running_var.fill_(4)
    images = torch.randn(1, 3, 4, 4)
    form = inference_form(network, images)
    assert not norms(form) and torch.allclose(form(images), network.eval()(images), atol=1e-6)
    assert torch.equal(inference_form(form, images)(images), form(images))


class Broken(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def __deepcopy__(self, memo):
        if self.kind == "no copy":
            raise TypeError("cannot be copied")
        return Broken(self.kind)

    def forward(self, images):
        if self.kind == "size":
            raise RuntimeError("a different size")
        return torch.rand(1, 4) if self.kind == "random" else images.sum(dim=(2, 3)) * float("nan")


@pytest.mark.parametrize("kind", ["no copy", "size", "random", "nan"])
def test_no_form_means_none(kind):
    assert inference_form(Broken(kind), torch.ones(1, 3, 4, 4)) is None


def test_training_mode_hooks_and_copies_are_left_as_they_are():
    backbone = trained(Backbone("resnet18")).train()
    form = backbone.inference_form((64, 64))
    assert backbone.training and not form.training
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in [*backbone.modules(), *form.modules()])
    twin = copy.deepcopy(form)
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(twin(images), form(images))


def test_a_backbone_that_was_built_in_inference_mode():
    with torch.inference_mode():
        form = Backbone("resnet18").inference_form((64, 64))
    assert form is not None and not norms(form)

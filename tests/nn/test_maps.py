"""Maps over the cells of feature maps: they sum to the logits, against loops over cells and features."""

import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone, LinearHead, SharingHead, explanation_maps

C, D = 4, 6
GRAPH = LabelGraph.from_targets(torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]), tau=0.3)


def heads():
    torch.manual_seed(0)
    for head in (
        LinearHead(C, D), LinearHead(C, D, bias=False), SharingHead(GRAPH, D), MLGCNHead(GRAPH, D, (5,), bias=True),
    ):  # fmt: skip
        for has_statistics in (False, True):
            with torch.no_grad():
                for parameter in head.double().parameters():
                    parameter.normal_()
            if has_statistics:
                head.set_statistics(torch.randn(D), torch.tensor([2.0, 1, 0, 0.5, 1, 3]))
            yield head


@torch.no_grad()
@pytest.mark.parametrize("pool", ["max", "avg"])
def test_maps_sum_to_the_logits_without_their_bias(pool):
    maps = torch.randn(3, D, 4, 5, dtype=torch.float64).clamp(min=0)  # after a ReLU: with ties at 0
    maps[0, 1] = 0  # a feature that is absent
    maps[1, 2, :2, :3] = 6  # a saturated one
    pooled = maps.amax(dim=(2, 3)) if pool == "max" else maps.mean(dim=(2, 3))
    for head in heads():
        found = explanation_maps(head, maps, pool)
        bias = 0 if head.bias is None else head.bias
        assert found.shape == (3, C, 4, 5)
        assert torch.allclose(found.sum(dim=(2, 3)) + bias, head(pooled), rtol=1e-10, atol=1e-10)
        assert torch.allclose(found.sum(dim=(2, 3)) + bias, head.contributions(pooled).logits(), atol=1e-10)
        chosen = explanation_maps(head, maps, pool, ["3", 1, "3"])
        assert torch.allclose(chosen, found[:, [3, 1]], atol=1e-12)


def test_the_winning_cell_of_each_feature_receives_its_term():
    head = LinearHead(1, 3, bias=False)
    head.linear.weight.data = torch.tensor([[1.0, 10.0, 100.0]])
    maps = torch.zeros(1, 3, 2, 2)
    maps[0, 0, 0, 1] = 5  # wins at the upper right
    maps[0, 1] = torch.tensor([[2.0, 2.0], [1.0, 0.0]])  # two winners
    found = explanation_maps(head, maps, "max")
    assert found[0, 0].tolist() == [[10, 15], [0, 0]]
    head.set_statistics([1.0, 0.0, 4.0], [1.0, 1.0, 1.0])
    # the third feature is 0 everywhere, 4 below its mean: each cell has a quarter of −400
    assert explanation_maps(head, maps, "max")[0, 0].tolist() == [[10 - 100, 10 + 4 - 100], [-100, -100]]
    assert explanation_maps(LinearHead(1, 3).double(), maps[:0].double(), "avg").shape == (0, 1, 2, 2)


def test_a_constant_feature_contributes_nothing():
    head = LinearHead(1, 2, bias=False)
    head.set_statistics([3.0, 0.0], [0.0, 1.0])
    maps = torch.zeros(1, 2, 2, 2)
    maps[0, 0, 0, 0] = 100
    assert explanation_maps(head, maps, "max").abs().max() == 0


@pytest.mark.parametrize("name, pool", [("squeezenet1_1", "max"), ("mobilenet_v3_small", "avg"), ("vit_b_32", "max")])
def test_the_features_of_a_backbone_are_its_pooled_maps(name, pool):
    torch.manual_seed(0)
    backbone = Backbone(name, pool=pool).eval()
    head, images = LinearHead(3, backbone.num_features), torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        maps, logits = backbone.maps(images), head(backbone(images))
        form = backbone.inference_form((64, 96)) or backbone
        assert maps.dim() == 4 and torch.allclose(form.maps(images), maps, atol=1e-3 * float(maps.abs().max()))
        cells = explanation_maps(head.double(), maps.double(), pool)
    assert torch.allclose(cells.sum(dim=(2, 3)) + head.bias, logits.double(), atol=1e-5)


def test_wrong_arguments_are_named():
    head, maps = LinearHead(C, D, ["a", "b", "c", "dog"]), torch.zeros(1, D, 2, 2)
    for arguments, message in [
        ((maps, "mean"), "pool: expected one of max, avg"),
        ((maps[:, 1:], "max"), r"maps: expected shape \(batch, 6, height, width\)"),
        ((maps.double(), "max"), "maps: expected torch.float32, the type of the weights"),
        ((maps[..., :0], "avg"), "maps: expected feature maps with at least one cell"),
        ((maps, "avg", ["dgo"]), "labels: expected the name of a label, found 'dgo'; such as 'dog'"),
        ((maps, "avg", []), "labels: expected at least one label, found none"),
        ((maps, "avg", "dog"), "labels: expected a list of names of labels, found 'dog'"),
    ]:
        with pytest.raises(InputError, match=f"^{message}"):
            explanation_maps(head, *arguments)

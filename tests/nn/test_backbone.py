import pytest
import torch
from torchvision.models import get_model

from mlgcn_pyg.checks import InputError
from mlgcn_pyg.nn import Backbone

FAMILIES = {
    "alexnet": 256, "convnext_tiny": 768, "densenet121": 1024, "efficientnet_b0": 1280, "googlenet": 1024,
    "inception_v3": 2048, "mnasnet0_5": 1280, "mobilenet_v2": 1280, "mobilenet_v3_small": 576, "regnet_y_400mf": 440,
    "resnet18": 512, "shufflenet_v2_x0_5": 1024, "squeezenet1_1": 512, "swin_t": 768, "vgg11": 512, "vit_b_16": 768,
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_feature_map_at_any_size(name):
    backbone = Backbone(name).eval()
    assert backbone.num_features == FAMILIES[name]
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 96, 160)).shape == (1, FAMILIES[name])


@pytest.mark.parametrize("name, pool", [("resnet18", "avg"), ("mobilenet_v2", "avg"), ("densenet121", "avg")])
def test_average_features_and_the_models_own_classifier_give_its_logits(name, pool):
    torch.manual_seed(0)
    model = get_model(name, weights=None).eval()
    path_free = Backbone(name, pool=pool).eval()
    state = dict(zip(path_free.features.state_dict(), model.state_dict().values(), strict=False))
    path_free.features.load_state_dict(state)
    classifier = model.fc if name == "resnet18" else model.classifier
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(classifier(path_free(images)), model(images), atol=1e-5)


def test_max_is_the_highest_response_at_any_place():
    backbone = Backbone("resnet18").eval()
    with torch.no_grad():
        images = torch.randn(2, 3, 64, 96)
        assert torch.equal(backbone(images), backbone.features(images).flatten(2).max(dim=2).values)


def test_vit_at_its_own_size_equals_torchvision():
    backbone = Backbone("vit_b_32", pool="avg").eval()
    torch.manual_seed(1)
    model = get_model("vit_b_32", weights=None).eval()
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("heads")}
    backbone.features.load_state_dict(state)
    seen = []
    model.encoder.register_forward_hook(lambda m, i, o: seen.append(o))
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        model(images)
        features = backbone(images)
    assert torch.allclose(features, seen[0][:, 1:].mean(dim=1), atol=1e-5)


def test_pretrained_weights_from_a_file(shared):
    path = shared / "weights" / "mobilenet_v2-b0353104.pth"
    backbone, again = Backbone("mobilenet_v2", path), Backbone("mobilenet_v2", str(path))
    state = torch.load(path, weights_only=True)
    assert torch.equal(backbone.features.state_dict()["0.0.weight"], state["features.0.0.weight"])
    assert backbone.digest() == again.digest() != Backbone("mobilenet_v2").digest()
    with pytest.raises(InputError, match=r"a state dict of torchvision's resnet18, found .*missing keys.*unknown keys"):
        Backbone("resnet18", path)


def test_weights_that_do_not_fit(tmp_path):
    state = get_model("squeezenet1_1").state_dict()
    name = "features.0.weight"
    for change, message in [
        ({name: torch.zeros(1)}, rf"1 other shapes \(first: {name} \(1,\) instead of"),
        ({name: None}, r"1 missing keys \(first: features.0.weight\)"),
        ({"more": torch.zeros(1)}, r"1 unknown keys \(first: more\)"),
    ]:
        changed = {k: v for k, v in (state | change).items() if v is not None}
        torch.save(changed, tmp_path / "w.pth")
        with pytest.raises(InputError, match=message):
            Backbone("squeezenet1_1", tmp_path / "w.pth")
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(InputError, match="a state dict of tensors"):
        Backbone("squeezenet1_1", tmp_path / "w.pth")
    (tmp_path / "w.pth").write_bytes(b"no torch file")
    with pytest.raises(InputError, match="weights: expected a file of plain tensors"):
        Backbone("squeezenet1_1", tmp_path / "w.pth")


def test_refused_arguments():
    with pytest.raises(InputError, match="backbone: expected one of alexnet, .*resnet101.*found 'resnet'"):
        Backbone("resnet")
    with pytest.raises(InputError, match="pool: expected one of max, avg"):
        Backbone("resnet18", pool="median")
    with pytest.raises(InputError, match="a file that exists, DEFAULT or one of IMAGENET1K_V1, found 'absent.pth'"):
        Backbone("resnet18", "absent.pth")
    with pytest.raises(
        InputError, match=r"images: expected shape \(batch, 3, height, width\), found shape \(3, 8, 8\)"
    ):
        Backbone("squeezenet1_1")(torch.zeros(3, 8, 8))


def test_digest_changes_with_any_weight():
    backbone = Backbone("squeezenet1_1")
    before = backbone.digest()
    with torch.no_grad():
        next(backbone.parameters()).view(-1)[0] += 1e-3
    assert backbone.digest() != before

import re
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models
from torchvision.models import get_model, list_models, regnet

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone
from mlgcn_pyg.nn.backbones.backbone import UNSUPPORTED, _untrained, backbone_names
from mlgcn_pyg.nn.backbones.feature_maps import feature_map

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


@pytest.mark.parametrize("name, pool", [("resnet18", "avg"), ("mobilenet_v2", "avg")])
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


def small_vit():
    return models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    ).eval()


def test_vit_at_its_own_size_equals_torchvision():
    model, seen = small_vit(), []
    model.encoder.register_forward_hook(lambda m, i, o: seen.append(o))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        model(images)
        maps = feature_map(model)(images)
    assert maps.shape == (2, 16, 4, 4) and torch.allclose(maps[:, :, 1, 2], seen[0][:, 1 + 4 + 2], atol=1e-6)


def test_densenet_map_and_its_classifier_give_its_logits():
    model, images = models.DenseNet(8, (2, 2), 8).eval(), torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        features = feature_map(model)(images).mean(dim=(2, 3))
        assert torch.allclose(model.classifier(features), model(images), atol=1e-6)


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
        ({name: torch.zeros(1)}, rf"1 different shapes \(first: {name} \(1,\) instead of"),
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


def test_weights_that_cannot_be_fetched(monkeypatch):
    def no_network(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    monkeypatch.setattr("torch.hub.get_dir", lambda: "/nonexistent/cache")
    monkeypatch.setattr("os.makedirs", lambda *_, **__: None)
    with pytest.raises(
        InputError, match="weights: expected pretrained weights of resnet18 that can be downloaded, .* DEFAULT"
    ):
        Backbone("resnet18", "DEFAULT")


def test_a_file_whose_keys_are_no_names(tmp_path):
    torch.save({1: torch.zeros(1)}, tmp_path / "k.pth")
    with pytest.raises(InputError, match="weights: expected a state dict of tensors"):
        Backbone("resnet18", tmp_path / "k.pth")


def test_invalid_arguments():
    with pytest.raises(InputError, match="name: expected a torchvision .*found 'resnet'; for example resnet"):
        Backbone("resnet")
    with pytest.raises(InputError, match="pool: expected one of max, avg"):
        Backbone("resnet18", pool="median")
    with pytest.raises(InputError, match="a file that exists, DEFAULT or one of IMAGENET1K_V1, found 'absent.pth'"):
        Backbone("resnet18", "absent.pth")
    with pytest.raises(
        InputError, match=r"images: expected shape \(batch, 3, height, width\), found shape \(3, 8, 8\)"
    ):
        Backbone("squeezenet1_1")(torch.zeros(3, 8, 8))


def test_channels_last_changes_the_layout_and_not_the_numbers():
    backbone, images = Backbone("resnet18").eval(), torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        plain, digest = backbone(images), backbone.digest()
        backbone.to(memory_format=torch.channels_last)
        last = backbone(images.to(memory_format=torch.channels_last))
    assert backbone.digest() == digest and torch.allclose(plain, last, atol=1e-4) and last.is_contiguous()


@pytest.mark.parametrize("build", [small_vit, lambda: models.SwinTransformer([4, 4], 8, [1, 1], [1, 2], [4, 4]).eval()])
def test_channels_last_of_transformers(build):
    features, images = feature_map(build()), torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        plain = features(images)
        last = features.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    assert plain.dim() == 4 and torch.allclose(plain, last, atol=1e-5)


def test_every_torchvision_name_has_a_map_or_a_reason(monkeypatch):
    """Built without memory, so that the largest are looked at, too; on images that are not square."""
    plan = regnet.BlockParams.from_init_params

    def on_the_cpu(*args, **options):  # RegNet's plan reads numbers off tensors
        with torch.device("cpu"):
            return plan(*args, **options)

    monkeypatch.setattr(regnet.BlockParams, "from_init_params", on_the_cpu)
    assert UNSUPPORTED.keys() <= set(list_models(module=models))
    assert {*backbone_names(), *UNSUPPORTED} == set(list_models(module=models))
    for name in sorted(set(backbone_names()) - FAMILIES.keys()):
        with torch.device("meta"):
            maps = feature_map(_untrained(name)).eval()(torch.empty(2, 3, 64, 96))
        assert maps.dim() == 4 and len(maps) == 2 and maps.size(1) >= 256 and maps.size(2) < maps.size(3), name
    with pytest.raises(InputError, match="maxvit_t: its grid attention is built for images of 224 × 224 only"):
        Backbone("maxvit_t")


@pytest.mark.parametrize("name, num_features, stride", [("resnet101", 2048, 32), ("vgg16", 512, 32)])
def test_the_papers_backbones(name, num_features, stride):
    backbone = Backbone(name).eval()
    assert backbone.num_features == num_features
    with torch.no_grad():
        assert backbone.features(torch.zeros(1, 3, 2 * stride, 3 * stride)).shape == (1, num_features, 2, 3)


def test_images_too_small_for_the_model_raise():
    for name, size in (("vgg11", 16), ("alexnet", 32), ("inception_v3", 32)):
        with pytest.raises(
            InputError, match=rf"images: expected a height and width that {name} supports, found {size} × "
        ):
            Backbone(name).eval()(torch.zeros(1, 3, size, size))
    with pytest.raises(InputError, match="images: expected torch.float32, the type of the weights"):
        Backbone("squeezenet1_1")(torch.zeros(1, 3, 64, 64, dtype=torch.float64))
    with torch.no_grad():
        assert Backbone("squeezenet1_1")(torch.zeros(0, 3, 64, 64)).shape == (0, 512)  # no image


def test_a_batch_without_statistics_raises():
    backbone = Backbone("resnet18").train()
    with pytest.raises(
        InputError, match="images: expected more than one value per channel.*32 × 32, for which resnet18"
    ):
        backbone(torch.zeros(1, 3, 32, 32))
    assert backbone(torch.zeros(2, 3, 32, 32)).shape == backbone(torch.zeros(2, 3, 64, 32)).shape


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_built_where_no_gradients_are_recorded(mode):
    with mode():
        backbone = Backbone("squeezenet1_1")
    assert all(p.requires_grad for p in backbone.parameters())


def test_densenet_files_with_their_old_keys(tmp_path):
    state = get_model("densenet121", weights=None).state_dict()
    old = {re.sub(r"(denselayer\d+\.(norm|conv))(\d)", r"\1.\3", key): value for key, value in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old and old.keys() != state.keys()
    torch.save(old, tmp_path / "old.pth")
    found = Backbone("densenet121", tmp_path / "old.pth").features[0].state_dict()
    assert all(torch.equal(value, state[f"features.{key}"]) for key, value in found.items())


def test_a_file_without_the_classifier_and_a_safetensors_file(tmp_path):
    model = get_model("resnet18")
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    digests = {Backbone("resnet18", tmp_path / f"w.{kind}").digest() for kind in ("pth", "safetensors")}
    assert len(digests) == 1 and digests != {Backbone("resnet18").digest()}
    del state["layer4.1.conv2.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"1 missing keys \(first: layer4.1.conv2.weight\)"):
        Backbone("resnet18", tmp_path / "w.pth")
    (tmp_path / "w.safetensors").write_bytes(b"no such file")
    with pytest.raises(InputError, match="a safetensors file"):
        Backbone("resnet18", tmp_path / "w.safetensors")


def test_digest_changes_with_any_weight():
    backbone = Backbone("squeezenet1_1")
    before = backbone.digest()
    with torch.no_grad():
        next(backbone.parameters()).view(-1)[0] += 1e-3
    assert backbone.digest() != before

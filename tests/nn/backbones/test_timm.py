"""timm's models as backbones; their smallest, built at random."""

import inspect
import sys

import pytest
import torch
from safetensors.torch import save_file

from mlgcn_pyg.checkpoints import load_model, save_model
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import MLGCN, Backbone, LinearHead
from mlgcn_pyg.nn.backbones.timm_maps import TimmMap

timm = pytest.importorskip("timm")

# last features as maps, as maps with channels last, as tokens after a class token, as tokens alone
MAPS = {"test_resnet": None, "test_convnext": None, "swin_tiny_patch4_window7_224": 32, "test_vit": 16}


def takes_any_size(name):
    """Swin transformers do in recent versions of timm only."""
    options = inspect.signature(timm.models.SwinTransformer).parameters
    return not name.startswith("swin") or "dynamic_img_size" in options


@pytest.mark.parametrize("name", MAPS)
def test_features_of_every_form_become_maps_at_any_size(name):
    backbone = Backbone(f"timm:{name}").eval()
    width = 160 if takes_any_size(name) else 224
    images = torch.randn(2, 3, 224, width)
    with torch.no_grad():
        maps = backbone.features(images)
        pooled = backbone(images)
        raw = backbone.features.model.forward_features(images)
    assert pooled.shape == (2, backbone.num_features) and torch.equal(pooled, maps.amax(dim=(2, 3)))
    assert maps.size(2) / maps.size(3) == pytest.approx(224 / width)
    if stride := MAPS[name]:
        assert maps.shape[2:] == (224 // stride, width // stride)
    if raw.dim() == 3:  # token 1 + r·w + c is the patch in row r, column c
        columns = maps.size(3)
        assert torch.equal(maps[0, :, 2, 3], raw[0, 1 + 2 * columns + 3])
    elif raw.shape != maps.shape:
        assert torch.equal(maps[1, :, 2, 3], raw[1, 2, 3])


def test_pooled_features_and_timms_own_classifier_give_its_logits():
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", pretrained=False).eval()
    backbone = Backbone("timm:resnet10t", pool="avg").eval()
    backbone.features.model.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("fc.")})
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        assert torch.allclose(model.fc(backbone(images)), model(images), atol=1e-5)


def test_tokens_without_prefix_and_models_of_one_size():
    backbone = Backbone("timm:mixer_s32_224").eval()  # 7 × 7 tokens, no class token
    with torch.no_grad():
        assert backbone.features(torch.zeros(1, 3, 224, 224)).shape == (1, 512, 7, 7)
        with pytest.raises(InputError, match="a height and width that timm:mixer_s32_224 supports, found 256 × 224"):
            backbone(torch.zeros(1, 3, 256, 224))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "test_vit"])
def test_weights_receive_images_in_the_normalisation_of_their_training(tmp_path, name):
    """The first expects 0.5 ± 0.5, the second ImageNet's numbers; images come with ImageNet's."""
    model = timm.create_model(name, pretrained=False, num_classes=0).eval()
    torch.save(model.state_dict(), tmp_path / "w.pth")
    size, mean, std = (model.pretrained_cfg[key] for key in ("input_size", "mean", "std"))
    pixels = torch.rand(2, *size)
    images, model_images = (
        (pixels - torch.tensor(m).view(3, 1, 1)) / torch.tensor(s).view(3, 1, 1)
        for m, s in (((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), (mean, std))
    )
    backbone = Backbone(f"timm:{name}", tmp_path / "w.pth").eval()
    with torch.no_grad():
        expected = model.forward_features(model_images)[:, model.num_prefix_tokens :].amax(dim=1)
        assert torch.allclose(backbone(images), expected, atol=1e-4)
        head = LinearHead(2, backbone.num_features)
        save_model(tmp_path / "m.pt", MLGCN(backbone, head), image_size=size[1])
        assert torch.equal(load_model(tmp_path / "m.pt").eval().backbone(images), backbone(images))


def test_parameters_that_no_feature_depends_on_are_frozen():
    """DistributedDataParallel waits for the gradient of everything that does."""
    backbone = Backbone("timm:test_convnext")
    backbone(torch.randn(2, 3, 64, 64)).sum().backward()
    fixed = [name for name, p in backbone.named_parameters() if not p.requires_grad]
    assert fixed == [name for name, p in backbone.named_parameters() if p.grad is None]
    assert fixed and all(".head." in name for name in fixed)


class Fake(torch.nn.Module):
    num_features = 4

    def __init__(self, out):
        super().__init__()
        self.forward_features = lambda images: out


@pytest.mark.parametrize(
    "out, message",
    [
        (torch.zeros(1, 197, 4), "a grid of tokens for an image of 224 × 224, found 197 tokens"),
        (torch.zeros(1, 4), r"one last feature map, found shape \(1, 4\)"),
        ([torch.zeros(1, 4, 2, 2)], "one last feature map, found list"),
    ],
)
def test_features_without_a_map_raise(out, message):
    with pytest.raises(InputError, match=message):
        TimmMap(Fake(out))(torch.zeros(1, 3, 224, 224))


def test_output_fmt_decides_the_layout_of_an_ambiguous_map():
    out = torch.arange(64.0).view(1, 4, 4, 4)
    model = Fake(out)
    assert torch.equal(TimmMap(model)(torch.zeros(1, 3, 8, 8)), out)
    model.output_fmt = "NHWC"
    assert torch.equal(TimmMap(model)(torch.zeros(1, 3, 8, 8)), out.permute(0, 3, 1, 2))


def test_weights_from_files_with_and_without_the_classifier(tmp_path):
    model = timm.create_model("test_vit", pretrained=False)  # its head is in the file, as in timm's own
    state = model.state_dict()
    torch.save(state, tmp_path / "w.pth")
    save_file({k: v for k, v in state.items() if not k.startswith("head.")}, tmp_path / "w.safetensors")
    for file in ("w.pth", "w.safetensors"):
        loaded = Backbone("timm:test_vit", tmp_path / file).features.model.state_dict()
        assert loaded and all(torch.equal(value, state[key]) for key, value in loaded.items())
    torch.save(state | {"other.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(
        InputError, match=r"a state dict of timm:test_vit, found .*1 unknown keys \(first: other.weight"
    ):
        Backbone("timm:test_vit", tmp_path / "w.pth")


def test_a_hostile_weight_file_runs_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    torch.save({"a": Hostile()}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="weights: expected a file of plain tensors"):
        Backbone("timm:test_vit", tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_default_weights_are_fetched_by_timm(monkeypatch):
    asked = []

    def create(name, pretrained, **options):
        asked.append((name, pretrained))
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(InputError, match=r"resnet10t \(OSError: no network\); download the file and pass its path"):
        Backbone("timm:resnet10t", "DEFAULT")
    assert asked == [("resnet10t", True)]


def test_names_and_files_that_do_not_exist():
    with pytest.raises(InputError, match="the name of a timm model, found 'timm:resnet1'; for example timm:"):
        Backbone("timm:resnet1")
    with pytest.raises(InputError, match="the name of a timm model, found 'timm:'"):
        Backbone("timm:")
    with pytest.raises(InputError, match="a file that exists, or DEFAULT, found 'absent.pth'"):
        Backbone("timm:resnet10t", "absent.pth")


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"timm to be installed for a timm: model.*; pip install 'mlgcn_pyg\[timm\]'"):
        Backbone("timm:resnet10t")

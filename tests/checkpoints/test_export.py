"""Exported networks run in other runtimes, hold no GCN, and are written only if their logits agree."""

import json
import sys

import pytest
import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import Checkpoint, export_onnx, export_torch, fold_model
from mlgcn_pyg.checkpoints import exported as module
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone, LinearHead, SharingHead

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
NAMES = ("sea", "boat [small]", "é")


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(0)
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5), label_names=NAMES)
    backbone = Backbone("squeezenet1_1")
    head = MLGCNHead(graph, backbone.num_features, (7,))
    head.set_statistics(torch.rand(512), 0.5 + torch.rand(512))
    head.set_bias([1.0, 0.0, -1.0])
    return Checkpoint(head, backbone, (64, 48), torch.tensor([0.5, -1, 0]), {"lr": 0.1})


@pytest.fixture(scope="module")
def as_onnx(checkpoint, tmp_path_factory):
    return export_onnx(tmp_path_factory.mktemp("onnx") / "m.onnx", checkpoint)


@pytest.fixture(scope="module")
def as_torch(checkpoint, tmp_path_factory):
    return export_torch(tmp_path_factory.mktemp("torch") / "m.pt2", checkpoint)


SHAPES = [(1, 64, 48), (3, 64, 48), (2, 97, 130), (5, 128, 128)]


@torch.no_grad()
def test_the_logits_of_onnxruntime_agree_with_pytorch(checkpoint, as_onnx):
    session, model = onnxruntime.InferenceSession(str(as_onnx.path)), checkpoint.model.eval()
    for batch, height, width in SHAPES:
        images = torch.randn(batch, 3, height, width)
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        assert (torch.from_numpy(logits) - model(images)).abs().max() < 1e-4
    assert as_onnx.dynamic == ("batch", "height", "width") and as_onnx.difference < 1e-4


@torch.no_grad()
def test_a_sharing_head_is_folded_like_any_other(tmp_path):
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], weighting="kernel", x=torch.randn(3, 5), label_names=NAMES)
    head = SharingHead(graph, 512)
    head.weight.normal_()
    head.set_statistics(torch.rand(512), 0.5 + torch.rand(512))
    checkpoint = Checkpoint(head, Backbone("squeezenet1_1"), (64, 48))
    exported = export_onnx(tmp_path / "m.onnx", checkpoint)
    images = torch.randn(2, 3, 64, 48)
    (logits,) = onnxruntime.InferenceSession(str(exported.path)).run(["logits"], {"images": images.numpy()})
    expected = checkpoint.model.eval()(images)
    assert (torch.from_numpy(logits) - expected).abs().max() < 1e-4 * max(1, expected.abs().max())
    export_torch(tmp_path / "m.pt2", checkpoint)  # compares the logits


def test_nothing_of_the_gcn_is_left_in_the_onnx_graph(as_onnx):
    graph = onnx.load(as_onnx.path).graph
    kinds = [node.op_type for node in graph.node]
    assert not [kind for kind in kinds if "Scatter" in kind or "Gather" in kind]
    assert kinds.count("Gemm") + kinds.count("MatMul") == 1 and kinds[-1] in ("Gemm", "MatMul", "Add")
    names = [dim.dim_param or dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    assert names == ["batch", 3, "height", "width"]
    onnx.checker.check_model(str(as_onnx.path), full_check=True)


def test_the_metadata_hold_all_that_serving_needs(as_onnx):
    metadata = onnxruntime.InferenceSession(str(as_onnx.path)).get_modelmeta().custom_metadata_map
    metadata = {name: json.loads(value) for name, value in metadata.items()}
    assert metadata["label_names"] == list(NAMES) and metadata["image_size"] == [64, 48]
    assert (metadata["mean"], metadata["std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert metadata["thresholds"] == [0.5, -1, 0] and metadata["config"] == {"lr": 0.1}


@torch.no_grad()
def test_a_torch_program_gives_the_same_logits_without_the_gcn(checkpoint, as_torch):
    extra = {"metadata.json": ""}
    program, model = torch.export.load(as_torch.path, extra_files=extra), checkpoint.model.eval()
    for batch, height, width in SHAPES if "height" in as_torch.dynamic else SHAPES[:2]:
        images = torch.randn(batch, 3, height, width)
        assert (program.module()(images) - model(images)).abs().max() < 1e-4
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert not [name for name in called if any(word in name for word in ("scatter", "gather", "index", "embedding"))]
    assert sum("linear" in name or "mm" in name for name in called) == 1
    assert json.loads(extra["metadata.json"]).keys() >= {"label_names", "image_size"}
    assert "batch" in as_torch.dynamic
    assert "height" in as_torch.dynamic or torch.__version__.startswith("2.11.")  # guards the parity of sides


def test_folding_copies(checkpoint):
    model = checkpoint.model.train()
    images, folded = torch.randn(2, 3, 64, 48), fold_model(model)
    assert model.training and not folded.training
    expected = folded(images)
    with torch.no_grad():
        assert torch.allclose(expected, model.eval()(images), atol=1e-5)
        twin = fold_model(model)
        twin[0].features[0].weight.zero_()
        twin[1].weight.zero_()
        assert torch.equal(fold_model(model)(images), expected)


def test_networks_are_exported_in_the_inference_form_of_the_backbone(tmp_path):
    torch.manual_seed(0)
    checkpoint = Checkpoint(LinearHead(3, 512), Backbone("resnet18").train(), (64, 48))
    norms = [layer for layer in checkpoint.backbone.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    path = export_torch(tmp_path / "m.pt2", checkpoint).path
    program = torch.export.load(path)
    assert not [node for node in program.graph.nodes if "norm" in str(node.target)] and len(norms) == 20
    images = torch.randn(2, 3, 64, 48)
    assert checkpoint.backbone.training
    expected = checkpoint.model.eval()(images)
    assert (program.module()(images) - expected).abs().max() < 1e-4 * max(1, expected.abs().max())


@torch.no_grad()
def test_the_smallest_accepted_image_is_reported(checkpoint, as_onnx, as_torch):
    """Tried on the files: every side from there on is accepted, and no smaller one."""
    program, session = torch.export.load(as_torch.path).module(), onnxruntime.InferenceSession(str(as_onnx.path))
    model = checkpoint.model.eval()

    def taken(run, side):
        images = torch.randn(1, 3, side, side)
        try:
            expected = model(images)  # onnxruntime may crash where not even PyTorch has a feature map
            return bool((run(images) - expected).abs().max() < 1e-4)
        except Exception:
            return False

    for done, run in (
        (as_torch, program),
        (as_onnx, lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])),
    ):
        if done.least_side is None:  # torch 2.11, see above
            continue
        least = [side for side in range(1, 80) if not taken(run, side)][-1] + 1
        assert done.least_side == least, done.path
    assert as_torch.least_side in (17, 33, None)  # a feature map of one place in torch 2.6, of two in later versions


class FixedSides(Backbone):
    """A backbone that accepts one size only, as Vision Transformers do in an exported graph."""

    def forward(self, images):
        torch._check(images.size(2) == 64)
        torch._check(images.size(3) == 64)
        return super().forward(images)


def test_sides_that_the_backbone_fixes_are_reported_as_fixed(tmp_path):
    backbone = Backbone("squeezenet1_1")
    backbone.__class__ = FixedSides
    done = export_torch(tmp_path / "m.pt2", Checkpoint(LinearHead(3, 512), backbone, (64, 64)))
    assert done.dynamic == ("batch",) and done.least_side is None
    assert torch.export.load(done.path).module()(torch.zeros(4, 3, 64, 64)).shape == (4, 3)


def test_an_export_that_does_not_agree_is_not_written(checkpoint, tmp_path, monkeypatch):
    real = module.export_program

    def other(network, *args):
        network = torch.nn.Sequential(*network, torch.nn.Hardtanh(-1e-3, 1e-3))
        return real(network, *args)

    monkeypatch.setattr(module, "export_program", other)
    with pytest.raises(InputError, match="a network that can be exported, found squeezenet1_1 .*logits differ"):
        export_torch(tmp_path / "m.pt2", checkpoint)
    assert not list(tmp_path.iterdir())


def test_missing_libraries_name_the_extra(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"found no onnxscript; pip install 'mlgcn_pyg\[export\]'"):
        export_onnx(tmp_path / "m.onnx", checkpoint)


def test_what_cannot_be_exported_is_refused(checkpoint, tmp_path):
    with pytest.raises(InputError, match="image_size"):
        export_torch(tmp_path / "m", Checkpoint(checkpoint.head, checkpoint.backbone))
    with pytest.raises(InputError, match="a whole model, found a head alone"):
        export_torch(tmp_path / "m", Checkpoint(checkpoint.head, image_size=(64, 64)))
    assert isinstance(checkpoint.model, MLGCN) and not list(tmp_path.iterdir())


def test_weights_that_no_onnx_file_holds_are_refused_before_any_work(checkpoint, tmp_path, monkeypatch):
    """Files of protobuf are smaller than 2 GiB; the rest of the weights would be in a file of a temporary name."""
    with torch.device("meta"):
        large = Checkpoint(LinearHead(1_150_000, 512), checkpoint.backbone, (96, 96))
    with pytest.raises(InputError, match=r"checkpoint: expected weights that fit .* \(2 GiB\), found 2.2 GiB"):
        export_onnx(tmp_path / "large.onnx", large)
    monkeypatch.setattr("mlgcn_pyg.checkpoints.onnx_file.LARGEST", 1000)
    with pytest.raises(InputError, match="weights that fit"):
        export_onnx(tmp_path / "small.onnx", checkpoint)
    assert not list(tmp_path.iterdir())

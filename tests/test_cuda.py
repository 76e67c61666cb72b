"""A GPU gives the same numbers as the CPU; skipped without a GPU."""

import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.nn.kernels import KERNELS, Adjacency, choose_kernel, propagate
from mlgcn_pyg.training import HeadConfig, fit_head

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def random_cell(num_labels=300, num_edges=3000, width=200, dtype=torch.float32):
    edge_index = torch.randint(num_labels, (2, num_edges))
    inputs = [torch.randn(num_labels, width), torch.randn(num_edges), torch.randn(num_labels)]
    return Adjacency(edge_index, num_labels), [value.to(dtype) for value in inputs]


def run(kernel, adjacency, inputs):
    leaves = [value.detach().clone().requires_grad_() for value in inputs]
    out = propagate(leaves[0], adjacency, leaves[1], leaves[2], kernel)
    return [out, *torch.autograd.grad(out.float().square().sum(), leaves)]


@pytest.mark.parametrize("kernel", [*KERNELS, "auto"])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-10), (torch.bfloat16, 5e-2)])
def test_every_kernel_on_cuda_equals_the_dense_product_on_the_cpu(kernel, dtype, tolerance):
    if kernel == "segment":
        pytest.importorskip("torch_scatter")
    adjacency, inputs = random_cell(dtype=dtype)
    expected = run("dense", adjacency, [value.double() for value in inputs])
    found = run(kernel, adjacency.to("cuda"), [value.cuda() for value in inputs])
    for a, b in zip(found, expected, strict=True):
        assert (a.double().cpu() - b).abs().max() <= tolerance * b.detach().abs().max()


def hub_with_half_of_the_edges():
    """2,000 labels, of which label 0 receives 10,000 of 20,000 edges."""
    receiver = torch.cat([torch.zeros(10_000, dtype=torch.int64), torch.randint(2000, (10_000,))])
    return Adjacency(torch.stack([torch.randint(2000, (20_000,)), receiver]), 2000)


AWKWARD = {  # the graph, the width, the type and the tolerance
    "a hub, small": (hub_with_half_of_the_edges, 300, torch.float32, 1e-4),
    "a hub, large": (hub_with_half_of_the_edges, 1024, torch.float32, 1e-4),
    "a hub in bfloat16": (hub_with_half_of_the_edges, 1024, torch.bfloat16, 2e-2),
    "width 1": (lambda: random_cell(300, 3000)[0], 1, torch.float32, 1e-4),
    "no edge": (lambda: random_cell(300, 0)[0], 40, torch.float32, 1e-6),
    "one label": (lambda: random_cell(1, 0)[0], 8, torch.float64, 1e-12),
    "most labels without edges": (lambda: random_cell(2000, 300)[0], 1024, torch.bfloat16, 2e-2),
    "a width that is not a multiple of 8": (lambda: random_cell(2000, 20_000)[0], 601, torch.float32, 1e-4),
}


def run_without_self_weights(kernel, adjacency, x, edge_weight):
    """The sums, and the gradients of ⟨out, x⟩, for which nothing is rounded between the two passes."""
    x, edge_weight = x.clone().requires_grad_(), edge_weight.clone().requires_grad_()
    out = propagate(x, adjacency, edge_weight, None, kernel)
    return [out, *torch.autograd.grad(out, [x, edge_weight], x.detach())]


@pytest.mark.parametrize("graph, width, dtype, tolerance", AWKWARD.values(), ids=AWKWARD)
def test_the_fused_kernel_on_cuda_equals_a_product_in_float64_on_the_cpu(graph, width, dtype, tolerance):
    pytest.importorskip("triton")
    adjacency = graph()
    x = torch.randn(adjacency.num_nodes, width).to(dtype)
    edge_weight = torch.randn(adjacency.num_edges).to(dtype)
    expected = run_without_self_weights("dense", adjacency, x.double(), edge_weight.double())
    found = run_without_self_weights("triton", adjacency.to("cuda"), x.cuda(), edge_weight.cuda())
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype and a.shape == b.shape
        if b.numel():
            scale = 1 + b.detach().abs().amax(-1, keepdim=True)
            assert ((a.double().cpu() - b).abs() <= tolerance * scale).all()
    isolated = torch.ones(adjacency.num_nodes, dtype=torch.bool)
    isolated[adjacency.receiver] = False
    assert not found[0][isolated.cuda()].any()


def test_auto_selects_the_fused_kernel():
    adjacency, inputs = random_cell()
    adjacency, inputs = adjacency.to("cuda"), [value.cuda() for value in inputs]
    assert choose_kernel(inputs[0], adjacency, inputs[1]).kernel == "triton"


def test_a_head_on_cuda_trains_as_on_the_cpu():
    graph = LabelGraph.from_targets(torch.randint(0, 2, (50, 6)), x=torch.randn(6, 8))
    head = MLGCNHead(graph, 16, (12,), learn_edges=True, learn_p=True)
    twin = MLGCNHead(graph, 16, (12,), learn_edges=True, learn_p=True)
    twin.load_state_dict(head.state_dict())
    features, targets = torch.randn(64, 16), torch.randint(-1, 2, (64, 6))
    config = HeadConfig(recipe="paper", lr=0.1, epochs=2)
    fit_head(head, (features, targets), config=config)
    fit_head(twin, (features, targets), config=config, device="cuda")
    assert torch.allclose(twin(features.cuda()).cpu(), head(features), atol=1e-3)


def test_predictions_on_cuda_equal_those_on_the_cpu(tmp_path):
    from PIL import Image

    from mlgcn_pyg.checkpoints import Checkpoint
    from mlgcn_pyg.nn import Backbone, LinearHead
    from mlgcn_pyg.prediction import Predictor

    paths = [tmp_path / f"{k}.png" for k in range(5)]
    for path in paths:
        Image.fromarray((torch.rand(20, 30, 3) * 255).byte().numpy()).save(path)
    paths[2].write_bytes(b"")
    backbone = Backbone("squeezenet1_1")
    checkpoint = Checkpoint(LinearHead(3, backbone.num_features), backbone, (64, 64))
    rows = {
        device: list(Predictor(checkpoint, device).predict(paths, threshold=0.0, batch_size=2))
        for device in ("cpu", "cuda")
    }
    for ours, theirs in zip(rows["cpu"], rows["cuda"], strict=True):
        assert ours.error == theirs.error
        assert dict(ours.labels) == pytest.approx(dict(theirs.labels), abs=1e-3)


def test_features_on_cuda_are_those_of_the_file(tmp_path, monkeypatch):
    from mlgcn_pyg.features import FeatureCache, rows
    from mlgcn_pyg.features.batches import ResidentRows, StreamedRows

    for k, count in enumerate((50, 0, 7)):
        ids, targets = [f"{k} {row}" for row in range(count)], torch.randint(-1, 2, (count, 3))
        FeatureCache.from_arrays(tmp_path / f"{k}.h5", torch.randn(count, 2, 33), targets, list("abc"), ids=ids)
    for size in (rows.CHUNK, 1000):  # at once, and piece by piece through the same pinned memory
        monkeypatch.setattr(rows, "CHUNK", size)
        for source in ("0.h5", "1.h5", "*.h5"):
            cache = FeatureCache(tmp_path / source)
            for loaded, expected in zip(cache.load("cuda"), cache.load(), strict=True):
                assert loaded.is_cuda and torch.equal(loaded.cpu(), expected)
    loaded, streamed = ResidentRows(*cache.load()), StreamedRows(cache, "cuda", window=16)
    for epoch in (1, 2):
        batches = zip(loaded.batches(4, 0, epoch), streamed.batches(4, 0, epoch), strict=True)
        assert all(torch.equal(a, b.cpu()) for pair in batches for a, b in zip(*pair, strict=True))

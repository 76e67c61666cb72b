"""Heads within torch.func, torch.export and on the device meta."""

import pytest
import torch
from torch.func import functional_call, grad, jacrev, vmap

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone, LabelGNNHead, LinearHead, SharingHead, asymmetric, multilabel_soft_margin
from mlgcn_pyg.nn.label_gnn import GNNS

C, D = 6, 8


def graph(x=True, tau=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 2, (40, C), generator=generator)
    return LabelGraph.from_targets(targets, x=torch.randn(C, 5, generator=generator) if x else None, tau=tau)


def kernel_graph():
    generator = torch.Generator().manual_seed(0)
    return LabelGraph.from_targets(torch.randint(0, 2, (40, C), generator=generator), weighting="kernel")


def standardised(head):
    head.set_statistics(torch.zeros(D), torch.linspace(1.0, 2.0, D))
    return head


MAKE = {
    "linear": lambda: LinearHead(C, D),
    "two layers": lambda: MLGCNHead(graph(), D, (4,)),
    "three layers": lambda: MLGCNHead(graph(), D, (4, 7)),
    "one-hot, one layer": lambda: MLGCNHead(graph(x=False), D, ()),
    "learned edges": lambda: MLGCNHead(graph(), D, (4,), learn_edges=True),
    "learned p": lambda: MLGCNHead(graph(), D, (4,), learn_p=True),
    "learned both": lambda: MLGCNHead(graph(x=False), D, (4,), learn_edges=True, learn_p=True),
    "sharing": lambda: SharingHead(graph(), D),
    "sharing, learned edges and p": lambda: SharingHead(graph(), D, learn_edges=True, learn_p=True),
    "sharing, kernel": lambda: standardised(SharingHead(kernel_graph(), D)),
    "sharing, kernel, learned": lambda: SharingHead(kernel_graph(), D, learn_edges=True),
    "standardised, linear": lambda: standardised(LinearHead(C, D)),
    "standardised, two layers": lambda: standardised(MLGCNHead(graph(), D, (4,), bias=True)),
    **{name: lambda name=name: standardised(LabelGNNHead(graph(), D, name, 4, bias=True)) for name in GNNS},
}


def trained(name):
    torch.manual_seed(1)
    head = MAKE[name]()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(torch.randn_like(parameter))
    return head


@pytest.mark.parametrize("loss", [multilabel_soft_margin, asymmetric])
@pytest.mark.parametrize("name", MAKE)
def test_per_sample_gradients(name, loss):
    head, x, y = trained(name), torch.randn(5, D), torch.randint(-1, 2, (5, C))
    parameters = dict(head.named_parameters())

    def of_one(values, features, targets):
        return loss(functional_call(head, values, (features[None],)), targets[None])

    found = vmap(grad(of_one), in_dims=(None, 0, 0))(parameters, x, y)
    for n in range(5):
        expected = torch.autograd.grad(loss(head(x[n : n + 1]), y[n : n + 1]), parameters.values())
        for (key, values), value in zip(found.items(), expected, strict=True):
            assert torch.allclose(values[n], value, atol=1e-5), key


@pytest.mark.parametrize("name", MAKE)
def test_an_ensemble_and_a_jacobian(name):
    head, x = trained(name), torch.randn(2, D)
    parameters = {key: value.detach() for key, value in head.named_parameters()}
    pair = {key: torch.stack([value, value / 2]) for key, value in parameters.items()}
    logits = vmap(lambda values: functional_call(head, values, (x,)))(pair)
    assert torch.allclose(logits[0], head(x), atol=1e-5)
    halved = {key: value / 2 for key, value in parameters.items()}
    assert torch.allclose(logits[1], functional_call(head, halved, (x,)), atol=1e-5)
    jacobian = jacrev(head)(x)
    assert torch.allclose(jacobian[1, :, 1], head.to_linear().weight, atol=1e-5) and not jacobian[1, :, 0].any()


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", MAKE)
def test_an_exported_head_serves_batches_of_any_size(name, strict):
    head = trained(name)
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(head, (torch.randn(3, D),), dynamic_shapes=shapes, strict=strict).module()
    for size in (1, 2, 500):  # below and above the size at which the cheaper order of the products changes
        x = torch.randn(size, D)
        assert torch.allclose(program(x), head(x), atol=1e-3)


@pytest.mark.parametrize("name", MAKE)
def test_a_head_without_values_takes_those_of_a_state_dict(name):
    state, x, expected = trained(name).state_dict(), torch.randn(2, D), trained(name)
    with torch.device("meta"):
        constructed = LinearHead(C, D) if isinstance(expected, LinearHead) else None
    if constructed is None:
        is_kernel = expected.base_graph().weighting == "kernel"
        graph_on_cpu = kernel_graph() if is_kernel else graph(x=expected.x is not None)
        learned = {"learn_edges": expected.learn_edges, "learn_p": expected.learn_p}
        with torch.device("meta"):
            if isinstance(expected, LabelGNNHead):
                constructed = LabelGNNHead(graph_on_cpu, D, name, 4, bias=True)
            elif isinstance(expected, SharingHead):
                constructed = SharingHead(graph_on_cpu, D, **learned)
            else:
                constructed = MLGCNHead(graph_on_cpu, D, expected.hidden_channels, **learned)
    assert all(parameter.is_meta for parameter in constructed.parameters())
    moved = MAKE[name]().to("meta")
    if not isinstance(moved, LabelGNNHead):  # PyG's self-loops depend on the values of the edges
        assert moved(x.to("meta")).shape == (2, C) and moved(x.to("meta")).is_meta
    emptied = MAKE[name]().to("meta").to_empty(device="cpu")
    for head, assign in ((constructed, True), (moved, True), (emptied, False), (MAKE[name](), True)):
        head.load_state_dict(state, assign=assign)
        assert torch.equal(head(x), expected(x)) and torch.equal(head.classifiers(), expected.classifiers())
        assert not any(value.is_meta for value in (*head.parameters(), *head.buffers()))
        loss = head(x).sum()
        assert all(g is not None for g in torch.autograd.grad(loss, list(head.parameters()), allow_unused=True)[:1])


def test_assigned_state_of_another_type():
    expected = trained("two layers").double()
    for head in (MAKE["two layers"](), MAKE["two layers"]().to("meta")):
        head.load_state_dict(expected.state_dict(), assign=True)
        x = torch.randn(2, D).double()
        assert torch.allclose(head(x), expected(x))


def test_heads_that_were_rounded_alike_exchange_their_state():
    head, other = trained("two layers").bfloat16().float(), MAKE["two layers"]().bfloat16().float()
    other.load_state_dict(head.state_dict())
    x = torch.randn(2, D)
    assert torch.equal(other(x), head(x))


def test_a_head_without_values_still_refuses_the_state_of_another_graph():
    state = MLGCNHead(graph(tau=0.9), D, (4,)).state_dict()
    for head in (MAKE["two layers"](), MAKE["two layers"]().to("meta")):
        with pytest.raises(InputError, match="state_dict: expected the state of a head on this label graph"):
            head.load_state_dict(state, assign=True)


def test_what_requires_values_says_so():
    head = MAKE["two layers"]().to("meta")
    for call in (head.label_graph, head.base_graph):
        with pytest.raises(InputError, match="head: expected a head with values, found a head on the device 'meta'"):
            call()
    with pytest.raises(
        InputError, match="graph: expected a label graph with values, found tensors on the device 'meta'"
    ):
        MLGCNHead(graph().to("meta"), D)


def test_a_backbone_without_values():
    expected = Backbone("squeezenet1_1").eval()
    with torch.device("meta"):
        backbone = Backbone("squeezenet1_1").eval()
    assert backbone.num_features == 512 and all(parameter.is_meta for parameter in backbone.parameters())
    backbone.load_state_dict(expected.state_dict(), assign=True)
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(backbone(images), expected(images))

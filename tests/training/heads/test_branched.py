"""A head in two branches has the logits and gradients of the head itself; test_engines_cuda.py runs it on a GPU."""

from contextlib import nullcontext

import pytest
import torch

from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training.heads.branched import BranchedMLGCN, has_branches
from mlgcn_pyg.training.heads.stacked_heads import SingleHead
from tests.training.heads.problems import fresh, graph, problem


class Stream:
    """A stream that records for which streams it waits."""

    def __init__(self):
        self.waits = []

    def wait_stream(self, other):
        self.waits.append(other)


@pytest.fixture
def streams(monkeypatch):
    images, labels = Stream(), Stream()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: images)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    return images, labels


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hidden": (16, 8)},
        {"bias": True},
        {"learn_edges": True, "learn_p": True},
        {"graph_of": graph(one_hot=True)},
    ],
    ids=["paper", "three layers", "bias", "learned edges", "one-hot"],
)
@pytest.mark.parametrize("statistics", [False, True])
def test_two_branches_equal_the_head(options, statistics, streams):
    images, labels = streams
    head = fresh(**options).double()
    if statistics:
        head.set_statistics(torch.randn(12).double(), torch.rand(12).double() + 0.5)
    features = problem(7)[0].double()
    branched = BranchedMLGCN(head, labels)
    found, expected = branched.logits(features), SingleHead(head).logits(features)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(expected)
    for a, b in zip(
        *(torch.autograd.grad((z * weights).sum(), branched.leaves) for z in (found, expected)), strict=True
    ):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12)
    assert labels.waits == [images] and images.waits == [labels]  # neither reads what the other has not written


def test_which_heads_have_branches():
    assert has_branches([fresh(hidden=(64,))], 2)
    assert not has_branches([fresh(hidden=(64,))], 10_000)  # the classifiers are computed first
    assert not has_branches([fresh(), fresh()], 2)
    assert not has_branches([LinearHead(5, 12)], 2)
    assert not has_branches([fresh(hidden=(), graph_of=graph(one_hot=True))], 2)  # one layer on one-hot labels: H only

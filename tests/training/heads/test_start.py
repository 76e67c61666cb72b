"""The start of ML-GCN heads: activations of different labels are uncorrelated, and S Sᵀ is close to that of Â."""

import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.training.heads.start import start_weights

TARGETS = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 0, 0]])


def make_head(hidden=(2000,), seed=0, slope=0.2, **options) -> MLGCNHead:
    graph = LabelGraph.from_targets(TARGETS, **options)
    torch.manual_seed(seed)
    return MLGCNHead(graph, num_features=5, hidden_channels=hidden, negative_slope=slope)


def embeddings(width=6) -> torch.Tensor:
    # the common mean of real word vectors: all cosines are above 0.9
    return 3 + torch.randn(4, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("hidden", [(2000,), (2000, 2000), (2000, 1500, 2000)])
@pytest.mark.parametrize("x", [None, embeddings()], ids=["one-hot", "embeddings"])
def test_s_of_a_started_head_is_that_of_a_one_layer_head(x, hidden):
    head = make_head(hidden, x=x)
    start_weights(head)
    s, dense = head.factors()[0].detach(), head.base_graph().to_dense()
    torch.testing.assert_close(s @ s.t(), dense @ dense.t(), rtol=0, atol=0.08)


def test_random_inner_layers_share_one_direction_which_the_start_removes():
    head = make_head(x=embeddings())
    before = head.factors()[0].detach()
    start_weights(head)
    after = head.factors()[0].detach()
    assert torch.linalg.cond(before @ before.t()) > 100
    assert torch.linalg.cond(after @ after.t()) < 5


def test_the_classifiers_start_at_0():
    head = make_head(x=embeddings())
    start_weights(head)
    assert not head(torch.ones(2, 5)).any()


def test_a_head_without_inner_layers_has_only_its_last_layer_set_to_0():
    head = make_head(hidden=())
    start_weights(head)
    assert not head.classifiers().any()


def test_heads_of_different_seeds_start_differently_and_those_of_one_seed_equally():
    first, same, other = (make_head(seed=seed) for seed in (0, 0, 1))
    for head in (first, same, other):
        start_weights(head)
    assert torch.equal(first.layers[0].weight, same.layers[0].weight)
    assert not torch.allclose(first.layers[0].weight, other.layers[0].weight)


@pytest.mark.parametrize(
    "options",
    [
        {"x": torch.ones(4, 3)},  # labels with equal embeddings
        {"x": torch.randn(4, 1, generator=torch.Generator().manual_seed(0))},  # more labels than columns
        {"weighting": "binary"},  # Â is singular
        {"p": 1.0},
        {"weighting": "none"},
    ],
    ids=["equal", "narrow", "singular", "p = 1", "no propagation"],
)
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_awkward_labels_start_with_finite_weights(options, slope):
    head = make_head(hidden=(3,), slope=slope, **options)
    start_weights(head)
    assert all(p.isfinite().all() for p in head.parameters())


def test_labels_with_equal_embeddings_start_with_equal_rows_of_s():
    x = embeddings()
    x[1] = x[0]
    head = make_head(x=x, weighting="none")
    start_weights(head)
    s = head.factors()[0].detach()
    torch.testing.assert_close(s[0], s[1])


def test_one_label_starts_with_a_row_of_norm_1():
    head = MLGCNHead(LabelGraph.from_targets([[1], [0]]), num_features=5, hidden_channels=(7,))
    start_weights(head)
    scale = 1 - head.base_graph().p  # Â of a label without edges
    torch.testing.assert_close(head.factors()[0].norm().item(), scale, rtol=1e-5, atol=0)

"""The GCN as functions: the order of the products, and a stack of heads against each head."""

import pytest
import torch

from mlgcn_pyg.nn import gcn
from mlgcn_pyg.nn.gcn import LabelOperator, features_first, gcn_factors, gcn_layer, gcn_logits
from mlgcn_pyg.nn.kernels import Adjacency

EDGES = [torch.tensor([[0, 0, 2], [1, 2, 3]]), torch.tensor([[3, 1], [0, 1]])]  # of two graphs with four labels
LABELS, FEATURES = 4, 6


def operator(edges):
    return LabelOperator(Adjacency(edges, LABELS), torch.rand(edges.size(1)).double(), torch.rand(LABELS).double())


def union(operators):
    """The label operator of the disjoint union of the graphs of ``EDGES``."""
    edges = torch.cat([edges + k * LABELS for k, edges in enumerate(EDGES)], dim=1)
    weights = [torch.cat([getattr(o, name) for o in operators]) for name in ("edge_weight", "self_weight")]
    return LabelOperator(Adjacency(edges, LABELS * len(EDGES)), *weights)


@pytest.mark.parametrize("x_width", [3, None])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("hidden", [(), (5,), (2, 7)])
@pytest.mark.parametrize("batch", [1, 500])  # features first, labels first
def test_a_stack_gives_the_logits_of_each_head(x_width, known, hidden, batch):
    operators = [operator(edges) for edges in EDGES]
    xs = [None if x_width is None else torch.randn(LABELS, x_width).double() for _ in EDGES]
    propagated = [o(x) if known and x is not None else None for o, x in zip(operators, xs, strict=True)]
    sizes = [x_width or LABELS, *hidden, FEATURES]
    weights = [[torch.randn(a, b).double() for a, b in zip(sizes[:-1], sizes[1:], strict=True)] for _ in EDGES]
    features, training = torch.randn(batch, FEATURES).double(), {"train_head": True, "train_features": False}
    expected = []
    for o, x, ox, w in zip(operators, xs, propagated, weights, strict=True):
        h, weight = gcn_factors(x, ox, w, o, 0.2)
        expected.append(gcn_logits(features, h, weight, **training))
    x, ox = (None if values[0] is None else torch.stack(values) for values in (xs, propagated))
    stacked = [torch.stack(layer) for layer in zip(*weights, strict=True)]
    h, weight = gcn_factors(x, ox, stacked, union(operators), 0.2)
    assert torch.allclose(gcn_logits(features, h, weight, **training), torch.stack(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes, width", [((3, 5), 3), ((5, 3), 3), ((4, 4), 4)])
def test_propagation_runs_on_the_narrower_side(sizes, width, monkeypatch):
    widths, propagate = [], gcn.propagate
    monkeypatch.setattr(gcn, "propagate", lambda h, *weights: widths.append(h.size(1)) or propagate(h, *weights))
    o, x, weight = operator(EDGES[0]), torch.randn(LABELS, sizes[0]).double(), torch.randn(sizes).double()
    assert gcn_layer(x, weight, o).shape == (LABELS, sizes[1]) and widths == [width]


def test_counting_multiplications_by_hand():
    # C = 80, N = 1024, D = 2048, B = 32, training: 3·CND + 2·BCD against 2·BND + 3·BCN
    labels_first, images_first = 3 * 80 * 1024 * 2048 + 2 * 32 * 80 * 2048, 2 * 32 * 1024 * 2048 + 3 * 32 * 80 * 1024
    assert images_first < labels_first
    for batch in (1, 32, 100, 200, 400, 4096):
        first = 3 * 80 * 1024 * 2048 + 2 * batch * 80 * 2048
        second = 2 * batch * 1024 * 2048 + 3 * batch * 80 * 1024
        assert features_first(batch, 80, 1024, 2048, train_head=True, train_features=False) == (second < first)

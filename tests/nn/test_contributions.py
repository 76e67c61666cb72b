"""Contributions against dense formulas, finite differences, and the logits of every head."""

import numpy as np
import pytest
import scipy.sparse
import torch
import torch.nn.functional as F

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import WEIGHTINGS
from mlgcn_pyg.nn import LinearHead, SharingHead

D = 6
NAMES = ["person", "tie", "dog", "cat"]
TARGETS = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


def graphs(has_x=False):
    """Label graphs of every weighting, with an empty row, an empty column, a hub, no edge at all, and one label."""
    hub = torch.cat([torch.ones(5, 1), torch.eye(5)], dim=1)
    for name, targets in {
        "some": TARGETS, "hub": hub, "no edge": torch.zeros(0, 4), "one label": torch.ones(2, 1),
    }.items():  # fmt: skip
        for weighting in WEIGHTINGS:
            x = torch.randn(targets.size(1), 3) if has_x else None
            yield f"{name}, {weighting}", LabelGraph.from_targets(targets, weighting=weighting, x=x, tau=0.3)


def heads(graph, statistics=True):
    """Heads of every kind, depth and set of learned weights that the graph supports, with random parameters."""
    learned = [{}]
    if graph.weighting == "paper":
        learned += [{"learn_edges": True}, {"learn_p": True}, {"learn_edges": True, "learn_p": True}]
    if graph.weighting == "kernel":
        learned += [{"learn_edges": True}]
    for options in learned:
        yield f"sharing {options}", SharingHead(graph, D, **options)
        if graph.weighting == "kernel" and graph.x is not None:
            continue
        for hidden in ((), (4,), (4, 3)):
            yield f"mlgcn {hidden} {options}", MLGCNHead(graph, D, hidden, bias=len(hidden) == 1, **options)
    yield "linear", LinearHead(graph.num_labels, D, graph.label_names)
    yield "linear without bias", LinearHead(graph.num_labels, D, bias=False)


def all_heads(has_x):
    torch.manual_seed(0)
    for of_graph, graph in graphs(has_x):
        for of_head, head in heads(graph):
            with torch.no_grad():
                for parameter in head.double().parameters():
                    parameter.normal_()
            if "learn_edges" in of_head or "()" in of_head:  # others without statistics
                head.set_statistics(torch.randn(D), torch.tensor([2.0, 1, 0.5, 0, 1, 3]))
            yield f"{of_graph}, {of_head}", head


def dense(head):
    """Â (C, C) as a matrix, from the edges, and V (C, D), the classifiers before the last propagation."""
    count = head.num_labels
    if isinstance(head, LinearHead):
        return torch.eye(count, dtype=torch.float64), head.linear.weight
    graph, (edge_weight, self_weight) = head.base_graph(), head.weights()
    a = torch.diag(self_weight)
    for (i, j), weight in zip(graph.edge_index.t().tolist(), edge_weight, strict=True):
        a[(j, i) if graph.weighting == "released" else (i, j)] += weight  # released: the implied label receives
    if isinstance(head, SharingHead):
        return a, head.weight
    h = torch.eye(count, dtype=torch.float64) if head.x is None else head.x
    *inner, last = [conv.weight for conv in head.convs]
    for weight in inner:
        h = F.leaky_relu(a @ h @ weight, 0.2)
    return a, h @ last


@torch.no_grad()
@pytest.mark.parametrize("has_x", [False, True])
def test_terms_equal_the_dense_formula_and_sum_to_the_logits_of_every_head(has_x):
    features, count = torch.randn(3, D, dtype=torch.float64), 0
    for name, head in all_heads(has_x):
        found, (a, v) = head.contributions(features), dense(head)
        x = features
        if head.standardize is not None:
            x = (features - head.standardize.mean) * head.standardize.scale
        z = x @ v.t()
        assert torch.allclose(found.own, a.diag() * z, rtol=1e-10, atol=1e-12), name
        assert torch.allclose(found.edges, a[found.receiver, found.sender] * z[:, found.sender], rtol=1e-10), name
        assert torch.equal(found.bias, torch.zeros(head.num_labels).double() if head.bias is None else head.bias), name
        assert torch.allclose(found.logits(), head(features), rtol=1e-10, atol=1e-10), name
        single, bound = head.float().contributions(features.float()).logits(), head(features.float()).abs().max() + 1
        assert (single - head(features.float())).abs().max() <= 1e-5 * bound, name
        count += 1
    assert count > 100


@torch.no_grad()
@pytest.mark.parametrize("has_x", [False, True])
def test_a_term_is_what_the_logit_loses_without_that_entry_of_the_last_layer(has_x):
    features = torch.randn(1, D, dtype=torch.float64)
    for name, head in all_heads(has_x):
        found, (a, v) = head.contributions(features), dense(head)
        z = head.standardized(features)[0] @ v.t()
        whole = a @ z
        for e, (i, j) in enumerate(zip(found.receiver.tolist(), found.sender.tolist(), strict=True)):
            without = a.clone()
            without[i, j] = 0
            change = whole - without @ z
            assert change[i] == pytest.approx(found.edges[0, e].item(), abs=1e-9), name
            assert torch.equal(change[torch.arange(len(z)) != i], torch.zeros(len(z) - 1).double()), name
        for i in range(len(z)):
            without = a.clone()
            without[i, i] = 0
            assert (whole - without @ z)[i] == pytest.approx(found.own[0, i].item(), abs=1e-9), name


def test_the_receiver_of_an_edge_depends_on_the_weighting():
    for weighting, receiver in (("paper", 0), ("binary", 0), ("released", 1)):
        graph = LabelGraph.from_targets(TARGETS, label_names=NAMES, weighting=weighting, tau=0.3)
        found = MLGCNHead(graph, D, (4,)).contributions(torch.randn(2, D))
        assert torch.equal(found.receiver, graph.edge_index[receiver]) and len(found.receiver) > 3
        assert torch.equal(found.sender, graph.edge_index[1 - receiver])


def test_both_orders_of_the_products_agree_and_a_batch_may_be_empty():
    head = MLGCNHead(LabelGraph.from_targets(TARGETS, x=torch.randn(4, 3), tau=0.3), D, (5,)).double()
    features = torch.randn(40, D, dtype=torch.float64)
    rows = torch.cat([head.contributions(row[None]).edges for row in features])
    found = head.contributions(features)
    assert torch.allclose(rows, found.edges) and not found.own.requires_grad
    for one in (head, LinearHead(4, D).double(), SharingHead(head.base_graph(), D).double()):
        none = one.contributions(features[:0])
        assert none.own.shape == (0, 4) and none.edges.shape[0] == 0 and none.logits().shape == (0, 4)


def test_memory_is_that_of_the_edges_and_not_of_all_pairs():
    count = 20_000  # all pairs of one image would take 1.6 GB
    rows = np.arange(count).repeat(2)
    columns = (np.arange(2 * count) // 2 + np.arange(2 * count) % 2) % count  # each image has two adjacent labels
    targets = scipy.sparse.csr_array((np.ones(2 * count, np.int8), (rows, columns)), shape=(count, count))
    head = SharingHead(LabelGraph.from_targets(targets, tau=0.4), 2)
    torch.nn.init.normal_(head.weight)
    features = torch.randn(3, 2)
    found = head.contributions(features)
    assert found.edges.shape == (3, head.edge_index.size(1)) and found.edges.size(1) == 2 * count
    assert torch.allclose(found.logits(), head(features), atol=1e-5)


def test_the_table_of_a_logit_is_sorted_and_its_sum_is_the_logit():
    graph = LabelGraph.from_targets(TARGETS, label_names=NAMES, tau=0.3)
    head = SharingHead(graph, 1)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0], [-10.0], [5.0], [7.0]]))
        head.set_bias([0.25, 0, 0, 0])
    frame = head.contributions(torch.tensor([[1.0], [2.0]])).frame(1, "person")
    # P(tie | person) = P(dog | person) = 2/3: person receives 0.1 of each
    assert frame.columns.tolist() == ["term", "label", "contribution", "weight"]
    assert frame.term.tolist() == ["own", "neighbour", "bias", "neighbour"]
    assert frame.label.tolist() == ["person", "dog", "person", "tie"]
    assert frame.contribution.tolist() == pytest.approx([1.6, 1.0, 0.25, -2.0])
    assert frame.weight.tolist()[:2] == pytest.approx([0.8, 0.1]) and frame.weight.isna().tolist()[2]
    cat = head.contributions(torch.tensor([[1.0]])).frame(0, 3)
    assert cat.term.tolist() == ["own", "bias"] and cat.contribution.sum() == pytest.approx(5.6)


def test_wrong_arguments_are_named():
    found = LinearHead(4, D, NAMES).contributions(torch.zeros(2, D))
    for arguments, message in [
        ((2, "dog"), "row: expected the number of one of 2 images, found 2"),
        ((-1, "dog"), "row: expected an integer ≥ 0, found -1"),
        ((0, "dgo"), "label: expected the name of a label, found 'dgo'; such as 'dog'"),
        ((0, 4), "label: expected a row in 0…3, or the name of a label, found 4"),
        ((0, None), "label: expected the name of a label, found None"),
    ]:
        with pytest.raises(InputError) as caught:
            found.frame(*arguments)
        assert str(caught.value).startswith(message), caught.value
    with pytest.raises(InputError, match=r"features: expected shape \(batch, 6\), found shape \(2, 5\)"):
        LinearHead(4, D).contributions(torch.zeros(2, 5))
    assert repr(found) == "Contributions(2 images, 4 labels, 0 edges)"

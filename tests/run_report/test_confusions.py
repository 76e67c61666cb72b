"""Confusions and broken expectations, counted by hand and by loops; labels without positives, unknown targets."""

import torch

from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.report.page.content import Confusion, Thumbnail
from mlgcn_pyg.run_report.confusions import broken_expectations, confusions

NAMES = ("tie", "person", "dog")
PREDICTED = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0]])
LOGITS = (2 * PREDICTED - 1).float()
TARGETS = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 1, 0], [0, 0, 1]], dtype=torch.int8)


def tie_graph(tau=0.4, **settings):
    targets = [[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 1, 1]]  # tie → person 2/3, dog → person 1, person → tie 2/3
    return LabelGraph.from_targets(targets, label_names=NAMES, tau=tau, **settings)


def test_confusions_of_the_example():
    # image 2 misses person and has tie instead; image 0 misses person, image 4 misses dog, with nothing instead
    assert confusions(LOGITS, TARGETS, NAMES) == [Confusion("person", "tie", 1)]


def test_confusions_equal_loops():
    logits, targets = torch.randn(60, 5), torch.randint(-1, 2, (60, 5), dtype=torch.int8)
    cuts = torch.tensor([0.1, -0.5, 0.0, 2.0, float("inf")], dtype=torch.float64)
    counts = {}
    for scores, given in zip(logits.tolist(), targets.tolist(), strict=True):
        said = [score > cut for score, cut in zip(scores, cuts.tolist(), strict=True)]
        for i in range(5):
            for j in range(5):
                if given[i] == 1 and not said[i] and given[j] == 0 and said[j]:
                    counts[i, j] = counts.get((i, j), 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    found = confusions(logits, targets, list("abcde"), cuts, most=7)
    assert found == [Confusion("abcde"[i], "abcde"[j], count) for (i, j), count in ordered[:7]]


def test_no_confusion_without_mistakes_images_or_known_targets():
    assert confusions((2 * TARGETS - 1).float(), TARGETS, NAMES) == []
    assert confusions(LOGITS, torch.full_like(TARGETS, -1), NAMES) == []
    assert confusions(LOGITS[:0], TARGETS[:0], NAMES) == []
    assert confusions(LOGITS[:, :1], TARGETS[:, :1], NAMES[:1]) == []  # one label has no other


def broken(logits, graph, **settings):
    found = broken_expectations(logits, graph, lambda row: Thumbnail(str(row)), **settings)
    return [(one.source, one.target, one.images, [e.image for e in one.examples]) for one in found]


def test_ties_without_persons():
    logits = LOGITS.clone()
    logits[2, 0] = 5  # the surest tie without a person
    found = broken_expectations(logits, tie_graph(), lambda row: Thumbnail(str(row)))
    first = found[0]
    assert (first.source, first.target, first.images) == ("tie", "person", 2)
    assert first.share == 2 / 3 and abs(first.probability - 2 / 3) < 1e-12
    assert [example.image for example in first.examples] == ["2", "0"]
    # dog → person: P = 1, image 2 of two; person → tie: P = 2/3, image 3 of two
    assert [(one.source, one.target, one.images) for one in found[1:]] == [("dog", "person", 1), ("person", "tie", 1)]


def test_more_surprising_pairs_come_first_and_expected_ones_are_left_out():
    """a → b holds in half of the images, c → b always: one broken c → b says more than ten broken a → b of twenty."""
    targets = [[1, 1, 0]] * 5 + [[1, 0, 0]] * 5 + [[0, 1, 1]] * 3
    graph = LabelGraph.from_targets(targets, label_names=list("abc"), tau=0.5)
    predicted = [[1, 1, 0]] * 9 + [[1, 0, 0]] * 11 + [[0, 0, 1]] * 2 + [[0, 1, 1]] * 7
    found = broken_expectations(2 * torch.tensor(predicted).float() - 1, graph, lambda row: Thumbnail(str(row)))
    # c → b: 2 images, 0 expected. a → b: 11 images, 10 expected. b → a, P = 5/8: 7 of 16 images, 6 expected
    assert [(one.source, one.target, one.images) for one in found] == [("c", "b", 2), ("a", "b", 11), ("b", "a", 7)]
    assert [round(one.expected, 9) for one in found] == [0, 10, 6]
    kept = broken_expectations(2 * torch.tensor(predicted[:8] + predicted[12:18]).float() - 1, graph, Thumbnail)
    assert not [one for one in kept if (one.source, one.target) == ("a", "b")]  # 6 of 14 images, 7 expected


def test_edges_below_tau_and_kept_ones_are_left_out():
    assert [found[:2] for found in broken(LOGITS, tie_graph(0.9))] == [("dog", "person")]
    assert broken(torch.ones(4, 3), tie_graph()) == []  # every edge holds
    assert broken(LOGITS[:0], tie_graph()) == []
    assert broken(-torch.ones(4, 3), tie_graph()) == []  # nothing is predicted


def test_a_graph_without_edges():
    graph = LabelGraph.from_targets([[1, 0, 0], [0, 1, 0]], label_names=NAMES)
    assert graph.edge_index.size(1) == 0 and broken(LOGITS, graph) == []


def test_pairs_of_a_kernel_graph_that_tau_does_not_select_are_no_edges():
    graph = tie_graph(weighting="kernel")
    assert graph.edge_index.size(1) == 6
    assert {found[:2] for found in broken(LOGITS, graph)} <= {("tie", "person"), ("dog", "person"), ("person", "tie")}


def test_thresholds_decide():
    cuts = torch.tensor([float("inf"), 0, 0], dtype=torch.float64)
    assert all(found[0] != "tie" for found in broken(LOGITS, tie_graph(), thresholds=cuts))


def test_known_edges_keep_their_given_p():
    given = LabelGraph.from_edges([("tie", "person", 0.9)], label_names=NAMES, label_counts=[3, 3, 1])
    (found,) = broken_expectations(LOGITS, given, lambda row: Thumbnail(str(row)))
    assert (found.source, found.target, found.probability) == ("tie", "person", 0.9)

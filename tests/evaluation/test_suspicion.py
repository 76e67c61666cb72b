"""Suspicious labels: of a worked example, without and with neighbours, and in the awkward cases."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import expected_labels, suspicion
from mlgcn_pyg.graph import LabelGraph


def flipped(num_images=2000, num_flips=60, seed=0):
    """Logits, given labels and flips of three labels; the third occurs with the first, and its logits say nothing."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((num_images, 3), dtype=int)
    truth[:, 0], truth[:, 1] = rng.random(num_images) < 0.3, rng.random(num_images) < 0.2
    truth[:, 2] = truth[:, 0]
    logits = 3 * (2 * truth - 1) + rng.normal(0, 2, truth.shape)
    logits[:, 2] = 0
    flips = np.zeros_like(truth, dtype=bool)
    flips.flat[rng.choice(truth.size, num_flips, replace=False)] = True
    return torch.from_numpy(logits), torch.from_numpy(np.where(flips, 1 - truth, truth)), torch.from_numpy(flips)


def recall(scores, flips):
    top = scores.flatten().topk(int(flips.sum())).indices
    return flips.flatten()[top].double().mean().item()


def test_the_score_is_the_probability_of_the_other_value():
    logits, targets, _ = flipped()
    scores = suspicion(logits, targets)
    assert ((scores >= 0) & (scores <= 1)).all()
    p = torch.where(targets == 1, 1 - scores, scores)  # increases with the logit within a fold
    for c in range(2):
        order = logits[:, c].argsort()
        assert np.corrcoef(p[order, c].argsort(), np.arange(2000))[0, 1] > 0.99
        assert p[:, c].mean().item() == pytest.approx(targets[:, c].double().mean().item(), abs=0.01)


def test_neighbours_find_what_the_logits_cannot():
    logits, targets, flips = flipped()
    graph = LabelGraph.from_targets(targets, tau=0.5)
    assert graph.edge_index.tolist() == [[0, 2], [2, 0]]
    without, beside = suspicion(logits, targets), suspicion(logits, targets, graph)
    assert recall(beside[:, [2]], flips[:, [2]]) > 0.6 > 0.3 > recall(without[:, [2]], flips[:, [2]])
    assert recall(beside, flips) > recall(without, flips) + 0.1
    assert torch.equal(beside[:, 1], without[:, 1])  # a label without an edge


def test_an_edge_in_one_direction_makes_neighbours_of_both():
    targets = torch.tensor([[1, 1], [1, 0], [1, 0], [0, 0]] * 30)
    graph = LabelGraph.from_targets(targets, tau=0.9)
    assert graph.edge_index.tolist() == [[1], [0]]
    expected = expected_labels(targets, graph)
    assert expected[targets[:, 1] == 1, 0].min() > 0.8  # always together
    assert expected[targets[:, 0] == 0, 1].max() < 0.1 < 0.25 < expected[targets[:, 0] == 1, 1].min()


def test_expected_labels_are_those_of_a_regularised_regression():
    rng = np.random.default_rng(0)
    targets = (rng.random((400, 4)) < 0.4).astype(int)
    targets[:, 1] |= targets[:, 0]
    graph = LabelGraph.from_targets(targets, tau=0.0)
    found = expected_labels(targets, graph, folds=2, seed=3)
    # its intercept has the prior as well, in contrast to that of scikit-learn: both are close
    half = LogisticRegression(C=1.0)
    from mlgcn_pyg.stratification import stratified_folds

    first, second = stratified_folds(targets, 2, seed=3)
    for c in range(4):
        others = np.delete(np.arange(4), c)
        half.fit(targets[second][:, others], targets[second, c])
        p = half.predict_proba(targets[first][:, others])[:, 1]
        assert np.abs(found[first, c].numpy() - p).max() < 0.02


def test_no_neighbour_is_expected_as_often_as_it_occurs():
    targets = torch.tensor([[1, 0], [0, 0], [0, 0], [0, 0]] * 50)
    expected = expected_labels(targets, None)
    assert torch.allclose(expected[:, 0], torch.full((200,), 0.25, dtype=torch.float64), atol=0.01)
    assert (expected[:, 1] < 0.01).all()  # a label without positives


def test_no_image_is_judged_by_numbers_that_it_took_part_in():
    logits, targets, _ = flipped(num_images=40, num_flips=4)
    scores = suspicion(logits, targets, folds=40)
    for image in (0, 7):
        changed = targets.clone()
        changed[image] = 1 - targets[image]
        assert torch.allclose(suspicion(logits, changed, folds=40)[image], 1 - scores[image])


def test_unknown_targets_have_no_score_and_say_nothing():
    logits, targets, _ = flipped()
    targets[:50] = -1
    targets[60, 0] = -1
    scores = suspicion(logits, targets, LabelGraph.from_targets(targets, tau=0.5))
    assert torch.equal(scores.isnan(), targets < 0)
    assert torch.allclose(
        suspicion(logits[50:], targets[50:])[10:], suspicion(logits, targets)[60:], atol=0.05, equal_nan=True
    )


@pytest.mark.parametrize("targets", [
    torch.zeros(6, 2), torch.ones(6, 2), torch.full((6, 2), -1), torch.eye(6)[:, :2], torch.zeros(0, 2),
    torch.tensor([[1, 0]]), torch.tensor([[1, -1], [0, -1]]),
])  # fmt: skip
def test_labels_without_positives_negatives_or_known_targets(targets):
    torch.manual_seed(0)
    graph = LabelGraph.from_targets(targets, tau=0)
    for known in (None, graph):
        scores = suspicion(torch.randn(targets.shape), targets, known)
        assert torch.equal(scores.isnan(), targets < 0) and scores.shape == targets.shape
        assert expected_labels(targets, known).isfinite().all()


def test_one_label():
    scores = suspicion([[4.0], [-4.0], [4.0], [-4.0]], [[1], [0], [0], [0]])
    assert scores.shape == (4, 1) and scores.argmax() == 2


def test_extreme_logits_are_ranked_without_overflow():
    scores = suspicion([[900.0], [-900.0], [800.0], [-4.0]], [[1], [0], [0], [1]])
    assert scores.isfinite().all() and set(scores.flatten().topk(2).indices.tolist()) == {2, 3}


def test_wrong_arguments():
    logits, targets = torch.zeros(4, 2), torch.zeros(4, 2)
    for graph in (LabelGraph.from_targets(torch.zeros(1, 3)), "graph.pt"):
        with pytest.raises(InputError, match="graph: expected a label graph of 2 labels"):
            suspicion(logits, targets, graph)
    with pytest.raises(InputError, match="folds"):
        suspicion(logits, targets, folds=1)
    with pytest.raises(InputError, match="logits"):
        suspicion(torch.full((4, 2), torch.inf), targets)


def test_some_labels_are_expected_as_among_all():
    _, targets, _ = flipped(num_images=300)
    graph = LabelGraph.from_targets(targets, tau=0.3)
    every, some = expected_labels(targets, graph), expected_labels(targets, graph, labels=[2])
    assert torch.equal(some[:, 2], every[:, 2]) and some[:, :2].isnan().all()
    assert expected_labels(targets, graph, labels=[]).isnan().all()

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import cosines, neighbour_purity, rank_correlation


def vectors(num=30, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(num, width))


@pytest.mark.parametrize("k", [1, 5, 29])
def test_purity_equals_scikit_learn(k):
    x, groups = vectors(), [str(group) for group in np.random.default_rng(1).integers(0, 4, 30)]
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(x)
    found = search.kneighbors(return_distance=False)
    expected = np.mean([[groups[j] == groups[i] for j in row] for i, row in enumerate(found)])
    assert neighbour_purity(x, groups, k=k, permutations=10).value == pytest.approx(expected)


def test_the_p_value_of_purity_is_that_of_all_permutations():
    x, groups = vectors(6, 2, seed=3), np.array(list("aabbbc"))
    nearest = np.argsort(-cosine_similarity(x) + 9 * np.eye(6), axis=1)[:, :2]

    def purity(order):
        g = groups[list(order)]
        return np.mean([[g[j] == g[i] for j in nearest[i]] for i in range(6) if g[i] != "c"])

    all_values = np.array([purity(order) for order in permutations(range(6))])
    exact = (all_values >= purity(range(6)) - 1e-9).mean()
    agreement = neighbour_purity(x, list(groups), k=2, permutations=4000)
    assert agreement.value == pytest.approx(purity(range(6))) and agreement.num_labels == 5
    assert agreement.expected == pytest.approx(all_values.mean(), abs=0.02)
    assert agreement.p == pytest.approx(exact, abs=0.03)  # 4 standard errors


def test_labels_without_a_group_are_left_out():
    x, groups = vectors(), [None, *"abc" * 9, "a", None]
    assert neighbour_purity(x, groups, k=3) == neighbour_purity(x[1:-1], groups[1:-1], k=3)


def test_no_group_has_two_labels():
    agreement = neighbour_purity(vectors(3), ["a", "b", "c"], k=1)
    assert np.isnan(agreement.value) and np.isnan(agreement.p) and agreement.num_labels == 0


def test_ties_are_in_the_order_of_the_labels():
    x = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    assert neighbour_purity(x, ["a", "a", "b", "b"], k=1).value == 0.5  # 1, 0, 0, 0 are the nearest


@pytest.mark.parametrize("x", [np.ones((4, 2)), np.zeros((4, 2))])
def test_equal_vectors_have_no_purity(x):
    agreement = neighbour_purity(x, ["a", "a", "b", "b"], k=1)
    assert np.isnan(agreement.value) and np.isnan(agreement.p) and agreement.num_labels == 0


@pytest.mark.parametrize("symmetric", [True, False])
def test_rank_correlation_equals_scipy(symmetric):
    x, other = vectors(12), np.random.default_rng(1).random((12, 12)).round(1)  # with ties
    other = other + other.T if symmetric else other
    pairs = np.triu_indices(12, 1) if symmetric else np.nonzero(~np.eye(12, dtype=bool))
    expected = spearmanr(cosine_similarity(x)[pairs], other[pairs]).statistic
    assert rank_correlation(x, other, permutations=10).value == pytest.approx(expected, abs=1e-6)


def test_the_mantel_test_finds_a_relation_and_no_other():
    x, noise = vectors(15), vectors(15, seed=5)
    close = rank_correlation(x, cosines(x + 0.3 * noise), permutations=999)
    assert close.value > 0.7 and close.p == 1 / 1000 and abs(close.expected) < 0.05
    unrelated = [rank_correlation(x, cosines(vectors(15, seed=s)), permutations=99, seed=s).p for s in range(100, 300)]
    assert np.mean(np.array(unrelated) <= 0.1) < 0.1 + 4 * np.sqrt(0.1 * 0.9 / 200)


def test_the_p_value_of_the_correlation_is_that_of_all_permutations():
    x, other = vectors(5, 3), np.random.default_rng(1).random((5, 5))
    pairs, similar = ~np.eye(5, dtype=bool), cosine_similarity(x)
    orders = [np.ix_(order, order) for order in permutations(range(5))]
    values = np.array([spearmanr(similar[pairs], other[order][pairs]).statistic for order in orders])
    agreement = rank_correlation(x, other, permutations=4000)
    assert agreement.p == pytest.approx((np.abs(values) >= abs(values[0]) - 1e-9).mean(), abs=0.03)
    assert agreement.expected == pytest.approx(values.mean(), abs=0.02)


def test_equal_relations_have_no_rank_correlation():
    agreement = rank_correlation(vectors(4), np.ones((4, 4)), permutations=9)
    assert np.isnan(agreement.value) and np.isnan(agreement.p)


def test_lengths_do_not_matter_and_zeros_have_no_direction():
    x = vectors(5)
    assert np.allclose(cosines(x), cosines(x * np.array([[1e-30], [1e30], [1], [2], [3]])), atol=1e-6)
    assert cosines(np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: neighbour_purity(vectors(4), ["a"] * 3), "groups: expected 4 names, one per vector, found 3"),
        (lambda: neighbour_purity(vectors(4), ["a"] * 4, k=4), "k: expected fewer neighbours than the 4 rows"),
        (lambda: neighbour_purity(vectors(4), ["a"] * 4, k=0), "k: expected an integer ≥ 1"),
        (lambda: neighbour_purity(vectors(4)[0], ["a"] * 6), r"vectors: expected shape \(C, D\), found shape \(6,\)"),
        (lambda: neighbour_purity(torch.full((4, 2), torch.nan), ["a"] * 4, k=1), "vectors: expected finite numbers"),
        (lambda: rank_correlation(vectors(4), np.ones((3, 3))), r"relations: expected shape \(4, 4\)"),
        (lambda: rank_correlation(vectors(2), np.full((2, 2), np.nan)), "relations: expected finite numbers"),
        (lambda: rank_correlation(vectors(1), [[1.0]]), "vectors: expected at least two vectors"),
        (
            lambda: rank_correlation(vectors(3), np.ones((3, 3)), permutations=0),
            "permutations: expected an integer ≥ 1",
        ),
        (lambda: rank_correlation(vectors(3), np.ones((3, 3)), seed=-1), "seed: expected an integer ≥ 0"),
    ],
)
def test_invalid_arguments(call, message):
    with pytest.raises(InputError, match=f"^{message}"):
        call()

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import nearest as search
from mlgcn_pyg.evaluation import retrieve
from mlgcn_pyg.evaluation.nearest import nearest


def data(num=60, labels=5, seed=0, known=True):
    random = np.random.default_rng(seed)
    features = random.normal(size=(num, 8)).astype(np.float32)
    targets = (features[:, :labels] + random.normal(size=(num, labels)) > 0.8).astype(np.int8)
    if not known:
        targets[random.random(targets.shape) < 0.2] = -1
    return features, targets


@pytest.fixture(params=["one block", "many blocks"])
def blocks(request, monkeypatch):
    if request.param == "many blocks":
        monkeypatch.setattr(search, "ROWS", 7)
        monkeypatch.setattr("mlgcn_pyg.evaluation.retrieval.QUERIES", 5)
        monkeypatch.setattr(search, "QUERIES", 5)


@pytest.mark.parametrize("k", [1, 10, 59])
def test_neighbours_equal_scikit_learn(k, blocks):
    features, _ = data()
    found = nearest(features, torch.arange(60), k)
    expected = NearestNeighbors(n_neighbors=k, metric="cosine").fit(features).kneighbors(return_distance=False)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("known", [True, False])
def test_all_neighbours_give_the_metrics_of_scikit_learn(known, blocks):
    features, targets = data(known=known)
    found = retrieve(features, targets, k=59)
    present = (targets == 1).astype(int)
    for row, score, gain, precision in zip(found.rows, found.AP, found.gains, found.precisions, strict=True):
        others = np.delete(np.arange(60), row)
        similar, shared = cosine_similarity(features[[row]], features[others])[0], (present @ present[row])[others]
        assert score == pytest.approx(average_precision_score(shared > 0, similar))
        assert gain == pytest.approx(ndcg_score([shared], [similar]))
        assert precision == pytest.approx((shared > 0).mean())
    assert found.mAP == pytest.approx(found.AP.mean()) and found.nDCG == pytest.approx(found.gains.mean())
    assert found.without_labels == (present.sum(axis=1) == 0).sum() > 0


@pytest.mark.parametrize("k", [1, 4, 20])
def test_the_first_k_neighbours(k, blocks):
    features, targets = data()
    found = retrieve(features, targets, k=k)
    for position, row in enumerate(found.rows):
        others = np.delete(np.arange(60), row)
        similar, shared = cosine_similarity(features[[row]], features[others])[0], (targets @ targets[row])[others]
        assert found.gains[position] == pytest.approx(ndcg_score([shared], [similar], k=k))
        hits = (shared[np.argsort(-similar)] > 0)[:k]
        by_hand = sum(hits[: r + 1].mean() for r in range(k) if hits[r]) / min(k, (shared > 0).sum())
        assert found.AP[position] == pytest.approx(by_hand)
        assert found.precisions[position] == pytest.approx(hits.mean())
        assert found.shared[position].tolist() == shared[np.argsort(-similar)][:k].tolist()


def test_a_worked_example():
    """Ranks 1 and 3 of four are relevant, with 1 and 2 shared labels; the best order is 2, 1."""
    angles = np.radians([0, 10, 20, 30, 90])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    targets = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 0, 1]])
    found = retrieve(features, targets, k=3, queries=[0])
    assert found.neighbours.tolist() == [[1, 2, 3]] and found.shared.tolist() == [[1, 0, 2]]
    assert found.precision == pytest.approx(2 / 3)
    assert found.mAP == pytest.approx((1 + 2 / 3) / 2)
    assert found.nDCG == pytest.approx((1 + 2 / 2) / (2 + 1 / np.log2(3)))


def test_equal_features_are_in_the_order_of_the_rows(blocks):
    features = np.tile(np.random.default_rng(0).normal(size=(1, 300)), (30, 1)) * np.arange(1, 31)[:, None]
    found = retrieve(features, np.ones((30, 1)), k=3)
    assert found.neighbours[:4].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert found.neighbours[29].tolist() == [0, 1, 2]


def test_queries_without_labels_and_without_a_match_are_counted():
    targets = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [-1, -1, -1]])
    found = retrieve(np.eye(5), targets, k=2)
    assert found.rows.tolist() == [2, 3] and (found.without_labels, found.without_match) == (2, 1)
    nothing = retrieve(np.eye(5), np.zeros((5, 2)), k=2)
    assert np.isnan([nothing.mAP, nothing.precision, nothing.nDCG]).all() and nothing.neighbours.shape == (0, 2)


def test_views_half_precision_and_memory_maps_give_the_same(tmp_path):
    features, targets = data()
    features = features.astype(np.float16)
    expected = retrieve(features, targets, k=5)
    np.save(tmp_path / "x.npy", np.stack([features, features[::-1]], axis=1))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for same in (mapped, torch.from_numpy(features), torch.from_numpy(features.astype(np.float32)).requires_grad_()):
        found = retrieve(same, torch.from_numpy(targets), k=5)
        assert (found.neighbours == expected.neighbours).all() and found.nDCG == expected.nDCG


def test_memory_is_bounded(monkeypatch):
    """The rows are read in blocks: no more of them at a time than a block has."""
    read = []

    class Rows:
        shape, dtype = (30_000, 4), np.float32

        def __getitem__(self, index):
            read.append(len(index))
            return np.random.default_rng(0).normal(size=(len(index), 4))

    retrieve(Rows(), np.ones((30_000, 1)), k=3, queries=np.arange(0, 30_000, 100))
    assert max(read) <= search.ROWS and sum(read) == 30_300


@pytest.mark.parametrize(
    "options, message",
    [
        ({"targets": np.ones((5, 2))}, "targets: expected 4 rows, as features has, found 5"),
        ({"targets": np.full((4, 2), 2)}, "targets: expected values in {-1, 0, 1}"),
        ({"features": np.ones(4)}, r"features: expected shape \(N, D\) or \(N, V, D\), found shape \(4,\)"),
        ({"features": np.full((4, 2), np.inf)}, "features: expected finite numbers, found NaN or Inf in 4 of 4 rows"),
        ({"k": 4}, "k: expected fewer neighbours than the 4 rows of features, found 4"),
        ({"k": 0}, "k: expected an integer ≥ 1, found 0"),
        ({"queries": [4]}, "queries: expected row numbers in 0…3, found 4 to 4"),
        ({"queries": [0.5]}, "queries: expected row numbers in 0…3, found shape"),
    ],
)
def test_invalid_arguments(options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        retrieve(**{"features": np.eye(4), "targets": np.ones((4, 2)), "k": 2} | options)

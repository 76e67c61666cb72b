"""``mlgcn retrieve``: its numbers, the picture of queries and neighbours, images without labels, and wrong input."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mlgcn_pyg.checkpoints import load_head, save_head
from mlgcn_pyg.evaluation import retrieve
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import score
from tests.cli.test_cli import refused, run

NAMES = ["sea", "лодка", "車"]
NUM = 24


def cache(path, *, width=6, seed=0, targets=None, names=NAMES, ids=None, meta=None):
    generator = np.random.default_rng(seed)
    drawn = (np.random.default_rng(9).random((NUM, 3)) < 0.4).astype(np.int8)
    targets = drawn if targets is None else np.asarray(targets, np.int8)
    features = generator.normal(size=(len(targets), width)) + np.pad(targets, ((0, 0), (0, width - 3)))
    ids = [f"фото {row}.png" for row in range(len(targets))] if ids is None else ids
    return FeatureCache.from_arrays(path, features, targets, names, ids=ids, meta=meta)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two caches of the same images, a head on the second, and the photographs."""
    folder = tmp_path_factory.mktemp("retrieve")
    first = cache(folder / "a.h5")
    cache(folder / "b.h5", width=8, seed=1)
    head = LinearHead(3, 8, NAMES)
    head.linear.weight.data = torch.from_numpy(np.random.default_rng(2).normal(size=(3, 8)).astype(np.float32))
    save_head(folder / "head.pt", head)
    (folder / "photos").mkdir()
    for number, name in enumerate(first.ids):
        Image.new("RGB", (20, 20), (9 * number, 0, 0)).save(folder / "photos" / name)
    return folder


def caches(made, *names):
    return [word for name in names for word in ("--cache", made / f"{name}.h5")]


def content(*words):
    return json.loads(run("retrieve", *words, "--json"))


def numbers(found):
    return {
        "mAP": found.mAP,
        "precision": found.precision,
        "nDCG": found.nDCG,
        "queries": len(found.rows),
        "without_labels": found.without_labels,
        "without_match": found.without_match,
    }


def test_features_of_two_caches_and_probabilities_of_a_head_are_compared(made):
    found = content(*caches(made, "a", "b"), "--checkpoint", made / "head.pt", "--k", 3)
    a, b = (FeatureCache(made / f"{name}.h5") for name in "ab")
    scores = score(load_head(made / "head.pt"), b)[0].sigmoid()
    features = {"a.h5": a.features, "b.h5": b.features, "head.pt": scores}
    assert found["k"] == 3 and found["images"] == NUM
    assert found["features"] == {
        str(made / name): numbers(retrieve(values, a.targets, k=3)) for name, values in features.items()
    }
    assert found["features"][str(made / "a.h5")]["without_labels"] == int((a.targets.sum(dim=1) == 0).sum()) > 0


def test_the_table_shows_them_in_per_cent(made):
    printed = run("retrieve", *caches(made, "a", "b"), "--k", 3)
    a = FeatureCache(made / "a.h5")
    found = retrieve(a.features, a.targets, k=3)
    for text in (
        "mAP@3",
        "precision@3",
        "nDCG@3",
        *(f"{100 * v:.1f}" for v in (found.mAP, found.precision, found.nDCG)),
    ):
        assert text in printed
    left_out = f"({found.without_labels} without a label and {found.without_match} that share none are left out)"
    assert f"in per cent; {len(found.rows)} queries among {NUM} images {left_out}" in printed


def test_queries_are_evenly_spaced(made):
    a = FeatureCache(made / "a.h5")
    for number, rows in ((5, [0, 4, 9, 14, 19]), (NUM, list(range(NUM)))):
        (found,) = content(*caches(made, "a"), "--queries", number)["features"].values()
        assert found == numbers(retrieve(a.features, a.targets, k=10, queries=rows))


def test_queries_and_neighbours_are_drawn(made, tmp_path, monkeypatch):
    from mlgcn_pyg.report import retrieval_grid

    drawn = []
    draw = retrieval_grid.plot_retrieval
    monkeypatch.setattr(
        retrieval_grid, "plot_retrieval", lambda *given, **more: drawn.append((given, more)) or draw(*given, **more)
    )
    out = tmp_path / "grid.png"
    run("retrieve", *caches(made, "a", "b"), "--root", made / "photos", "--out", out)
    found, paths, _, names, _ = drawn[0][0]
    assert list(found) == ["a", "b"] and tuple(names) == tuple(NAMES) and drawn[0][1]["queries"] is None
    assert paths == [made / "photos" / name for name in FeatureCache(made / "a.h5").ids] and out.stat().st_size > 1000
    run("retrieve", *caches(made, "a"), "--root", made / "photos", "--out", out, "--show", "фото 3.png")
    assert drawn[1][1]["queries"] == [3]


def test_ids_without_an_ending_name_photographs(tmp_path):
    targets = [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
    cache(tmp_path / "v.h5", targets=targets, ids=["000001", "000002", "000003"])
    for name in ("000001.jpg", "000002.jpeg", "000003.png"):
        Image.new("RGB", (20, 20)).save(tmp_path / name)
    run("retrieve", "--cache", tmp_path / "v.h5", "--k", 1, "--root", tmp_path, "--out", tmp_path / "grid.png")
    assert (tmp_path / "grid.png").exists()


def test_no_query_has_a_label(tmp_path):
    cache(tmp_path / "n.h5", targets=[[0, -1, 0]] * 12)
    (found,) = content("--cache", tmp_path / "n.h5")["features"].values()
    expected = {"mAP": None, "precision": None, "nDCG": None, "queries": 0, "without_labels": 12, "without_match": 0}
    assert found == expected
    assert "0 queries among 12 images (12 without a label" in run("retrieve", "--cache", tmp_path / "n.h5")
    line = refused("retrieve", "--cache", tmp_path / "n.h5", "--root", tmp_path, "--out", tmp_path / "g.png")
    assert "--out: expected images that share a label, to draw them, found none" in line


def test_one_label(tmp_path):
    FeatureCache.from_arrays(tmp_path / "o.h5", [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], [[1], [1], [0]], ["dog"])
    (found,) = content("--cache", tmp_path / "o.h5", "--k", 1)["features"].values()
    assert found["mAP"] == 1 and found["queries"] == 2 and found["without_labels"] == 1


def test_one_image_has_no_neighbour(tmp_path):
    cache(tmp_path / "one.h5", targets=[[1, 0, 0]])
    line = refused("retrieve", "--cache", tmp_path / "one.h5", "--k", 1)
    assert "--k: expected fewer neighbours than the 1" in line


def test_a_head_uses_the_cache_with_the_features_that_it_was_trained_on(tmp_path):
    for name, weights in (("x", "1" * 64), ("y", "2" * 64)):
        cache(tmp_path / f"{name}.h5", seed=int(weights[0]), meta={"backbone": "resnet18", "weights_sha256": weights})
    head = LinearHead(3, 6, NAMES)
    trained_on = {"backbone": "resnet18", "weights_sha256": "2" * 64}
    save_head(tmp_path / "head.pt", head, config={"features": trained_on})
    words = ("--checkpoint", tmp_path / "head.pt")
    found = content(*caches(tmp_path, "x", "y"), *words)["features"][str(tmp_path / "head.pt")]
    y = FeatureCache(tmp_path / "y.h5")
    assert found == numbers(retrieve(score(load_head(tmp_path / "head.pt"), y)[0].sigmoid(), y.targets))
    assert refused("retrieve", *caches(tmp_path, "x"), *words).startswith("mlgcn: error: --cache: expected")


@pytest.mark.parametrize(
    "change, text",
    [
        ({"ids": [str(row) for row in range(NUM)]}, "--cache: expected the images and targets of"),
        ({"targets": np.ones((NUM, 3))}, "--cache: expected the images and targets of"),
        ({"names": ["sea", "車", "лодка"]}, "--cache: expected the 3 labels of"),
    ],
)
def test_caches_of_other_images_or_labels_are_refused(made, tmp_path, change, text):
    cache(tmp_path / "c.h5", **change)
    assert text in refused("retrieve", *caches(made, "a"), "--cache", tmp_path / "c.h5")


def test_other_wrong_input_is_one_line(made, tmp_path):
    a, photos = caches(made, "a"), ("--root", made / "photos", "--out", tmp_path / "g.png")
    assert "--k: expected fewer neighbours than the 24" in refused("retrieve", *a, "--k", 24)
    assert "--queries: expected at most 24, the images, found 25" in refused("retrieve", *a, "--queries", 25)
    line = refused("retrieve", *a, "--checkpoint", made / "head.pt")
    assert "--checkpoint: expected a head on one of the caches, of width 6, found width 8 in" in line
    assert "--show: expected ids of the images, such as 'фото 0.png', found 'x'" in refused(
        "retrieve", *a, *photos, "--show", "x"
    )
    bare = next(i for i, row in enumerate(FeatureCache(made / "a.h5").targets.tolist()) if not any(row))
    line = refused("retrieve", *a, *photos, "--show", f"фото {bare}.png")
    assert "--show: expected ids of queries that share a label with another image" in line
    line = refused("retrieve", *a, "--root", tmp_path, "--out", tmp_path / "g.png")
    assert "--root: expected image files, found" in line and not (tmp_path / "g.png").exists()
    (tmp_path / "empty").mkdir()
    assert "--checkpoint: expected at least one head" in refused("retrieve", *a, "--checkpoint", tmp_path / "empty")
    photo = made / "photos" / "фото 0.png"
    line = refused("retrieve", *a, "--root", made / "photos", "--out", photo)
    assert "--out: expected a different file than the input files" in line

"""The data sets of benchmarks/studies."""

import gzip
import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.features import FeatureCache

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "studies" / "data.py"
spec = importlib.util.spec_from_file_location("study_data", SCRIPT)
data = importlib.util.module_from_spec(spec)
spec.loader.exec_module(data)


@pytest.mark.parametrize("case", ["unrelated", "groups", "half"])
def test_generated_labels_have_the_shares_and_relations_that_were_asked_for(case, tmp_path):
    caches = data.generated(tmp_path, case, images=6000)
    assert [len(cache) for cache in caches] == [2000, 1000, 3000]
    y = np.concatenate([cache.targets.numpy() for cache in caches]).astype(float)
    assert np.abs(y.mean(axis=0)[:-1] - np.tile([0.08, 0.16, 0.3], 8)[:-1]).max() < 0.03
    assert y[:, -1].mean() == pytest.approx(0.6, abs=0.03)
    related = np.abs(np.corrcoef(y.T)) * ~np.eye(24, dtype=bool)
    same_group = np.arange(24)[:, None] // 3 == np.arange(24) // 3
    in_group = related[same_group & ~np.eye(24, dtype=bool)].reshape(24, 2).mean(axis=1)
    num_related = {"unrelated": 0, "groups": 24, "half": 12}[case]
    assert (in_group[:num_related] > 0.25).all() and np.median(in_group[num_related:] if num_related < 24 else 0) < 0.12
    assert LabelGraph.from_targets(y.astype(np.int8)).edge_index.size(1) >= 10  # those of the hub
    again = data.generated(tmp_path / "again", case, images=6000)
    assert [cache.digest() for cache in again] == [cache.digest() for cache in caches]


def test_yeast_is_read_from_a_wheel_of_river(tmp_path):
    lines = ["Att1,Att2,Class1,Class2", "0.5,-1.25,1,0", "0.25,2,0,1"]
    with zipfile.ZipFile(tmp_path / "river.whl", "w") as wheel:
        wheel.writestr(data.YEAST, gzip.compress("\n".join(lines).encode()))
    (cache,) = data.yeast(tmp_path, tmp_path / "river.whl")
    assert cache.label_names == ("Class1", "Class2") and cache.targets.tolist() == [[1, 0], [0, 1]]
    assert cache.features[:, 0].tolist() == [[0.5, -1.25], [0.25, 2.0]]


def test_coco30k(shared, tmp_path):
    caches = data.coco30k(tmp_path, shared / "coco30k")
    assert [len(cache) for cache in caches] == [20_000, 5_000, 5_000]
    assert caches[0].num_labels == 18 and FeatureCache(tmp_path / "val.h5").ids[:2] == ("0.jpg", "1.jpg")
